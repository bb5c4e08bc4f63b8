import Benchmark
import Testing
import Tokenization

@Suite struct TokenizerBenchTests {
  private let texts = ["the cat", "sat on", "", "the mat and the cat"]

  private func bench(threads: Int) -> TokenizerBench {
    TokenizerBench(documents: texts.flatMap { Array($0.utf8) + [0] }, threads: threads)
  }

  /// Timed are the ids that one document after another gives; empty texts are no documents.
  @Test func passesGiveTheIdsOfEachDocument() throws {
    let training = BytePairTraining(vocabularySize: 262, pattern: .gpt2)
    let runs = try [1, 3].map { try bench(threads: $0).train(training) }
    #expect(runs[0].trained.tokens == runs[1].trained.tokens)
    #expect(runs[0].pretokens == 7 && runs[1].pretokens == 7)
    let model = runs[0].trained.model
    let encoder = BytePairEncoder(model)
    let expected = texts.filter { !$0.isEmpty }.map { encoder.encode(Array($0.utf8)) }
    for threads in [1, 2] {
      var passes: [Int] = []
      let encoded = bench(threads: threads).encode(model, passes: 2, findsSpecialTokens: false) {
        passes.append($0)
        #expect($1.ids == expected.joined().count)
      }
      #expect(passes == [0, 1])
      #expect(encoded.ids == Array(expected.joined()))
      #expect(encoded.counts == expected.map { UInt64($0.count) })
    }
  }
}
