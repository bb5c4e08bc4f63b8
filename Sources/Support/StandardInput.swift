import Foundation
import Synchronization

/// Text and numbers that a command reads from standard input.
package enum StandardInput {
  private struct State {
    var bytes: [UInt8] = []
    var next = 0
    var isAtEnd = false
  }

  private static let state = Mutex(State())
  private static let piece = 1 << 16

  /// All of it that was not read yet.
  ///
  /// - Throws: `UserError` when it cannot be read (closed, a directory).
  package static func rest() throws -> [UInt8] {
    try state.withLock { state in
      while try fill(&state) {}
      defer { state.next = state.bytes.count }
      return Array(state.bytes[state.next...])
    }
  }

  /// The bytes of the next line, without the line feed and one carriage return before it; nil at the
  /// end.
  ///
  /// - Throws: as `rest`.
  package static func line() throws -> [UInt8]? {
    try state.withLock { state in
      var searched = state.next
      while true {
        if let end = state.bytes[searched...].firstIndex(of: UInt8(ascii: "\n")) {
          defer { state.next = end + 1 }
          return withoutReturn(state.bytes[state.next..<end])
        }
        // `fill` moves what is left to the front.
        searched = state.bytes.count - state.next
        guard try fill(&state) else { break }
      }
      guard state.next < state.bytes.count else { return nil }
      defer { state.next = state.bytes.count }
      return withoutReturn(state.bytes[state.next...])
    }
  }

  private static func withoutReturn(_ line: ArraySlice<UInt8>) -> [UInt8] {
    Array(line.last == UInt8(ascii: "\r") ? line.dropLast() : line)
  }

  /// Reads a piece behind what is left; false at the end.
  private static func fill(_ state: inout State) throws -> Bool {
    state.bytes.removeFirst(state.next)
    state.next = 0
    if state.isAtEnd { return false }
    var buffer = [UInt8](repeating: 0, count: piece)
    guard
      let count = buffer.withUnsafeMutableBytes({ Descriptor.read(into: $0, from: STDIN_FILENO) })
    else {
      throw UserError(
        "standard input: cannot be read",
        found: errno == EBADF ? "it is closed" : String(cString: strerror(errno)))
    }
    state.bytes += buffer[..<count]
    state.isAtEnd = count == 0
    return count > 0
  }
}
