extension ConfigValue {
  /// Reads one JSON text (RFC 8259), strictly: UTF-8, no duplicate keys, integers of 64 bits, finite
  /// doubles, at most `maximumDepth` collections inside one another, nothing behind the value.
  ///
  /// What programs write is read by this; what people write, by `parse(yaml:)`. Numbers without a
  /// point or an exponent are integers, all others doubles.
  ///
  /// Memory and time are proportional to the text.
  ///
  /// - Parameter source: the name of the text in messages, usually its path.
  /// - Throws: `UserError` with source, line and what is wrong.
  package static func parse(
    json bytes: UnsafeBufferPointer<UInt8>, source: String
  ) throws -> ConfigValue {
    do throws(JSONFault) {
      var reader = JSONReader(bytes: bytes)
      return try reader.document()
    } catch {
      let line = bytes.prefix(error.offset).count { $0 == UInt8(ascii: "\n") } + 1
      throw UserError("\(source):\(line): not valid JSON: \(error.problem)")
    }
  }

  package static func parse(json bytes: [UInt8], source: String) throws -> ConfigValue {
    try bytes.withUnsafeBufferPointer { try parse(json: $0, source: source) }
  }

  package static func parse(json text: String, source: String) throws -> ConfigValue {
    try parse(json: Array(text.utf8), source: source)
  }

  /// Reads the JSON file at `path`, without its byte order mark if it has one.
  package static func load(json path: String) throws -> ConfigValue {
    try parse(json: Array(ByteLines.unmarked(FileBytes.read(path))), source: path)
  }

  /// Collections inside one another, at most.
  static let maximumDepth = 256
}

private struct JSONFault: Error {
  let problem: String
  let offset: Int
}

private struct JSONReader {
  let bytes: UnsafeBufferPointer<UInt8>
  private var position = 0
  private var depth = 0

  init(bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

  mutating func document() throws(JSONFault) -> ConfigValue {
    let result = try value()
    skipSpace()
    guard position == bytes.count else { throw fault("text behind the value") }
    return result
  }

  private func fault(_ problem: String) -> JSONFault {
    JSONFault(problem: problem, offset: position)
  }

  private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

  private mutating func skipSpace() {
    while let byte = current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
      position += 1
    }
  }

  private mutating func skip(_ byte: UInt8) -> Bool {
    guard current == byte else { return false }
    position += 1
    return true
  }

  private mutating func value() throws(JSONFault) -> ConfigValue {
    skipSpace()
    switch current {
    case UInt8(ascii: "{"): return try object()
    case UInt8(ascii: "["): return try array()
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case nil: throw fault("the text ends where a value should be")
    default: return try number()
    }
  }

  private mutating func enter() throws(JSONFault) {
    position += 1
    depth += 1
    guard depth <= ConfigValue.maximumDepth else {
      throw fault("more than \(ConfigValue.maximumDepth) collections inside one another")
    }
    skipSpace()
  }

  private mutating func array() throws(JSONFault) -> ConfigValue {
    try enter()
    defer { depth -= 1 }
    var items: [ConfigValue] = []
    if skip(UInt8(ascii: "]")) { return .array(items) }
    while true {
      items.append(try value())
      skipSpace()
      if skip(UInt8(ascii: "]")) { return .array(items) }
      guard skip(UInt8(ascii: ",")) else { throw fault("expected , or ]") }
    }
  }

  private mutating func object() throws(JSONFault) -> ConfigValue {
    try enter()
    defer { depth -= 1 }
    var members: [String: ConfigValue] = [:]
    if skip(UInt8(ascii: "}")) { return .object(members) }
    while true {
      skipSpace()
      guard current == UInt8(ascii: "\"") else { throw fault("expected a key") }
      let key = try string()
      if let reason = ConfigValue.fault(ofKey: key) { throw fault(reason) }
      skipSpace()
      guard skip(UInt8(ascii: ":")) else { throw fault("expected :") }
      guard members.updateValue(try value(), forKey: key) == nil else {
        throw fault("duplicate key '\(key)'")
      }
      skipSpace()
      if skip(UInt8(ascii: "}")) { return .object(members) }
      guard skip(UInt8(ascii: ",")) else { throw fault("expected , or }") }
    }
  }

