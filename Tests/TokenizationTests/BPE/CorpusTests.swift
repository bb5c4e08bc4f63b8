import Foundation
import Support
import Testing
import Tokenization

@Suite struct CorpusTests {
  static func read(
    _ corpus: Corpus, split: CorpusSplit? = nil, part: CorpusSplit.Part = .train,
    blockBytes: Int = 1 << 20
  ) throws -> [String] {
    let reader = CorpusReader(corpus, split: split, part: part, blockBytes: blockBytes)
    var texts: [String] = []
    while let block = try reader.next() {
      #expect(block.count > 0)
      block.withViews { views in
        for index in 0..<views.count {
          texts.append(String(decoding: views[index], as: UTF8.self))
        }
      }
    }
    return texts
  }

  @Test func filesDirectoriesAndGlobs() throws {
    let folder = try Fixtures.directory([
      "b.txt": "second", "a.md": "first",
      "c.jsonl": "{\"text\":\"third\"}\n\n{\"x\":1,\"text\":\"4\"}",
      "empty.txt": "", "other.csv": "no",
    ])
    #expect(try Self.read(Corpus([folder])) == ["first", "second", "third", "4"])
    #expect(try Self.read(Corpus([folder + "/*.txt"])) == ["second"])
    #expect(try Self.read(Corpus([folder + "/b.txt", folder + "/a.md"])) == ["second", "first"])
    for blockBytes in [1, 6, 7] {
      let texts = try Self.read(Corpus([folder]), blockBytes: blockBytes)
      #expect(texts == ["first", "second", "third", "4"])
    }
    for wrong in [folder + "/other.csv", folder + "/none.txt", folder + "/*.gz"] {
      #expect(throws: UserError.self) { try Corpus([wrong]) }
    }
    #expect(throws: UserError.self) { try Corpus([]) }
    #expect(try Corpus([folder + "/a.md"]).digest() != Corpus([folder + "/b.txt"]).digest())
  }

  @Test func escapes() throws {
    let folder = try Fixtures.directory([
      "a.jsonl":
        #"{"text": "\"\\\/\b\f\n\r\t\u00e9\ud83d\ude42\ud83d x", "more": [1, {"a": null}]}"#
    ])
    #expect(try Self.read(Corpus([folder])) == ["\"\\/\u{8}\u{C}\n\r\t\u{E9}🙂\u{FFFD} x"])
  }

  @Test(arguments: [
    ("{\"text\": \"a\"}\n{\"tex\": 1}\n", "c.jsonl:2: no text"), ("{\"text\": 5}", ":1: no text"),
    ("\n{\"text\": \"a\n", "c.jsonl:2: not a JSON object"), ("[1]", ":1: not a JSON object"),
    ("{\"text\": \"a\"} x", "behind"),
  ])
  func brokenLines(_ text: String, _ reason: String) throws {
    let folder = try Fixtures.directory(["c.jsonl": text])
    let error = #expect(throws: UserError.self) { try Self.read(Corpus([folder])) }
    #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
  }

  @Test(arguments: ["gz", "zst"])
  func compressedFilesAndTheirTruncations(_ coding: String) throws {
    let folder = try Fixtures.directory([:])
    let path = folder + "/t.txt." + coding
    let whole = try Data(
      contentsOf: URL(fileURLWithPath: Fixtures.path("corpus.txt." + coding)))
    let expected = try String(contentsOfFile: Fixtures.path("corpus.txt"), encoding: .utf8)
    try whole.write(to: URL(fileURLWithPath: path))
    #expect(try Self.read(Corpus([path])) == [expected])
    try (whole + whole).write(to: URL(fileURLWithPath: path))
    #expect(try Self.read(Corpus([path])) == [expected + expected])
    for kept in [1, 5, whole.count / 2, whole.count - 1] {
      try whole.prefix(kept).write(to: URL(fileURLWithPath: path))
      let error = #expect(throws: UserError.self) { try Self.read(Corpus([path])) }
      #expect(error?.description.contains("truncated") == true, "\(kept)")
    }
    var damaged = whole
    damaged[whole.count / 2] ^= 0xFF
    damaged[whole.count / 2 + 1] ^= 0xFF
    try damaged.write(to: URL(fileURLWithPath: path))
    #expect(throws: UserError.self) { try Self.read(Corpus([path])) }
  }

  @Test func splitsByDocument() throws {
    let lines = (0..<400).map { "{\"text\": \"document \($0)\"}" }.joined(separator: "\n")
    let folder = try Fixtures.directory(["c.jsonl": lines])
    let corpus = try Corpus([folder])
    let split = CorpusSplit(name: "split", seed: 3, validation: 0.25)
    let train = try Self.read(corpus, split: split, part: .train, blockBytes: 100)
    let validation = try Self.read(corpus, split: split, part: .validation)
    #expect(train.count + validation.count == 400)
    #expect(Set(train + validation).count == 400)
    // Four standard deviations of a binomial of 400 draws of 0.25.
    #expect(abs(validation.count - 100) <= 35)
    let other = try Self.read(
      corpus, split: CorpusSplit(name: "split", seed: 4, validation: 0.25), part: .validation)
    #expect(other != validation)
    let all = CorpusSplit(validation: 0)
    #expect(try Self.read(corpus, split: all, part: .validation).isEmpty)
  }
}
