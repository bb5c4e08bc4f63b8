import Evaluation
import Support
import Testing
import Tokenization

private func sentences(_ count: Int, terminals: [UInt8], seed: UInt64) -> [[UInt8]] {
  (0..<count).map { i in
    var stream = RandomStream(seed: seed, name: "sentences", index: UInt64(i))
    return (0..<i % 11).map { _ in terminals[Int(stream.below(UInt32(terminals.count)))] }
  }
}

private func scores(
  _ sentences: [[UInt8]], _ variant: Variant, _ model: TableModel, targets: [TokenTargets] = [],
  positionsPerGroup: Int = 40
) throws -> (logQ: [Double], divergence: [Double]) {
  let heldOut = try HeldOut(
    sentences: sentences, variant: variant, positionsPerGroup: positionsPerGroup,
    context: model.context)
  var row: [Float] = []
  let groups = try heldOut.groups.map {
    try $0.score(variant: variant, session: model, targets: targets, logProbabilities: &row)
  }
  return (groups.flatMap(\.logQ), groups.flatMap(\.divergence))
}

@Suite struct HeldOutTests {
  /// log Q by the chain rule, each factor an explicit sum over labels.
  @Test(arguments: smallVariants.indices)
  func logQIsTheProductOfExplicitSums(index: Int) throws {
    let variant = try smallVariant(index)
    let model = TableModel(variant, seed: 3)
    let brute = BruteForce(
      variant: variant, model: model, limits: GenerationLimits(symbols: 99, positions: 99))
    let held = sentences(23, terminals: [1, 2], seed: 1)
    let result = try scores(held, variant, model)
    #expect(result.logQ.count == held.count)
    for (i, symbols) in held.enumerated() {
      let tokens = try variant.tokenizer.encode(symbols)
      var expected = 0.0
      for t in 1..<tokens.count {
        expected += logarithm(brute.nextTokens(Array(tokens[..<t]))[Int(tokens[t])])
      }
      #expect(abs(result.logQ[i] - expected) < 1e-5 * max(1, abs(expected)))
    }
  }

  /// Q over all strings of up to four symbols is what generation ends with.
  @Test(arguments: smallVariants.indices)
  func logQAgreesWithGeneration(index: Int) throws {
    // An n-gram tokenizer reaches a string through other token sequences too: log Q counts the
    // canonical one only, so it is at most what generation gives.
    let variant = try smallVariant(index)
    let model = TableModel(variant, seed: 8)
    let outcomes = BruteForce(
      variant: variant, model: model, limits: GenerationLimits(symbols: 4, positions: 9)
    ).outcomes()
    var strings: [[UInt8]] = [[]]
    for i in 0..<15 { strings += [strings[i] + [1], strings[i] + [2]] }
    let result = try scores(strings, variant, model)
    for (string, logQ) in zip(strings, result.logQ) {
      let generated = outcomes[BruteForce.key(string, .complete)] ?? 0
      if variant.tokenizer.vocabulary.order == 1 {
        #expect(abs(exponential(logQ) - generated) < 1e-6)
      } else {
        #expect(exponential(logQ) < generated + 1e-6)
      }
    }
  }

  @Test(arguments: smallVariants.indices)
  func divergenceIsTheExplicitSum(index: Int) throws {
    let variant = try smallVariant(index)
    let model = TableModel(variant, seed: 4)
    let truth = TableModel(variant, seed: 5)
    let limits = GenerationLimits(symbols: 99, positions: 99)
    let q = BruteForce(variant: variant, model: model, limits: limits)
    let p = BruteForce(variant: variant, model: truth, limits: limits)
    let held = sentences(9, terminals: [1, 2], seed: 2)
    var targets: [TokenTargets] = []
    var own: [TokenTargets] = []
    var expected: [Double] = []
    for symbols in held.prefix(7) {
      let tokens = try variant.tokenizer.encode(symbols)
      var rows: [Double] = []
      var same: [Double] = []
      var sum = 0.0
      for t in 1..<tokens.count {
        let prefix = Array(tokens[..<t])
        let a = p.nextTokens(prefix)
        let b = q.nextTokens(prefix)
        rows += a
        same += b
        for k in a.indices where a[k] > 0 { sum += a[k] * logarithm(a[k] / b[k]) }
      }
      targets.append(TokenTargets(probabilities: rows))
      own.append(TokenTargets(probabilities: same))
      expected.append(sum)
    }
    let result = try scores(held, variant, model, targets: targets)
    #expect(result.divergence.count == 7)
    for (a, b) in zip(result.divergence, expected) { #expect(abs(a - b) < 1e-5 * max(1, b)) }
    let zero = try scores(held, variant, model, targets: own)
    #expect(zero.divergence.allSatisfy { abs($0) < 1e-5 })
  }

  /// Groups are a matter of memory: the scores are the same bits.
  @Test(arguments: [1, 7, 64, 10_000])
  func groupsDoNotMatter(positions: Int) throws {
    let variant = try smallVariant(5)
    let model = TableModel(variant, seed: 3)
    let held = sentences(40, terminals: [1, 2], seed: 6)
    let reference = try scores(held, variant, model)
    let result = try scores(held, variant, model, positionsPerGroup: positions)
    #expect(result.logQ == reference.logQ)
  }

  @Test func tokenProbabilitiesSurviveExtremes() throws {
    let variant = try smallVariant(5)
    var row = [Float](repeating: -30_000, count: variant.labels)
    row[1] = 0
    var result = [Double](repeating: 1, count: variant.tokens)
    var span = result.mutableSpan
    variant.tokenLogProbabilities(row.span, into: &span)
    #expect(result[1] == 0)
    // One 1-gram and two 2-grams begin with each symbol.
    #expect(abs(result[2] - (-30_000 + logarithm(3))) < 1e-9)
    #expect(abs(result[3] - (-30_000 + logarithm(3))) < 1e-9)
  }

  /// Rows come rounded to Float; what is made of them are distributions to the precision of Double.
  @Test(arguments: [0, 1, 5])
  func tokenProbabilitiesSumToOne(index: Int) throws {
    let variant = try smallVariant(index)
    let model = TableModel(variant, seed: 12)
    var row = [Float](repeating: 0, count: variant.labels)
    for first in 0..<4 {
      model.score(
        rows: variant.mapper.tables.map { _ in [UInt32(first)] }, offsets: [0, 1], into: &row)
      let rounded = row.reduce(0.0) { $0 + exponential(Double($1)) }
      #expect(abs(rounded - 1) < 1e-6)
      var result = [Double](repeating: 1, count: variant.tokens)
      var span = result.mutableSpan
      variant.tokenLogProbabilities(row.span, into: &span)
      #expect(abs(result.reduce(0) { $0 + exponential($1) } - 1) < 1e-14)
      for (k, value) in result.enumerated() where !variant.isJoint && value > -.infinity {
        #expect(abs(value - Double(row[k])) < 1e-6)
      }
    }
  }

  @Test func refusals() throws {
    let variant = try smallVariant(0)
    #expect(throws: UserError.self) {
      try HeldOut(sentences: [], variant: variant, positionsPerGroup: 8, context: 8)
    }
    #expect(throws: UserError.self) {
      try HeldOut(sentences: [[1, 2, 3]], variant: variant, positionsPerGroup: 8, context: 8)
    }
    #expect(throws: Never.self) {
      try HeldOut(sentences: [[1, 2, 1]], variant: variant, positionsPerGroup: 8, context: 4)
    }
    #expect(throws: UserError.self) {
      try HeldOut(sentences: [[1, 2, 1]], variant: variant, positionsPerGroup: 8, context: 3)
    }
  }
}