  private mutating func word(
    _ word: StaticString, _ value: ConfigValue
  ) throws(JSONFault) -> ConfigValue {
    for index in 0..<word.utf8CodeUnitCount {
      guard skip(word.utf8Start[index]) else { throw fault("expected \(word)") }
    }
    return value
  }

  private mutating func number() throws(JSONFault) -> ConfigValue {
    let start = position
    _ = skip(UInt8(ascii: "-"))
    let leading = current
    let digits = skipDigits()
    guard digits > 0, digits == 1 || leading != UInt8(ascii: "0") else {
      throw fault("expected a value")
    }
    var isInteger = true
    if skip(UInt8(ascii: ".")) {
      isInteger = false
      guard skipDigits() > 0 else { throw fault("expected digits") }
    }
    if skip(UInt8(ascii: "e")) || skip(UInt8(ascii: "E")) {
      isInteger = false
      if !skip(UInt8(ascii: "-")) { _ = skip(UInt8(ascii: "+")) }
      guard skipDigits() > 0 else { throw fault("expected digits") }
    }
    let text = String(
      decoding: UnsafeBufferPointer(rebasing: bytes[start..<position]), as: UTF8.self)
    if isInteger {
      guard let integer = Int(text) else { throw fault("expected an integer of 64 bits") }
      return .integer(integer)
    }
    guard let number = Double(text), number.isFinite else {
      throw fault("expected a finite number")
    }
    return .double(number)
  }

  private mutating func skipDigits() -> Int {
    let start = position
    while let byte = current, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
      position += 1
    }
    return position - start
  }

  // MARK: - Strings

  private mutating func string() throws(JSONFault) -> String {
    position += 1
    var text: [UInt8] = []
    while true {
      let start = position
      while let byte = current, byte != 0x22, byte != 0x5C, byte >= 0x20 { position += 1 }
      text.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[start..<position]))
      guard let byte = current else { throw fault("a string without an end") }
      guard byte >= 0x20 else { throw fault("a control character in a string") }
      position += 1
      if byte == 0x22 { break }
      try escape(into: &text)
    }
    guard let string = String(validating: text, as: UTF8.self) else {
      throw fault("a string that is not UTF-8")
    }
    return string
  }

  private mutating func escape(into text: inout [UInt8]) throws(JSONFault) {
    guard let byte = current else { throw fault("a string without an end") }
    position += 1
    switch byte {
    case 0x22, 0x5C, 0x2F: text.append(byte)
    case UInt8(ascii: "b"): text.append(0x08)
    case UInt8(ascii: "f"): text.append(0x0C)
    case UInt8(ascii: "n"): text.append(0x0A)
    case UInt8(ascii: "r"): text.append(0x0D)
    case UInt8(ascii: "t"): text.append(0x09)
    case UInt8(ascii: "u"):
      var code = try hexadecimal()
      if code & 0xFC00 == 0xD800 {
        guard skip(0x5C), skip(UInt8(ascii: "u")) else { throw fault("half a surrogate pair") }
        let low = try hexadecimal()
        guard low & 0xFC00 == 0xDC00 else { throw fault("half a surrogate pair") }
        code = 0x10000 + (code & 0x3FF) << 10 + low & 0x3FF
      }
      guard let scalar = Unicode.Scalar(code) else { throw fault("half a surrogate pair") }
      text.append(contentsOf: UTF8.encode(scalar).map(Array.init) ?? [])
    default: throw fault("an unknown escape in a string")
    }
  }

  private mutating func hexadecimal() throws(JSONFault) -> UInt32 {
    var code: UInt32 = 0
    for _ in 0..<4 {
      let digit: UInt8
      switch current {
      case .some(let byte) where (0x30...0x39).contains(byte): digit = byte - 0x30
      case .some(let byte) where (0x61...0x66).contains(byte | 0x20): digit = (byte | 0x20) - 0x57
      default: throw fault("expected four hexadecimal digits")
      }
      code = code << 4 | UInt32(digit)
      position += 1
    }
    return code
  }
}
