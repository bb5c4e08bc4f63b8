import CSupport

/// SIGINT and SIGTERM.
///
/// Every stage exits with 130 or 143 on them. A stage that can stop in an orderly way calls
/// `install()` and asks `requested` between steps; a second signal ends it at once.
package enum Interruption {
  /// From now on the first signal only sets `requested`.
  package static func install() { ott_signals_install(true) }

  /// From now on a signal ends the process with 128 + its number.
  package static func installImmediate() { ott_signals_install(false) }

  package static var requested: Bool { signal != 0 }

  /// The signal that came; 0 for none.
  package static var signal: Int32 { ott_signal_received() }

  /// Throws `InterruptedError` when a signal came.
  package static func check() throws {
    let signal = signal
    if signal != 0 { throw InterruptedError(signal: signal) }
  }
}
