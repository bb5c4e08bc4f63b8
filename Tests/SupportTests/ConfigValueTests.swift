import Foundation
import Support
import Testing

@Suite struct ConfigValueTests {
  @Test func readsTheTypesOfYAML() throws {
    let value = try ConfigValue.parse(
      yaml: """
        # a comment
        integer: -12
        number: 0.5
        exponent: 1e-3
        yes: yes
        flag: true
        nothing: ~
        quoted: "12"
        list: [1, two, 3.0]
        nested: {a: {b: 1}}
        """, source: "test")
    #expect(
      value == [
        "integer": -12, "number": 0.5, "exponent": 0.001, "yes": "yes", "flag": true,
        "nothing": .null, "quoted": "12", "list": [1, "two", 3.0], "nested": ["a": ["b": 1]],
      ])
  }

  @Test func windowsTextAndByteOrderMarks() throws {
    let text = "a: 1\nb:\n  c: [x, y]\n"
    let expected: ConfigValue = ["a": 1, "b": ["c": ["x", "y"]]]
    let path = NSTemporaryDirectory() + "config-" + UUID().uuidString
    for mark in ["", "\u{FEFF}"] {
      let windows = mark + text.replacingOccurrences(of: "\n", with: "\r\n")
      #expect(try ConfigValue.parse(yaml: windows, source: "test") == expected)
      try AtomicFile.write(windows, to: path + ".yaml")
      #expect(try ConfigValue.load(path: path + ".yaml") == expected)
      try AtomicFile.write(mark + expected.prettyJSON, to: path + ".json")
      #expect(try ConfigValue.load(path: path + ".json") == expected)
    }
  }

  /// K and the KELVIN SIGN, composed and decomposed letters are the same to Swift's String.
  @Test func textIsComparedByItsBytes() throws {
    for (a, b) in [("K", "\u{212A}"), ("\u{E9}", "e\u{301}"), ("\u{3A9}", "\u{2126}")] {
      #expect(a == b)
      #expect(ConfigValue.string(a) != .string(b))
      #expect(ConfigValue.array([.string(a)]) != [.string(b)])
      #expect(ConfigValue.object([a: 1]) != .object([b: 1]))
      #expect(ConfigValue.object([a: 1]) == .object([a: 1]))
      let json = #expect(throws: UserError.self) {
        try ConfigValue.parse(json: "{\"\(a)\": 1, \"\(b)\": 2}", source: "f.json")
      }
      #expect(json?.description.contains("normal form C") == true)
      let yaml = #expect(throws: UserError.self) {
        try ConfigValue.parse(yaml: "\(b): 2", source: "f.yaml")
      }
      #expect(yaml?.description.contains("f.yaml:1: the key") == true)
      #expect(try ConfigValue.parse(yaml: "\(a): 2", source: "f.yaml") == .object([a: 2]))
    }
  }

  @Test func canonicalFormIsSortedAndTight() {
    let value: ConfigValue = ["b": [1, 2.5, .null], "a": ["é": "x\"\\\n\u{1}"], "Z": true]
    #expect(
      value.canonicalJSON == #"{"Z":true,"a":{"é":"x\"\\\n\u0001"},"b":[1,2.5,null]}"#)
    #expect(value.prettyJSON.hasSuffix("}\n"))
  }

  @Test(arguments: [
    0.0, -0.0, 1, 0.1, 1.0 / 3, 1e16, 1e-5, .leastNonzeroMagnitude, .greatestFiniteMagnitude,
    123456789.123,
  ])
  func doublesReadBackExactly(value: Double) throws {
    let text = ConfigValue.array([.double(value)]).canonicalJSON
    guard case .array(let values) = try ConfigValue.parse(yaml: text, source: "test"),
      case .double(let back) = values.first
    else {
      Issue.record("\(text) is not a double")
      return
    }
    #expect(back.bitPattern == value.bitPattern)
  }

  @Test(arguments: [Int.min, -1, 0, 1, Int.max])
  func integersReadBackExactly(value: Int) throws {
    let text = ConfigValue.integer(value).canonicalJSON
    #expect(try ConfigValue.parse(yaml: text, source: "test") == .integer(value))
  }

  @Test func bothSpellingsReadBack() throws {
    let value: ConfigValue = [
      "a": [[1, 2], ["x": []]], "empty": [:], "text": "true", "line": "a\n\tb\u{7}", "null": .null,
    ]
    #expect(try ConfigValue.parse(yaml: value.canonicalJSON, source: "test") == value)
    #expect(try ConfigValue.parse(yaml: value.prettyJSON, source: "test") == value)
  }

  @Test(arguments: [
    ("a: 1\na: 2", "duplicate key 'a'"), ("a: &x 1\nb: *x", "anchors"), ("a: [1", "line"),
    ("a: 99999999999999999999", "64 bits"), ("a: 1e999", "finite"), ("[1]: 2", "a word"),
    ("a: 1\n---\nb: 2", "line"), ("\ta: 1", "line"),
  ])
  func refuses(yaml: String, message: String) {
    let error = #expect(throws: UserError.self) {
      try ConfigValue.parse(yaml: yaml, source: "file.yaml")
    }
    #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
    #expect(error?.description.hasPrefix("file.yaml:") == true)
  }
}

