import Evaluation
import Support
import Testing
import Tokenization

/// (tokenizer order, input orders, output order): every variant of Figure 2 in small.
let smallVariants: [(Int, [Int], Int)] = [
  (1, [1], 1), (2, [1], 1), (3, [1], 1), (1, [3], 1), (1, [1, 2], 1), (1, [1], 2), (1, [2], 3),
  (2, [2], 1),
]

func smallVariant(_ index: Int, terminals: [UInt8] = [1, 2]) throws -> Variant {
  let (tokenizer, inputs, output) = smallVariants[index]
  return try Variant(
    alphabet: Alphabet(terminals), tokenizerOrder: tokenizer, inputOrders: inputs,
    outputOrder: output)
}

@Suite struct GenerationTests {
  /// Frequencies of all outcomes against their exact probabilities: every one within 4.5 standard
  /// errors (a few hundred comparisons: false alarm below 1 %, and the seed is fixed).
  @Test(arguments: smallVariants.indices, [Draw.label, .token])
  func frequenciesAreTheModels(index: Int, draw: Draw) throws {
    let variant = try smallVariant(index, terminals: [4, 9])
    let model = TableModel(variant, seed: 21, allowsBOS: true)
    let limits = GenerationLimits(symbols: 4, positions: 4)
    let expected = BruteForce(variant: variant, model: model, limits: limits).outcomes()
    #expect(abs(expected.values.reduce(0, +) - 1) < 1e-12)
    let count = 40_000
    let sentences = try generate(
      0..<count, seed: 1, variant: variant, session: model, limits: limits, draw: draw)
    var seen: [String: Int] = [:]
    for sentence in sentences {
      seen[BruteForce.key(sentence.symbols, sentence.ending), default: 0] += 1
    }
    for key in seen.keys { #expect(expected[key] != nil, "\(key) is impossible") }
    for (key, p) in expected {
      let frequency = Double(seen[key] ?? 0) / Double(count)
      let error = (p * (1 - p) / Double(count)).squareRoot()
      #expect(abs(frequency - p) < 4.5 * error + 1.0 / Double(count), "\(key)")
    }
  }

  /// Sentence i is the same alone, in any company, and wherever its group begins.
  @Test(arguments: smallVariants.indices)
  func sentencesDoNotSeeEachOther(index: Int) throws {
    let variant = try smallVariant(index)
    let model = TableModel(variant, seed: 5)
    let limits = GenerationLimits(symbols: 12, positions: 13)
    func make(_ range: Range<Int>) throws -> [GeneratedSentence] {
      try generate(
        range, seed: 9, variant: variant, session: model, limits: limits, draw: .label)
    }
    let whole = try make(0..<33)
    #expect(try (0..<33).flatMap { try make($0..<$0 + 1) } == whole)
    #expect(try make(7..<20) == Array(whole[7..<20]))
    #expect(try make(5..<5) == [])
    for batch in [1, 2, 7, 64] {
      let some = try generate(
        0..<33, batch: batch, seed: 9, variant: variant, session: model, limits: limits,
        draw: .label)
      #expect(some == whole)
    }
    let other = try generate(
      0..<33, seed: 10, variant: variant, session: model, limits: limits, draw: .label)
    #expect(other != whole)
  }

  @Test func finishedSentencesLeaveTheBatch() throws {
    let variant = try smallVariant(0)
    let model = TableModel(variant, seed: 5)
    _ = try generate(
      0..<50, seed: 9, variant: variant, session: model,
      limits: GenerationLimits(symbols: 40, positions: 41), draw: .label)
    #expect(model.batchSizes.first == 50)
    #expect(model.batchSizes == model.batchSizes.sorted(by: >))
    #expect((model.batchSizes.last ?? 50) < 50)
  }

  /// As one ends the next takes its place; at the end the batch runs empty.
  @Test func finishedSentencesMakeRoom() throws {
    let model = TableModel(try smallVariant(0), seed: 5)
    let sentences = try generate(
      0..<50, batch: 8, seed: 9, variant: smallVariant(0), session: model,
      limits: GenerationLimits(symbols: 40, positions: 41), draw: .label)
    #expect(sentences.count == 50)
    #expect(model.batchSizes.allSatisfy { $0 <= 8 })
    let full = model.batchSizes.prefix { $0 == 8 }
    #expect(full.count > model.batchSizes.count / 2)
    let tail = model.batchSizes.drop { $0 == 8 }
    #expect(tail.elementsEqual(tail.sorted(by: >)))
    // One draw a position: symbols, and EOS unless the sentence was given up.
    let draws = sentences.reduce(0) { $0 + $1.symbols.count + ($1.ending == .tooLong ? 0 : 1) }
    #expect(model.batchSizes.reduce(0, +) == draws)
  }

  /// Logits that leave one label possible.
  private func certain(_ label: Int, _ variant: Variant) -> TableModel {
    let weights = variant.mapper.tables.map { table in
      (0..<table.rows * variant.labels).map {
        $0 % variant.labels == label ? Float(0) : -Float.infinity
      }
    }
    return TableModel(weights: weights, labels: variant.labels)
  }

  @Test func endings() throws {
    let variant = try smallVariant(0)
    func one(_ label: Int, _ limits: GenerationLimits) throws -> GeneratedSentence {
      try generate(
        0..<1, seed: 0, variant: variant, session: certain(label, variant), limits: limits,
        draw: .label)[0]
    }
    let roomy = GenerationLimits(symbols: 5, positions: 100)
    #expect(try one(1, roomy) == GeneratedSentence(symbols: [], ending: .complete))
    #expect(try one(0, roomy) == GeneratedSentence(symbols: [], ending: .malformed))
    let long = try one(3, roomy)
    #expect(long.ending == .tooLong && long.symbols == [2, 2, 2, 2, 2, 2])
    let short = try one(3, GenerationLimits(symbols: 5, positions: 3))
    #expect(short.ending == .tooLong && short.symbols == [2, 2, 2])
    let none = try one(3, GenerationLimits(symbols: 5, positions: 0))
    #expect(none == GeneratedSentence(symbols: [], ending: .tooLong))
  }

  /// A shorter gram in the middle is kept: the symbols are strung together.
  @Test func tailGramsInTheMiddleAreKept() throws {
    let variant = try smallVariant(1)
    let one = try generate(
      0..<1, seed: 0, variant: variant, session: certain(2, variant),
      limits: GenerationLimits(symbols: 3, positions: 100), draw: .label)
    #expect(one == [GeneratedSentence(symbols: [1, 1, 1, 1], ending: .tooLong)])
  }
}
