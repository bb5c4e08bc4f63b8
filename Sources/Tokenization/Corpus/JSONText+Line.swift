import CTokenization

// One line of a corpus: an object of which only the text is wanted. Nothing is built of the rest, but
// all of it is checked.

extension JSONText {
  /// Reads the object that is the whole text and appends its member `text` to `output`: of several the
  /// last, as every JSON reader takes it. Returns false, with nothing appended, when there is none or
  /// when it is no string.
  mutating func appendText(to output: inout [UInt8]) throws(Malformed) -> Bool {
    let start = output.count
    var isFound = false
    try skipObject { (isText, reader) throws(Malformed) in
      if !isText { return try reader.skipValue() }
      output.removeLast(output.count - start)
      isFound = reader.current == UInt8(ascii: "\"")
      if isFound { try reader.appendString(to: &output) } else { try reader.skipValue() }
    }
    skipSpace()
    if position != bytes.count { throw malformed("text behind the object") }
    return isFound
  }

  /// Checks the value at `position` and goes behind it.
  mutating func skipValue() throws(Malformed) {
    skipSpace()
    guard let first = current else { throw malformed("the text ends where a value should be") }
    try enter()
    defer { leave() }
    switch first {
    case UInt8(ascii: "\""): try skipString()
    case UInt8(ascii: "{"):
      try skipObject { (_, reader) throws(Malformed) in try reader.skipValue() }
    case UInt8(ascii: "["):
      position += 1
      skipSpace()
      if current == UInt8(ascii: "]") {
        position += 1
        return
      }
      while true {
        try skipValue()
        skipSpace()
        if current == UInt8(ascii: "]") { break }
        try expect(UInt8(ascii: ","))
      }
      position += 1
    case UInt8(ascii: "t"): try word("true")
    case UInt8(ascii: "f"): try word("false")
    case UInt8(ascii: "n"): try word("null")
    default: _ = try numberBytes()
    }
  }

  /// Calls `member` for each member, the reader standing at its value, which `member` must consume, and
  /// tells it whether the key is `text`.
  @inline(__always)
  private mutating func skipObject(
    _ member: (Bool, inout JSONText) throws(Malformed) -> Void
  ) throws(Malformed) {
    try expect(UInt8(ascii: "{"))
    skipSpace()
    if current == UInt8(ascii: "}") {
      position += 1
      return
    }
    while true {
      skipSpace()
      let isText = try skipKey()
      try expect(UInt8(ascii: ":"))
      skipSpace()
      try member(isText, &self)
      skipSpace()
      if current == UInt8(ascii: "}") { break }
      try expect(UInt8(ascii: ","))
    }
    position += 1
  }

  /// Goes behind a key; returns whether it is `text`.
  private mutating func skipKey() throws(Malformed) -> Bool {
    let start = position
    let hasEscapes = try skipString()
    if hasEscapes {
      var reader = JSONText(UnsafeBufferPointer(rebasing: bytes[start..<position]))
      return try reader.string().elementsEqual("text".utf8)
    }
    return position - start == 6 && bytes[start + 1] == UInt8(ascii: "t")
      && bytes[start + 2] == UInt8(ascii: "e") && bytes[start + 3] == UInt8(ascii: "x")
      && bytes[start + 4] == UInt8(ascii: "t")
  }

  /// Goes behind a string; returns whether it has escapes.
  @discardableResult
  private mutating func skipString() throws(Malformed) -> Bool {
    guard current == UInt8(ascii: "\"") else { throw malformed("expected a string") }
    position += 1
    var hasEscapes = false
    while true {
      skipPlain()
      guard let byte = current else { throw malformed("a string without an end") }
      if byte < 0x20 { throw malformed("a control character in a string") }
      position += 1
      if byte == 0x22 { return hasEscapes }
      hasEscapes = true
      _ = try escape()
    }
  }
}
