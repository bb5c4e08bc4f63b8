/// The lines of a text held as bytes: cut at LF, a CR in front of it dropped, nothing behind a last LF.
/// A byte order mark at the start is skipped.
///
/// Text of files is cut by this alone: as Characters, CR LF is one, and splitting by newlines also cuts
/// at U+2028 and its kind, which are text to every other reader of such files.
package struct ByteLines: Sequence, IteratorProtocol {
  /// U+FEFF in UTF-8, which some editors put in front of a text.
  package static let mark: [UInt8] = [0xEF, 0xBB, 0xBF]

  private var rest: ArraySlice<UInt8>

  package init(_ bytes: [UInt8]) { rest = ByteLines.unmarked(bytes) }

  /// The text behind its byte order mark, if it has one.
  package static func unmarked(_ bytes: [UInt8]) -> ArraySlice<UInt8> {
    bytes.starts(with: mark) ? bytes.dropFirst(mark.count) : bytes[...]
  }

  package mutating func next() -> ArraySlice<UInt8>? {
    if rest.isEmpty { return nil }
    guard let end = rest.firstIndex(of: 0x0A) else {
      defer { rest = rest[rest.endIndex...] }
      return rest
    }
    let line = rest[..<end]
    rest = rest[(end + 1)...]
    return line.last == 0x0D ? line.dropLast() : line
  }
}
