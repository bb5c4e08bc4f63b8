import DataStages
import Grammar
import Shards
import Support
import Testing

@Suite struct SampleStageTests {
  private let folder: DataFolder
  private let grammar: String

  init() throws {
    folder = try DataFolder()
    grammar = folder.path + "/small.grammar"
    try AtomicFile.write("root: 3\nterminals: 1..2\n3 -> 1 2 | 2 | 1 2 1 1\n", to: grammar)
  }

  private func parameters(_ documents: Int, perShard: Int = 600) throws -> ConfigValue {
    [
      "grammar": .string(grammar),
      "grammarDigest": .string(SHA256.hex(of: try FileBytes.read(grammar))), "root": 3, "seed": 5,
      "stream": "train", "documents": .integer(documents),
      "documentsPerShard": .integer(perShard), "compressionLevel": 1,
    ]
  }

  /// 600 documents a shard are more than are drawn at a time.
  @Test(arguments: [1, 599, 600, 601, 1500])
  func sentencesAreThoseOfTheSampler(documents: Int) throws {
    let (set, _) = try folder.sameForAnyThreads(
      "sample", parameters(documents), [:], name: "sample"
    ) { configuration, output, threads in
      let summary = try SampleStage(configuration).run(output: output, threads: threads)
      #expect(summary.text.hasPrefix("\(documents) sentences of small rooted at 3, "))
    }
    let sampler = SentenceSampler(
      try Grammar(bytes: FileBytes.read(grammar), source: grammar).rooted(at: 3), seed: 5,
      stream: "train")
    let expected = (0..<documents).map { i in
      var sentence: [UInt8] = []
      sampler.appendSentence(UInt64(i), to: &sentence)
      return sentence.map(Int.init)
    }
    #expect(try set.ids() == expected)
    #expect(set.shards.count == (documents + 599) / 600)
    #expect(set.metadata["characters"] == .integer(expected.reduce(0) { $0 + $1.count }))
  }

  @Test func refusesAnotherGrammarAndNoDocuments() throws {
    let planned = try folder.job("sample", parameters(3), [:], name: "planned")
    try AtomicFile.write("root: 3\nterminals: 1..2\n3 -> 1 2 | 2\n", to: grammar)
    #expect(
      refusal { _ = try SampleStage(planned.configuration) }.contains(
        "the grammar is not the one that was planned"))
    let none = try folder.job("sample", parameters(0), [:], name: "none")
    #expect(refusal { _ = try SampleStage(none.configuration) }.contains("documents"))
  }
}
