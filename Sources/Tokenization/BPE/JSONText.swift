import CTokenization

/// A strict reader of JSON text held as bytes: for tokenizer files and lines of corpora, where
/// strings are wanted as UTF-8 bytes and speed counts.
struct JSONText {
  indirect enum Value {
    case null
    case bool(Bool)
    case number(Double)
    case string([UInt8])
    case array([Value])
    /// In file order, duplicates included.
    case object([(key: [UInt8], value: Value)])
  }

  /// What is wrong and at which byte.
  struct Malformed: Error {
    var what: String
    var offset: Int
  }

  let bytes: UnsafeBufferPointer<UInt8>
  var position = 0
  private var depth = 0

  init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

  /// The one value that the text holds.
  static func parse(_ bytes: UnsafeBufferPointer<UInt8>) throws(Malformed) -> Value {
    var text = JSONText(bytes)
    let value = try text.value()
    text.skipSpace()
    if text.position != bytes.count { throw text.malformed("text behind the value") }
    return value
  }

  func malformed(_ what: String) -> Malformed { Malformed(what: what, offset: position) }

  var current: UInt8? { position < bytes.count ? bytes[position] : nil }

  @inline(__always)
  mutating func skipSpace() {
    while let byte = current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
      position += 1
    }
  }

  @inline(__always)
  mutating func expect(_ byte: UInt8) throws(Malformed) {
    skipSpace()
    guard current == byte else {
      throw malformed("expected \(Character(Unicode.Scalar(byte)))")
    }
    position += 1
  }

  /// Into a value, of which at most 128 lie inside one another.
  @inline(__always)
  mutating func enter() throws(Malformed) {
    depth += 1
    if depth > 128 { throw malformed("nesting deeper than 128 levels") }
  }

  @inline(__always)
  mutating func leave() { depth -= 1 }

  mutating func value() throws(Malformed) -> Value {
    skipSpace()
    guard let first = current else { throw malformed("the text ends where a value should be") }
    try enter()
    defer { leave() }
    switch first {
    case UInt8(ascii: "{"):
      var members: [(key: [UInt8], value: Value)] = []
      try object { (key, text) throws(Malformed) in members.append((key, try text.value())) }
      return .object(members)
    case UInt8(ascii: "["):
      position += 1
      var items: [Value] = []
      skipSpace()
      if current == UInt8(ascii: "]") {
        position += 1
        return .array([])
      }
      while true {
        items.append(try value())
        skipSpace()
        if current == UInt8(ascii: "]") { break }
        try expect(UInt8(ascii: ","))
      }
      position += 1
      return .array(items)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"):
      try word("true")
      return .bool(true)
    case UInt8(ascii: "f"):
      try word("false")
      return .bool(false)
    case UInt8(ascii: "n"):
      try word("null")
      return .null
    default:
      let text = String(decoding: try numberBytes(), as: UTF8.self)
      guard let number = Double(text) else { throw malformed("expected a value") }
      return .number(number)
    }
  }

  /// Calls `member` with each key, the reader standing in front of the key's value, which `member`
  /// must consume.
  mutating func object(
    _ member: ([UInt8], inout JSONText) throws(Malformed) -> Void
  ) throws(Malformed) {
    try expect(UInt8(ascii: "{"))
    skipSpace()
    if current == UInt8(ascii: "}") {
      position += 1
      return
    }
    while true {
      skipSpace()
      let key = try string()
      try expect(UInt8(ascii: ":"))
      try member(key, &self)
      skipSpace()
      if current == UInt8(ascii: "}") { break }
      try expect(UInt8(ascii: ","))
    }
    position += 1
  }

  mutating func word(_ text: StaticString) throws(Malformed) {
    for index in 0..<text.utf8CodeUnitCount {
      if position + index >= bytes.count || bytes[position + index] != text.utf8Start[index] {
        throw malformed("expected \(text)")
      }
    }
    position += text.utf8CodeUnitCount
  }

  /// The spelling of a number, as RFC 8259 has it.
  mutating func numberBytes() throws(Malformed) -> UnsafeBufferPointer<UInt8> {
    let start = position
    if current == UInt8(ascii: "-") { position += 1 }
    let leading = current
    let whole = skipDigits()
    if whole == 0 || whole > 1 && leading == UInt8(ascii: "0") {
      throw malformed("expected a value")
    }
    if current == UInt8(ascii: ".") {
      position += 1
      if skipDigits() == 0 { throw malformed("expected digits") }
    }
    if let byte = current, byte | 0x20 == UInt8(ascii: "e") {
      position += 1
      if current == UInt8(ascii: "-") || current == UInt8(ascii: "+") { position += 1 }
      if skipDigits() == 0 { throw malformed("expected digits") }
    }
    return UnsafeBufferPointer(rebasing: bytes[start..<position])
  }

  private mutating func skipDigits() -> Int {
    let start = position
    while let byte = current, 0x30...0x39 ~= byte { position += 1 }
    return position - start
  }

  /// The bytes of a string; an escaped surrogate without its partner becomes U+FFFD.
  mutating func string() throws(Malformed) -> [UInt8] {
    var result: [UInt8] = []
    try appendString(to: &result)
    return result
  }

  /// Appends the bytes of a string as `string()` has them.
  mutating func appendString(to result: inout [UInt8]) throws(Malformed) {
    guard current == UInt8(ascii: "\"") else { throw malformed("expected a string") }
    position += 1
    while true {
      let start = position
      skipPlain()
      result.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[start..<position]))
      guard let byte = current else { throw malformed("a string without an end") }
      if byte < 0x20 { throw malformed("a control character in a string") }
      position += 1
      if byte == 0x22 { return }
      let scalar = try escape()
      if scalar.isASCII {
        result.append(UInt8(truncatingIfNeeded: scalar.value))
      } else {
        result.append(contentsOf: scalar.utf8)
      }
    }
  }

  /// Goes to the next quote, backslash or control character.
  @inline(__always)
  mutating func skipPlain() {
    while position + 64 <= bytes.count, let base = bytes.baseAddress {
      let stops = scan_string_stops(base + position)
      if stops != 0 {
        position += stops.trailingZeroBitCount
        return
      }
      position += 64
    }
    while position < bytes.count, bytes[position] != 0x22, bytes[position] != 0x5C,
      bytes[position] >= 0x20
    {
      position += 1
    }
  }

  /// What stands behind a backslash. A surrogate without its partner is U+FFFD.
  mutating func escape() throws(Malformed) -> Unicode.Scalar {
    guard let byte = current else { throw malformed("a string without an end") }
    position += 1
    switch byte {
    case 0x22, 0x5C, 0x2F: return Unicode.Scalar(byte)
    case UInt8(ascii: "b"): return "\u{08}"
    case UInt8(ascii: "f"): return "\u{0C}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"):
      var scalar = try hexadecimal()
      if scalar & 0xFC00 == 0xD800, position + 1 < bytes.count, bytes[position] == 0x5C,
        bytes[position + 1] == UInt8(ascii: "u")
      {
        let back = position
        position += 2
        let low = try hexadecimal()
        if low & 0xFC00 == 0xDC00 {
          scalar = 0x10000 + (scalar & 0x3FF) << 10 + low & 0x3FF
        } else {
          position = back
        }
      }
      return Unicode.Scalar(scalar) ?? "\u{FFFD}"
    default: throw malformed("an unknown escape in a string")
    }
  }

  private mutating func hexadecimal() throws(Malformed) -> UInt32 {
    var scalar: UInt32 = 0
    for _ in 0..<4 {
      let digit: UInt8
      switch current {
      case .some(let byte) where 0x30...0x39 ~= byte: digit = byte - 0x30
      case .some(let byte) where 0x61...0x66 ~= byte | 0x20: digit = (byte | 0x20) - 0x61 + 10
      default: throw malformed("expected four hexadecimal digits")
      }
      scalar = scalar << 4 | UInt32(digit)
      position += 1
    }
    return scalar
  }
}

extension JSONText.Value {
  subscript(key: String) -> JSONText.Value? {
    guard case .object(let members) = self else { return nil }
    return members.last { $0.key.elementsEqual(key.utf8) }?.value
  }

  /// The bytes of a string.
  var bytes: [UInt8]? { if case .string(let bytes) = self { bytes } else { nil } }

  var text: String? {
    if case .string(let bytes) = self { String(decoding: bytes, as: UTF8.self) } else { nil }
  }

  var bool: Bool? { if case .bool(let value) = self { value } else { nil } }

  var int: Int? {
    if case .number(let value) = self, value.rounded() == value, abs(value) < 1e15 {
      Int(value)
    } else {
      nil
    }
  }

  var array: [JSONText.Value]? { if case .array(let items) = self { items } else { nil } }

  var isNull: Bool { if case .null = self { true } else { false } }
}
