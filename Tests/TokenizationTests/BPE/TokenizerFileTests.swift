import Foundation
import Support
import Testing
import Tokenization

@Suite struct TokenizerFileTests {
  /// A tokenizer.json of the 256 bytes, "ab" and "abc", with parts replaced.
  static func json(
    vocabulary extra: String = "\"ab\": 256, \"abc\": 257",
    merges: String = "[[\"a\", \"b\"], \"ab c\"]", added: String = "[]",
    normalizer: String = "null",
    preTokenizer: String =
      "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": true}",
    model: String = ""
  ) -> String {
    let bytes = (0...255).map { byte in
      let text = ByteAlphabet.printable([UInt8(byte)])
      return "\"\(text == "\"" || text == "\\" ? "\\" : "")\(text)\": \(byte)"
    }
    return """
      {"version": "1.0", "added_tokens": \(added), "normalizer": \(normalizer),
       "pre_tokenizer": \(preTokenizer), "model": {"type": "BPE", \(model)
       "vocab": {\(bytes.joined(separator: ", ")), \(extra)}, "merges": \(merges)}}
      """
  }

  static func load(_ text: String) throws -> BytePairModel {
    try .load(path: try Fixtures.directory(["tokenizer.json": text]))
  }

  @Test func bothFormsOfMerges() throws {
    let encoder = BytePairEncoder(try Self.load(Self.json()))
    #expect(encoder.encode("abcab") == [257, 256])
  }

  @Test func vocabularyWithMerges() throws {
    var vocabulary = "{"
    for byte in 0...255 {
      let text = ByteAlphabet.printable([UInt8(byte)])
      vocabulary += "\"\(text == "\"" || text == "\\" ? "\\" : "")\(text)\": \(byte), "
    }
    vocabulary += "\"ab\": 256, \"<|endoftext|>\": 257}"
    let merges = "#version: 0.2\na b\n"
    for (first, second) in [("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe")] {
      let directory = try Fixtures.directory([first: vocabulary, second: merges])
      let encoder = BytePairEncoder(try .load(path: directory))
      #expect(encoder.encode("ab<|endoftext|>a") == [256, 257, 97])
    }
    let broken = try Fixtures.directory(["vocab.json": vocabulary, "merges.txt": merges + "a zz\n"])
    let error = #expect(throws: UserError.self) { try BytePairModel.load(path: broken) }
    #expect(error?.description.contains("merges.txt:3") == true)
    #expect(error?.description.contains("zz") == true)
  }

  @Test(arguments: [
    (json(merges: "[[\"a\", \"zz\"]]"), "merges[0]"),
    (json(merges: "[[\"b\", \"a\"]]"), "found ba"),
    (json(vocabulary: "\"ab\": 7"), "duplicate id 7"),
    (json(vocabulary: "\"ab\": 256, \"ab\": 257"), "two ids"),
    (json(vocabulary: "\"ab\": -1"), "no id"),
    (json(added: "[{\"id\": 5, \"content\": \"<s>\", \"special\": true}]"), "duplicate id 5"),
    (json(added: "[{\"id\": 300, \"content\": \"<s>\", \"lstrip\": true}]"), "lstrip"),
    (json(normalizer: "{\"type\": \"NFKC\"}"), "NFKC"),
    (json(preTokenizer: "{\"type\": \"Whitespace\"}"), "Whitespace"),
    (
      json(
        preTokenizer: #"""
          {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": "\\w+"},
          "behavior": "Isolated", "invert": false}, {"type": "ByteLevel",
          "add_prefix_space": false, "use_regex": false}]}
          """#), #"\w+"#
    ),
    (
      json(preTokenizer: "{\"type\": \"ByteLevel\", \"add_prefix_space\": true}"),
      "add_prefix_space"
    ),
    (json(model: "\"byte_fallback\": true,"), "byte_fallback"),
    (json(model: "\"dropout\": 0.1,"), "dropout"),
    ("{\"model\": ", "not JSON"),
    ("{\"model\": {\"type\": \"Unigram\"}}", "Unigram"),
  ])
  func refusals(_ text: String, _ reason: String) throws {
    let error = #expect(throws: UserError.self) { try Self.load(text) }
    #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
  }

  @Test(arguments: [
    ("YQ== 0\nYg== 0\n", "t.tiktoken:2: duplicate id"), ("YQ== 0\nYQ== 1\n", "the same bytes"),
    ("YQ== 0\n%% 1\n", "t.tiktoken:2"), ("YQ==\n", "t.tiktoken:1"), ("YQ== 0\n", "--pattern"),
  ])
  func tiktokenRefusals(_ text: String, _ reason: String) throws {
    let directory = try Fixtures.directory(["t.tiktoken": text])
    let error = #expect(throws: UserError.self) {
      try BytePairModel.load(path: directory + "/t.tiktoken")
    }
    #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
  }

  /// An id far beyond what the file has room for would cost a table that the file cannot fill.
  @Test func forgedIdsAllocateNothing() throws {
    for text in ["YQ== 16777215\n", "YQ== 4096\n"] {
      let path = NSTemporaryDirectory() + UUID().uuidString + ".tiktoken"
      defer { try? FileManager.default.removeItem(atPath: path) }
      try AtomicFile.write(text, to: path)
      #expect(throws: UserError.self) { try BytePairModel.load(path: path) }
    }
    let forged = Self.json(vocabulary: "\"ab\": 16777215")
    #expect(throws: UserError.self) { try Self.load(forged) }
  }

  @Test func missingFiles() throws {
    #expect(throws: UserError.self) { try BytePairModel.load(path: "/nowhere/tokenizer.json") }
    let empty = try Fixtures.directory([:])
    #expect(throws: UserError.self) { try BytePairModel.load(path: empty) }
    let alone = try Fixtures.directory(["vocab.json": "{}"])
    #expect(throws: UserError.self) { try BytePairModel.load(path: alone) }
  }

  @Test func bytesWithoutATokenAreDropped() throws {
    let text = """
      {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}, "model": {"type": "BPE",
      "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}}
      """
    let encoder = BytePairEncoder(try Self.load(text))
    #expect(encoder.encode("axbx") == [2])
    #expect(encoder.encodeWithOffsets(Array("axb".utf8)).ranges == [0..<3])
    #expect(encoder.encode(String(repeating: "x", count: 100)).isEmpty)
  }
}
