/// The printable alphabet in which byte-level vocabularies are written: GPT-2's `bytes_to_unicode`.
///
/// Printable Latin-1 bytes stand for themselves; the other 68 are U+0100 onward, in byte order.
package enum ByteAlphabet {
  package static let scalarOfByte: [Unicode.Scalar] = {
    var next: UInt32 = 0x100
    return (0...255).map { (byte: UInt32) in
      let printable = 33...126 ~= byte || 161...172 ~= byte || 174...255 ~= byte
      defer { if !printable { next += 1 } }
      return Unicode.Scalar(printable ? byte : next) ?? "\u{FFFD}"
    }
  }()

  private static let byteOfScalar: [Unicode.Scalar: UInt8] = Dictionary(
    uniqueKeysWithValues: scalarOfByte.enumerated().map { ($1, UInt8($0)) })

  /// The bytes that a token's printable form stands for; nil when a character is not of the
  /// alphabet.
  package static func bytes(of printable: String) -> [UInt8]? { bytes(of: Array(printable.utf8)) }

  /// The same for a form in UTF-8.
  static func bytes(of printable: [UInt8]) -> [UInt8]? {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(printable.count)
    var decoder = UTF8()
    var rest = printable.makeIterator()
    while true {
      switch decoder.decode(&rest) {
      case .scalarValue(let scalar):
        guard let byte = byteOfScalar[scalar] else { return nil }
        bytes.append(byte)
      case .emptyInput: return bytes
      case .error: return nil
      }
    }
  }

  package static func printable(_ bytes: some Sequence<UInt8>) -> String {
    var text = String.UnicodeScalarView()
    for byte in bytes { text.append(scalarOfByte[Int(byte)]) }
    return String(text)
  }
}
