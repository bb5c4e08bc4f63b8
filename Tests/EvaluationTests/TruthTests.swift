import Evaluation
import Grammar
import Parallel
import Support
import Testing
import Tokenization

/// Ambiguous, of different lengths, unequal probabilities: 1 1 2 has two derivations.
private let grammarText = """
  root: 9
  terminals: 1..2

  9 -> 6 7 | 7 6 | 6

  6 -> 3 4 | 4
  7 -> 4 | 3 3 4

  3 -> 1 | 1 2
  4 -> 2 | 1 2 | 2 2 1
  """

private func strings(upTo length: Int) -> [[UInt8]] {
  var all: [[UInt8]] = [[]]
  var layer: [[UInt8]] = [[]]
  for _ in 0..<length {
    layer = layer.flatMap { [$0 + [1], $0 + [2]] }
    all += layer
  }
  return all
}

/// The language with its probabilities, from the parser of whole strings.
private struct Language {
  let grammar: Grammar
  var probabilities: [[UInt8]: Double] = [:]

  init() throws {
    grammar = try Grammar(parsing: grammarText, source: "test grammar")
    var parser = Parser(grammar)
    for string in strings(upTo: grammar.lengthRange.upperBound) {
      let p = parser.log2Probability(string)
      if p > -.infinity { probabilities[string] = exponential(p * logarithm(2)) }
    }
  }

  func prefixProbability(_ prefix: [UInt8]) -> Double {
    probabilities.reduce(0) { $1.key.starts(with: prefix) ? $0 + $1.value : $0 }
  }

  var sentences: [[UInt8]] {
    probabilities.keys.sorted { $0.lexicographicallyPrecedes($1) }
  }
}

/// A model that is the grammar: log P(next | prefix), the prefix recovered from 1-gram rows of
/// a wide table.
private final class Oracle: LabelModel, LabelSession {
  let language: Language
  let labels = 4
  let tables = 1
  let context = 64
  private var prefixes: [[UInt8]] = []

  init(_ language: Language) { self.language = language }

  func makeSession(rows: Int, sequences: Int) -> any LabelSession { Oracle(language) }

  func restart(sequences: Int) { prefixes = Array(repeating: [], count: sequences) }

  func score(rows: [[UInt32]], offsets: [Int], into logProbabilities: inout [Float]) {
    for k in 0..<offsets.count - 1 {
      var prefix: [UInt8] = []
      for t in offsets[k]..<offsets[k + 1] {
        if t > offsets[k] { prefix.append(UInt8(rows[0][t] - 1)) }
        write(prefix, at: t, into: &logProbabilities)
      }
    }
  }

  func begin(sequences: Int) {
    prefixes.append(contentsOf: repeatElement([], count: sequences))
  }

  func retain(_ isLive: (Int) -> Bool) {
    prefixes = prefixes.indices.filter(isLive).map { prefixes[$0] }
  }

  func advance(rows: [[UInt32]], into logProbabilities: inout [Float]) {
    for n in prefixes.indices {
      if rows[0][n] > 0 { prefixes[n].append(UInt8(rows[0][n] - 1)) }
      write(prefixes[n], at: n, into: &logProbabilities)
    }
  }

  private func write(_ prefix: [UInt8], at n: Int, into logProbabilities: inout [Float]) {
    let whole = language.prefixProbability(prefix)
    let next = [
      0, language.probabilities[prefix] ?? 0, language.prefixProbability(prefix + [1]),
      language.prefixProbability(prefix + [2]),
    ]
    for k in 0..<4 { logProbabilities[n * 4 + k] = Float(logarithm(next[k] / whole)) }
  }
}

@Suite struct TruthTests {
  private let pool = WorkerPool(threads: 2)

  /// Targets against sums over the whole language, for every tokenizer and sentence.
  @Test(arguments: [1, 2, 3, 4])
  func targetsAreConditionalSums(order: Int) throws {
    let language = try Language()
    #expect(abs(language.probabilities.values.reduce(0, +) - 1) < 1e-12)
    let variant = try Variant(
      alphabet: Alphabet([1, 2]), tokenizerOrder: order, inputOrders: [1], outputOrder: 1)
    let truth = try Truth(
      grammar: language.grammar, sentences: language.sentences,
      targetSentences: language.sentences.count, variant: variant, pool: pool)
    // Total probability of everything that begins with a prefix of tokens, and of each such prefix.
    var mass: [[UInt32]: Double] = [:]
    for (sentence, p) in language.probabilities {
      let tokens = try variant.tokenizer.encode(sentence)
      for t in 1...tokens.count { mass[Array(tokens[..<t]), default: 0] += p }
    }
    for (i, sentence) in language.sentences.enumerated() {
      let tokens = try variant.tokenizer.encode(sentence)
      let table = truth.targets[i].probabilities
      #expect(table.count == (tokens.count - 1) * variant.tokens)
      var product = 1.0
      for t in 0..<tokens.count - 1 {
        let prefix = Array(tokens[...t])
        let row = table[t * variant.tokens..<(t + 1) * variant.tokens]
        #expect(abs(row.reduce(0, +) - 1) < 1e-12)
        for (token, p) in row.enumerated() {
          let expected = (mass[prefix + [UInt32(token)]] ?? 0) / (mass[prefix] ?? 0)
          #expect(abs(p - expected) < 1e-12)
        }
        product *= row[row.startIndex + Int(tokens[t + 1])]
      }
      #expect(abs(logarithm(product) - truth.logP[i]) < 1e-12)
      #expect(abs(truth.logP[i] - logarithm(language.probabilities[sentence] ?? 0)) < 1e-12)
    }
  }

