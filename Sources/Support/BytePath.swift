import Foundation

/// A path as the system has it: bytes without NUL, in whatever encoding they were meant.
package struct BytePath: Hashable, Comparable, Sendable, CustomStringConvertible {
  package let bytes: [UInt8]

  package init(_ bytes: [UInt8]) { self.bytes = bytes }

  package init(_ text: String) { bytes = Array(text.utf8) }

  /// A path that stands on the command line, whose texts have U+FFFD for what is not UTF-8: the bytes
  /// are then those of the argument that reads so.
  package init(argument text: String) {
    self.init(text)
    guard text.unicodeScalars.contains("\u{FFFD}") else { return }
    for index in 0..<Int(CommandLine.argc) {
      guard let argument = CommandLine.unsafeArgv[index] else { continue }
      let raw = UnsafeBufferPointer(start: argument, count: strlen(argument))
      let candidate = BytePath(raw.map { UInt8(bitPattern: $0) })
      if candidate.description.utf8.elementsEqual(text.utf8) {
        self = candidate
        return
      }
    }
  }

  /// The path for messages: what is not UTF-8 is U+FFFD.
  package var description: String { String(decoding: bytes, as: UTF8.self) }

  /// Byte by byte.
  package static func < (a: BytePath, b: BytePath) -> Bool {
    a.bytes.lexicographicallyPrecedes(b.bytes)
  }

  package func hasSuffix(_ suffix: String) -> Bool {
    bytes.count >= suffix.utf8.count && bytes.suffix(suffix.utf8.count).elementsEqual(suffix.utf8)
  }

  /// What stands behind the last slash.
  package var lastComponent: ArraySlice<UInt8> {
    bytes.lastIndex(of: UInt8(ascii: "/")).map { bytes[($0 + 1)...] } ?? bytes[...]
  }

  /// What is called `name` in the directory of this path.
  package func sibling(_ name: String) -> BytePath {
    BytePath(bytes.dropLast(lastComponent.count) + Array(name.utf8))
  }

  /// What is called `name` in this directory.
  package func appending(_ name: some Sequence<UInt8>) -> BytePath {
    BytePath(bytes + [UInt8(ascii: "/")] + name)
  }

  package func withCString<Result>(
    _ body: (UnsafePointer<CChar>) throws -> Result
  ) rethrows -> Result {
    try (bytes.map { CChar(bitPattern: $0) } + [0]).withUnsafeBufferPointer {
      // Never empty: it holds the NUL.
      try body($0.baseAddress.unsafelyUnwrapped)
    }
  }

  /// What the system says of the path, links followed; nil when it names nothing.
  package var status: Foundation.stat? {
    var status = Foundation.stat()
    return withCString { fstatat(AT_FDCWD, $0, &status, 0) } == 0 ? status : nil
  }
}
