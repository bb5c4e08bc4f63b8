import Support
import Testing

@Suite struct JSONTests {
  private func parse(_ text: String) throws -> ConfigValue {
    try ConfigValue.parse(json: text, source: "test.json")
  }

  @Test func readsEveryKind() throws {
    let text = """
      {"a": [1, -2, 3.5, 1e3, -0.0], "b": {"c": null, "d": true, "e": false},
       "f": "x\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00é", "": {}, "g": []}
      """
    #expect(
      try parse(text) == [
        "a": [1, -2, 3.5, 1000.0, -0.0], "b": ["c": .null, "d": true, "e": false],
        "f": .string("x\"\\/\u{8}\u{c}\n\r\té😀é"), "": [:], "g": [],
      ])
  }

  @Test(arguments: [
    "", " ", "{", "[", "[1,", "[1,]", "{,}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "[1 2]",
    "tru", "nul", "nan", "Infinity", "-", "+1", "01", "-01", "1.", ".5", "1e", "1e+", "0x1",
    "\"", "\"\\", "\"\\x\"", "\"\\u12g4\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"",
    "\"a\nb\"", "{} {}", "[] x", "'a'", "[1]//", "9223372036854775808", "-9223372036854775809",
    "1e999", "-1e999", "{\"a\":1,\"a\":2}", "\u{FEFF}{}",
  ])
  func refuses(text: String) throws {
    let error = #expect(throws: UserError.self) { try parse(text) }
    #expect(error?.description.hasPrefix("test.json:") == true, "\(error?.description ?? "")")
  }

  @Test func refusesWhatIsNotUTF8() {
    for bytes: [UInt8] in [
      [0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22],
    ] {
      #expect(throws: UserError.self) { try ConfigValue.parse(json: bytes, source: "x") }
    }
  }

  /// A bomb of brackets is an error, not the end of the stack.
  @Test(arguments: ["[", "{\"a\":"])
  func nestingHasALimit(opening: String) throws {
    let closing = opening == "[" ? "]" : "}"
    let inner = opening == "[" ? "[]" : "{}"
    let nested = { (depth: Int) in
      String(repeating: opening, count: depth - 1) + inner
        + String(repeating: closing, count: depth - 1)
    }
    _ = try parse(nested(256))
    #expect(throws: UserError.self) { try parse(nested(257)) }
    #expect(throws: UserError.self) { try parse(String(repeating: opening, count: 1_000_000)) }
    #expect(throws: UserError.self) {
      try ConfigValue.parse(yaml: String(repeating: "[", count: 100_000), source: "x")
    }
    #expect(throws: UserError.self) {
      try ConfigValue.parse(yaml: String(repeating: "- ", count: 100_000), source: "x")
    }
  }

  @Test func namesTheLine() throws {
    let error = #expect(throws: UserError.self) { try parse("{\n\"a\": 1,\n\"b\": x}") }
    #expect(error?.description == "test.json:3: not valid JSON: expected a value")
  }

  @Test func readsBackBothSpellings() throws {
    let value: ConfigValue = [
      "text": "\u{0}\u{1F}\"\\é😀\u{2028}", "integers": [0, -1, .integer(.max), .integer(.min)],
      "numbers": [0.1, 1e300, .double(.leastNonzeroMagnitude), -0.0, 1.0], "empty": [[:], []],
      "mixed": [1, ["x": .null]],
    ]
    #expect(try parse(value.canonicalJSON) == value)
    #expect(try parse(value.prettyJSON) == value)
  }
}
