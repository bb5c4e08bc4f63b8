import CSupport
import Foundation
import Synchronization

/// Thrown when whoever read what this process writes has gone away: nobody is left to be told.
package struct ReaderGone: Error, Equatable {
  package init() {}
}

/// What a process says on standard output: the only way to it, so that nothing is lost in silence.
///
/// A command whose product is text calls `line` and `write`, which collect bytes and throw when they
/// do not arrive. A stage, whose product is files, calls `say`: what goes wrong then does not stop the
/// work, and `finish` tells of it.
package enum StandardOutput {
  private struct State {
    var buffer: [UInt8] = []
    /// The first errno of a `say`.
    var fault: Int32 = 0
    var isLent = false
  }

  private static let state = Mutex(State())
  private static let capacity = 1 << 16
  private static let isTerminal = isatty(STDOUT_FILENO) == 1

  /// Prepares the standard streams; before any file is opened.
  package static func install() { ott_streams_install() }

  /// Adds a line.
  ///
  /// - Parameter atOnce: it is out when this returns, for a reader who waits for it.
  /// - Throws: as `write`.
  package static func line(_ text: String, atOnce: Bool = false) throws {
    try write(Array((text + "\n").utf8), atOnce: atOnce)
  }

  /// - Throws: `UserError` when bytes cannot be written, `ReaderGone` when nobody reads them.
  package static func write(_ text: String) throws { try write(Array(text.utf8)) }

  /// - Throws: as for text.
  package static func write(_ bytes: [UInt8], atOnce: Bool = false) throws {
    try state.withLock { state in
      if state.isLent { return StandardError.write(bytes) }
      state.buffer += bytes
      guard atOnce || isTerminal || state.buffer.count >= capacity else { return }
      try check(drain(&state))
    }
  }

  /// Writes a line at once. A fault is kept for `finish`; that nobody listens is none.
  package static func say(_ text: String) {
    let bytes = Array((text + "\n").utf8)
    state.withLock { state in
      if state.isLent { return StandardError.write(bytes) }
      state.buffer += bytes
      var fault: Int32 = 0
      StatusBoard.above(isTerminal) { fault = drain(&state) }
      if state.fault == 0, fault != EPIPE { state.fault = fault }
    }
  }

  /// Writes what is collected.
  ///
  /// - Throws: as `write`, also for what `say` met.
  package static func finish() throws {
    try state.withLock { state in
      try check(drain(&state))
      try check(state.fault)
    }
  }

  /// A descriptor of standard output for somebody who writes a file to it. Lines go to standard error
  /// from now on, so that the file's bytes stay alone.
  ///
  /// - Throws: as `finish`.
  static func lend() throws -> Int32 {
    try finish()
    let descriptor = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
    if descriptor < 0 { try check(errno) }
    state.withLock { $0.isLent = true }
    return descriptor
  }

  /// Writes the buffer and forgets it; returns 0 or an errno.
  private static func drain(_ state: inout State) -> Int32 {
    defer { state.buffer.removeAll(keepingCapacity: true) }
    return state.buffer.withUnsafeBytes { Descriptor.write($0, to: STDOUT_FILENO) }
  }

  private static func check(_ fault: Int32) throws {
    switch fault {
    case 0: return
    case EPIPE: throw ReaderGone()
    case EBADF:
      throw UserError("standard output: cannot be written", found: "it is closed")
    default:
      throw UserError(
        "standard output: cannot be written", found: String(cString: strerror(fault)))
    }
  }
}

/// Messages and progress. Faults are ignored: there is nowhere left to tell of them.
package enum StandardError {
  package static func write(_ text: String) { write(Array(text.utf8)) }

  static func write(_ bytes: [UInt8]) {
    StatusBoard.above(true) {
      _ = bytes.withUnsafeBytes { Descriptor.write($0, to: STDERR_FILENO) }
    }
  }
}
