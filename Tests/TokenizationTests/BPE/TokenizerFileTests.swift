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

  /// vocab.json of the 256 bytes, "ab" and the end of a text.
  private static func vocabulary(_ more: String = "") -> String {
    var vocabulary = "{"
    for byte in 0...255 {
      let text = ByteAlphabet.printable([UInt8(byte)])
      vocabulary += "\"\(text == "\"" || text == "\\" ? "\\" : "")\(text)\": \(byte), "
    }
    return vocabulary + "\"ab\": 256, \"<|endoftext|>\": 257\(more)}"
  }

  @Test func vocabularyWithMerges() throws {
    let merges = "#version: 0.2\na b\n"
    for (first, second) in [("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe")] {
      let directory = try Fixtures.directory([first: Self.vocabulary(), second: merges])
      let encoder = BytePairEncoder(try .load(path: directory))
      #expect(encoder.encode("ab<|endoftext|>a") == [256, 257, 97])
    }
    let broken = try Fixtures.directory([
      "vocab.json": Self.vocabulary(), "merges.txt": merges + "a zz\n",
    ])
    let error = #expect(throws: UserError.self) { try BytePairModel.load(path: broken) }
    #expect(error?.description.contains("merges.txt:3") == true)
    #expect(error?.description.contains("zz") == true)
  }

  /// Windows line ends, byte order marks, and version lines anywhere, as Hugging Face reads them.
  @Test(arguments: [
    "#version: 0.2\r\na b\r\n", "a b\r\n", "\u{FEFF}#version: 0.2\na b\n", "a b\n#version x\n",
    "#version: 0.2\n\na b",
  ])
  func mergesAsOtherSystemsWriteThem(_ merges: String) throws {
    let directory = try Fixtures.directory([
      "vocab.json": "\u{FEFF}" + Self.vocabulary(), "merges.txt": merges,
    ])
    let model = try BytePairModel.load(path: directory)
    #expect(BytePairEncoder(model).encode("ab") == [256])
  }

  @Test func ranksWithWindowsLineEnds() throws {
    let lines = "YQ== 0\r\nYg== 1\r\n\r\nYWI= 2\r\n"
    let directory = try Fixtures.directory(["t.tiktoken": "\u{FEFF}" + lines])
    let model = try BytePairModel.load(path: directory, pattern: .gpt2)
    #expect(BytePairEncoder(model).encode("abb") == [2, 1])
    let broken = try Fixtures.directory(["t.tiktoken": lines + "Yw== x\r\n"])
    let error = #expect(throws: UserError.self) { try BytePairModel.load(path: broken) }
    #expect(error?.description.contains("t.tiktoken:5") == true)
  }

  /// What Swift's String takes for one text, and Hugging Face for two tokens.
  @Test func tokensAreBytes() throws {
    let pairs = [("K", "\u{212A}"), ("\u{3A9}", "\u{2126}"), ("\u{E9}", "e\u{301}")]
    for (index, (first, second)) in pairs.enumerated() {
      let added =
        "[{\"id\": 300, \"content\": \"\(second)y\"}, {\"id\": 301, \"content\": \"\(first)x\"}]"
      let tokens = index == 1 ? "\"\(first)\": 256, \"\(second)\": 257, " : "\"\(second)\": 257, "
      let vocabulary = tokens + "\"ab\": 258, \"abc\": 259"
      let model = try Self.load(Self.json(vocabulary: vocabulary, added: added))
      let encoder = BytePairEncoder(model)
      #expect(encoder.encode("\(second)yab\(first)x") == [300, 258, 301])
      #expect(model.decode([257]) == Array(second.utf8))
      let wrong = "[{\"id\": 257, \"content\": \"\(first)\"}]"
      #expect(throws: UserError.self) {
        try Self.load(Self.json(vocabulary: vocabulary, added: wrong))
      }
    }
  }

  @Test func patternsAreUsedOrRefused() throws {
    let directory = try Fixtures.directory([
      "vocab.json": Self.vocabulary(", \"Bc\": 258"), "merges.txt": "a b\nB c\n",
    ])
    // GPT-2 leaves letters together, o200k cuts in front of the B.
    let encode = { (pattern: PretokenPattern?) in
      let model = try BytePairModel.load(path: directory, pattern: pattern)
      return (model.pattern, BytePairEncoder(model).encode("a1234"))
    }
    #expect(try encode(nil) == (.gpt2, [97, 49, 50, 51, 52]))
    #expect(try encode(.o200k).0 == .o200k)
    let own = try Fixtures.directory(["tokenizer.json": Self.json()])
    #expect(try BytePairModel.load(path: own, pattern: .gpt2).pattern == .gpt2)
    let error = #expect(throws: UserError.self) {
      try BytePairModel.load(path: own, pattern: .qwen2)
    }
    #expect(error?.description.contains("its own") == true)
    // The same cuts under another name.
    #expect(
      try BytePairModel.load(path: Fixtures.path("llama3.json"), pattern: .llama3).pattern
        == .cl100k)
  }

  @Test func theDigestCoversEveryFileThatIsRead() throws {
    func digest(_ merges: String) throws -> String {
      let directory = try Fixtures.directory([
        "vocab.json": Self.vocabulary(", \"bc\": 258"), "merges.txt": merges,
      ])
      let digest = try TokenizerSource(path: directory).digest
      #expect(try TokenizerSource(path: directory + "/vocab.json").digest == digest)
      return digest
    }
    #expect(try digest("a b\nb c\n") != digest("b c\na b\n"))
    #expect(try digest("a b\n") == digest("a b\n"))
  }

  @Test func whatIsNotReadIsNamed() throws {
    let piece = "\n\u{E}\n\u{5}<unk>\u{15}\0\0\0\0\u{18}\u{2}"
    for (files, reason) in [
      (["tokenizer.model": piece], "SentencePiece"), (["spiece.model": piece], "spiece.model"),
      (
        ["vocab.json": Self.vocabulary(), "merges.txt": "a b", "added_tokens.json": "{}"],
        "added_tokens"
      ),
      (["tokenizer.json": "merges\n"], "no JSON object"),
      (["x.tiktoken": "", "y.tiktoken": ""], "Name one"),
    ] {
      let directory = try Fixtures.directory(files)
      let error = #expect(throws: UserError.self) { try BytePairModel.load(path: directory) }
      #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
    }
    let merges = try Fixtures.directory(["merges.txt": "a b"])
    let error = #expect(throws: UserError.self) {
      try BytePairModel.load(path: merges + "/merges.txt")
    }
    #expect(error?.description.contains("Name vocab.json") == true)
    // Llama 3 calls ranks so too.
    let ranks = try Fixtures.directory(["tokenizer.model": "YQ== 0\nYg== 1\nYWI= 2\n"])
    #expect(try BytePairModel.load(path: ranks, pattern: .llama3).vocabularySize == 3)
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
