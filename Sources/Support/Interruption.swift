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

  package static var requested: Bool { ott_signal_received() != 0 }

  /// Throws `InterruptedError` when a signal came.
  package static func check() throws {
    let signal = ott_signal_received()
    if signal != 0 { throw InterruptedError(signal: signal) }
  }
}