@Suite struct ConfigReaderTests {
  enum Kind: String, CaseIterable { case train, heldout }

  func reader(_ yaml: String) throws -> ConfigReader {
    try ConfigReader(ConfigValue.parse(yaml: yaml, source: "f.yaml"), source: "f.yaml")
  }

  @Test func readsWhatIsThere() throws {
    var r = try reader("{i: 3, d: 2, s: x, b: true, c: heldout, l: [1, 2], o: {k: 1}, t: [a]}")
    #expect(try r.int("i", in: 1...3) == 3)
    #expect(try r.double("d") == 2.0)
    #expect(try r.string("s") == "x")
    #expect(try r.bool("b"))
    #expect(try r.choice("c", Kind.self) == .heldout)
    #expect(try r.ints("l") == [1, 2])
    #expect(try r.strings("t") == ["a"])
    var o = try r.object("o")
    #expect(try o.int("k") == 1)
    #expect(try r.int("missing", default: 9) == 9)
    #expect(try r.optionalString("none") == nil)
    let hasOther = r.has("other")
    #expect(!hasOther)
    try r.finish()
    #expect(r.resolved["missing"] == 9)
    #expect(r.resolved["o"] == ["k": 1])
  }

  @Test func unknownKeyNamesTheNearest() throws {
    var r = try reader("{lerningRate: 1, depth: 2}")
    _ = try r.optionalDouble("learningRate")
    _ = try r.int("depth")
    let error = #expect(throws: UserError.self) { try r.finish() }
    #expect(
      error?.description
        == "f.yaml: lerningRate: unknown key: expected one of depth, learningRate. "
        + "Did you mean 'learningRate'?")
  }

  @Test func nestedObjectsAreFinishedToo() throws {
    var r = try reader("{model: {width: 1, hieght: 2}}")
    var model = try r.object("model")
    _ = try model.int("width")
    _ = try model.optionalInt("height")
    let error = #expect(throws: UserError.self) { try r.finish() }
    #expect(error?.description.contains("model.hieght: unknown key") == true)
    #expect(error?.description.contains("Did you mean 'model.height'?") == true)
  }

  @Test func wrongTypesAndRangesAreNamed() throws {
    var r = try reader("{i: 1.0, n: 0, s: 3, c: dev, l: [1, x], o: 4}")
    let cases: [(String, (inout ConfigReader) throws -> Void)] = [
      ("f.yaml: i: expected an integer, found number 1.0", { _ = try $0.int("i") }),
      (
        "f.yaml: n: expected an integer in 1...9, found integer 0",
        { _ = try $0.int("n", in: 1...9) }
      ),
      ("f.yaml: s: expected a string, found integer 3", { _ = try $0.string("s") }),
      (
        "f.yaml: c: expected one of train, heldout, found string 'dev'",
        { _ = try $0.choice("c", Kind.self) }
      ),
      ("f.yaml: l: expected a list of integers, found an array of 2", { _ = try $0.ints("l") }),
      ("f.yaml: o: expected an object, found integer 4", { _ = try $0.object("o") }),
      ("f.yaml: zzz: expected an integer, found no such key. Add it.", { _ = try $0.int("zzz") }),
    ]
    for (message, read) in cases {
      let error = #expect(throws: UserError.self) { try read(&r) }
      #expect(error?.description == message)
    }
  }

  @Test(arguments: [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("flaw", "lawn", 2)])
  func editDistance(a: String, b: String, distance: Int) {
    #expect(EditDistance.between(a, b) == distance)
    #expect(EditDistance.between(b, a) == distance)
  }
}