  /// The grammar against itself: no excess, no divergence, no standard error; all samples right.
  @Test func theGrammarHasNoExcessOverItself() throws {
    let language = try Language()
    let held = language.sentences
    let same = HeldOutScores(
      logP: [-1.5, -2.25], logQ: [-1.5, -2.25], divergence: [], characters: [3, 4])
    #expect(same.excess.ratio == 0 && same.excess.standardError == 0)
    #expect(same.divergence == nil && same.loss.ratio == same.entropy.ratio)

    let variant = try smallVariant(0)
    let truth = try Truth(
      grammar: language.grammar, sentences: held, targetSentences: 20, variant: variant, pool: pool)
    let oracle = Oracle(language)
    let sessions = try WorkerSessions(oracle, threads: 2, rows: 4096, sequences: 64)
    let heldOut = try HeldOut(
      sentences: held, variant: variant, positionsPerGroup: 50, context: 64)
    let scores = try #require(
      try scoreAll(heldOut, truth: truth, variant: variant, sessions: sessions, pool: pool))
    #expect(abs(scores.excess.ratio) < 1e-6 && scores.excess.standardError < 1e-6)
    #expect(abs(scores.divergence?.ratio ?? 1) < 1e-6)
    #expect(abs(scores.loss.ratio - scores.entropy.ratio) < 1e-6)

    let limits = GenerationLimits(symbols: language.grammar.lengthRange.upperBound, positions: 64)
    let sentences = try #require(
      try generateAll(
        1000, batch: 32, seed: 2, variant: variant, sessions: sessions, limits: limits,
        draw: .label, pool: pool))
    let accuracy = Accuracy(
      sentences, isCorrect: judge(sentences, grammar: language.grammar, pool: pool))
    #expect(accuracy == Accuracy(correct: 1000, samples: 1000, endings: [1000, 0, 0]))
    for (sentence, p) in language.probabilities {
      let seen = sentences.count { $0.symbols == sentence }
      #expect(abs(Double(seen) - 1000 * p) < 5 * (1000 * p * (1 - p)).squareRoot() + 1)
    }
  }

  /// KL summed over positions is, in expectation over sentences, the excess: here both exactly.
  @Test(arguments: [0, 1, 2])
  func divergenceIsTheExpectedExcess(index: Int) throws {
    let language = try Language()
    let variant = try smallVariant(index)
    let model = TableModel(variant, seed: 30)
    let held = language.sentences
    let truth = try Truth(
      grammar: language.grammar, sentences: held, targetSentences: held.count, variant: variant,
      pool: pool)
    let heldOut = try HeldOut(
      sentences: held, variant: variant, positionsPerGroup: 1000, context: 64)
    var row: [Float] = []
    var excess = 0.0
    var divergence = 0.0
    for group in heldOut.groups {
      let score = try group.score(
        variant: variant, session: model, targets: truth.targets, logProbabilities: &row)
      for k in score.logQ.indices {
        let p = exponential(truth.logP[group.first + k])
        excess += p * (truth.logP[group.first + k] - score.logQ[k])
        divergence += p * score.divergence[k]
      }
    }
    #expect(excess > 0.1)
    #expect(abs(excess - divergence) < 1e-9)
  }

  /// The same sentences, scores and counts with 1, 2 and 4 threads.
  @Test func threadsDoNotMatter() throws {
    let language = try Language()
    let variant = try smallVariant(5)
    let model = TableModel(variant, seed: 30)
    let heldOut = try HeldOut(
      sentences: language.sentences, variant: variant, positionsPerGroup: 20, context: 64)
    let limits = GenerationLimits(symbols: 8, positions: 64)
    var reference: ([GeneratedSentence], Accuracy, HeldOutScores)?
    for threads in [1, 2, 4] {
      let pool = WorkerPool(threads: threads)
      let sessions = try WorkerSessions(model, threads: threads, rows: 64, sequences: 16)
      let truth = try Truth(
        grammar: language.grammar, sentences: language.sentences, targetSentences: 9,
        variant: variant, pool: pool)
      let sentences = try #require(
        try generateAll(
          100, batch: 16, seed: 3, variant: variant, sessions: sessions, limits: limits,
          draw: .label, pool: pool))
      let accuracy = Accuracy(
        sentences, isCorrect: judge(sentences, grammar: language.grammar, pool: pool))
      let scores = try #require(
        try scoreAll(heldOut, truth: truth, variant: variant, sessions: sessions, pool: pool))
      if let reference {
        #expect(reference.0 == sentences && reference.1 == accuracy && reference.2 == scores)
      } else {
        #expect(accuracy.correct > 0 && accuracy.correct < 100 && sentences.count == 100)
        reference = (sentences, accuracy, scores)
      }
    }
  }

  @Test func refusesAnotherGrammar() throws {
    let language = try Language()
    let variant = try smallVariant(0)
    let error = #expect(throws: UserError.self) {
      try Truth(
        grammar: language.grammar, sentences: [language.sentences[0], [1]], targetSentences: 0,
        variant: variant, pool: pool)
    }
    #expect(error?.description.contains("sentence 1") == true)
    let three = try smallVariant(0, terminals: [1, 2, 3])
    #expect(throws: UserError.self) {
      try Truth(
        grammar: language.grammar, sentences: [language.sentences[0]], targetSentences: 0,
        variant: three, pool: pool)
    }
  }
}
