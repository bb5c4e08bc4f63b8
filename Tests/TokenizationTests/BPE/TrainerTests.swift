import Foundation
import Parallel
import Support
import Testing
import Tokenization

@Suite struct TrainerTests {
  static func lines() throws -> [String] {
    try String(contentsOfFile: Fixtures.path("corpus.txt"), encoding: .utf8)
      .split(separator: "\n", omittingEmptySubsequences: true).map(String.init)
  }

  static func count(_ lines: [String], _ pattern: PretokenPattern, threads: Int) -> PretokenCounter
  {
    let counters = (0..<threads).map { _ in PretokenCounter(pattern) }
    var bytes: [UInt8] = []
    var offsets = [0]
    for line in lines {
      bytes += Array(line.utf8)
      offsets.append(bytes.count)
    }
    bytes.withUnsafeBufferPointer {
      PretokenCounter.count(
        DocumentViews($0, offsets: offsets), pattern: pattern, into: counters,
        pool: WorkerPool(threads: threads))
    }
    for counter in counters.dropFirst() { counters[0].merge(counter) }
    return counters[0]
  }

  static func train(
    _ lines: [String], _ pattern: PretokenPattern, _ size: Int, special: [String] = [],
    threads: Int = 1
  ) throws -> TrainedTokenizer {
    try BytePairTrainer.train(
      BytePairTraining(vocabularySize: size, pattern: pattern, specialTokens: special),
      on: count(lines, pattern, threads: threads))
  }

  @Test(arguments: [
    ("gpt2", PretokenPattern.gpt2, 600, ["<|endoftext|>"]),
    ("cl100k", .cl100k, 600, ["<|endoftext|>"]), ("none", .none, 400, []),
  ])
  func mergesEqualHuggingFace(
    _ name: String, _ pattern: PretokenPattern, _ size: Int, _ special: [String]
  ) throws {
    let expected = try Fixtures.merges(name)
    for threads in [1, 3] {
      let trained = try Self.train(Self.lines(), pattern, size, special: special, threads: threads)
      #expect(trained.tokens.count == size)
      let merges = trained.merges.map {
        (trained.tokens[Int($0.left)], trained.tokens[Int($0.right)])
      }
      #expect(merges.elementsEqual(expected, by: ==))
    }
  }

  /// A byte, the space in the byte alphabet's spelling, and what merges make: as Hugging Face's trainer
  /// has it, each is one token, and what is written can be read.
  @Test func specialTokensThatTrainingAlsoMakes() throws {
    let special = ["|", "a", "\u{120}", "st"]
    let trained = try Self.train(Self.lines(), .gpt2, 600, special: special)
    let merges = trained.merges.map {
      (trained.tokens[Int($0.left)], trained.tokens[Int($0.right)])
    }
    let expected = try Fixtures.merges("special")
    #expect(merges.elementsEqual(expected, by: ==))
    #expect(expected.contains { $0.0 + $0.1 == Array("st".utf8) })
    let directory = try Fixtures.directory(["tokenizer.json": trained.huggingFaceJSON])
    let peer = try Fixtures.model("special")
    for model in [trained.model, try .load(path: directory)] {
      #expect(model.vocabularySize == 600 && model.textBytes == peer.textBytes)
      #expect(Array(model.textBytes.prefix(4)) == [1, 1, 1, 2])
      for finds in [false, true] {
        let encoder = BytePairEncoder(model, findsSpecialTokens: finds)
        let other = BytePairEncoder(peer, findsSpecialTokens: finds)
        for text in ["a stin|", "|st|", " a", "stst"] {
          #expect(encoder.encode(text) == other.encode(text))
          #expect(model.decode(encoder.encode(text)) == Array(text.utf8))
        }
      }
    }
    #expect(BytePairEncoder(peer).encode("a st|") == [1, 2, 3, 0])
    let ranks = try Fixtures.directory(["t.tiktoken": trained.tiktoken])
    let tiktoken = try BytePairModel.load(path: ranks + "/t.tiktoken", pattern: .gpt2)
    #expect(tiktoken.tokens.id(of: Array("|".utf8)) == 0)
    // A mark that no merge leads to is no token of text.
    let mark = try Self.train(Self.lines(), .gpt2, 300, special: ["<|end|>", "e\u{301}", "\u{E9}"])
    #expect(Array(mark.model.textBytes.prefix(4)) == [0, 0, 1, 1])
    #expect(mark.tokens.count == 300)
  }

  @Test func vocabularyAndMergesAreWritten() throws {
    let trained = try Self.train(Self.lines(), .qwen2, 600, special: ["<|endoftext|>"])
    let directory = try Fixtures.directory([
      "vocab.json": trained.vocabularyJSON, "merges.txt": try #require(trained.mergesText),
    ])
    let encoder = BytePairEncoder(try .load(path: directory, pattern: .qwen2))
    let fixture = BytePairEncoder(trained.model)
    for item in try Fixtures.cases() {
      #expect(encoder.encode(item.text) == fixture.encode(item.text))
    }
    // What every reader of merges.txt takes for its version: a merge that cannot be written there.
    let shader = try Self.train(["#versions", "#versions", "#version"], .qwen2, 270)
    #expect(shader.mergesText == nil)
    let whole = try Fixtures.directory(["tokenizer.json": shader.huggingFaceJSON])
    #expect(
      BytePairEncoder(try .load(path: whole)).encode("#versions")
        == BytePairEncoder(shader.model).encode("#versions"))
  }

  @Test func writtenFilesGiveTheSameIds() throws {
    let trained = try Self.train(Self.lines(), .cl100k, 600, special: ["<|endoftext|>"])
    let directory = try Fixtures.directory([
      "tokenizer.json": trained.huggingFaceJSON, "small.tiktoken": trained.tiktoken,
    ])
    let models = [
      trained.model, try .load(path: directory),
      try .load(path: directory + "/small.tiktoken", pattern: .cl100k),
    ]
    let fixture = BytePairEncoder(try Fixtures.model("cl100k"), findsSpecialTokens: false)
    for model in models {
      let encoder = BytePairEncoder(model, findsSpecialTokens: false)
      for item in try Fixtures.cases() {
        #expect(encoder.encode(item.text) == fixture.encode(item.text))
      }
    }
  }

  @Test func stopsWhenNoPairIsLeft() throws {
    let trained = try Self.train(["ab ab", "aaaa"], .gpt2, 1000)
    #expect(trained.tokens.count < 1000)
    #expect(trained.tokens.last.map { $0.count >= 2 } == true)
    #expect(try Self.train([], .gpt2, 300).merges.isEmpty)
  }

  @Test func countsEqualTheTwin() throws {
    var generator = TextGenerator(random: RandomStream(seed: 17, name: "counts"))
    let texts = (0..<200).map { _ in generator.text(pieces: 50) }
    var expected: [[UInt8]: UInt64] = [:]
    for text in texts {
      for pretoken in ReferenceTokenizer(.cl100k).pretokens(text) {
        expected[Array(pretoken.utf8), default: 0] += 1
      }
    }
    for threads in [1, 2] {
      var found: [[UInt8]: UInt64] = [:]
      let counter = Self.count(texts, .cl100k, threads: threads)
      counter.forEach { found[Array($0)] = $1 }
      #expect(found == expected)
      #expect(counter.distinct == expected.count)
    }
  }

  @Test(arguments: [(255, [String]()), (256, ["<s>"]), (300, ["a", "a"]), (300, [""])])
  func refusals(_ size: Int, _ special: [String]) {
    #expect(throws: UserError.self) { try Self.train(["a"], .gpt2, size, special: special) }
  }
}
