import Evaluation
import Foundation
import Grammar
import Models
import Support
import Tokenization

/// Generation with the proposals of further heads beside plain generation, by a model that has learned a
/// grammar for some steps; on one thread.
package final class DraftingBench {
  package struct Point: Sendable, Equatable {
    package let kind: HeadKind
    /// Heads that propose.
    package let drafts: Int
    package let side: Int
    /// Tokens a second, medians; and the median of their ratio, run by run.
    package let plainRate, rate, ratio: Double
    package let counts: DraftCounts
  }

  private let kind: HeadKind
  private let model: EngineModel
  private let variant: Variant
  private let limits: GenerationLimits
  /// Most heads that can propose.
  package var drafts: Int { model.configuration.furtherHeads?.weights.count ?? 0 }

  /// - Parameters:
  ///   - heads: n.
  ///   - steps: of training.
  package init(
    _ grammar: Grammar, _ sizes: NamedModel.Sizes, _ kind: HeadKind, heads: Int, steps: Int,
    threads: Int
  ) throws {
    self.kind = kind
    let sentences = Sentences.sampled(grammar, count: 4096, seed: 1)
    let terminals = grammar.levels[0].sorted().map { UInt8($0) }
    let context = grammar.lengthRange.upperBound + 1
    var sizes = sizes
    (sizes.labels, sizes.length, sizes.context) = (terminals.count + 2, context, context)
    sizes.further = (kind, heads)
    let workload = try sizes.workload()
    let bench = try TrainingBench(
      workload, sentences: sentences, learningRate: 2e-3, threads: threads)
    for _ in 0..<steps { _ = try bench.step() }
    model = EngineModel(workload.model)
    model.copy(bench.engine.parameters)
    variant = try Variant(
      alphabet: Alphabet(terminals), tokenizerOrder: 1, inputOrders: [1], outputOrder: 1)
    limits = GenerationLimits(symbols: grammar.lengthRange.upperBound, positions: context)
  }

  /// Generates the same sentences in turns with each number of drafts and without.
  ///
  /// - Throws: `UserError` if they are not the same.
  package func measure(sentences: Int, side: Int, runs: Int) throws -> [Point] {
    let generation = Generation(seed: 1, variant: variant, limits: limits, draw: .label)
    let plain = model.makeSession(rows: 1, sequences: side)
    return try (1...drafts).map { drafts in
      let drafting = model.makeDraftingSession(sequences: side, drafts: drafts)
      var rates: [[Double]] = [[], []]
      var counts = DraftCounts(drafts: drafts)
      for run in 0..<runs {
        var made: [[GeneratedSentence?]] = [[], []]
        for way in run % 2 == 0 ? [0, 1] : [1, 0] {
          var upcoming = (0..<sentences).makeIterator()
          var result = [GeneratedSentence?](repeating: nil, count: sentences)
          let start = Host.monotonicSeconds
          if way == 0 {
            try generation.run(plain, batch: side, next: { upcoming.next() }) { result[$0] = $1 }
          } else {
            counts = try generation.run(
              drafting: drafting, batch: side, next: { upcoming.next() }
            ) { result[$0] = $1 }
          }
          let seconds = Host.monotonicSeconds - start
          let tokens = result.reduce(0) { $0 + ($1?.symbols.count ?? 0) + 1 }
          rates[way].append(Double(tokens) / seconds)
          made[way] = result
        }
        guard made[0] == made[1] else {
          throw UserError(
            "generation with \(drafts) drafts of \(kind.rawValue)",
            expected: "the sentences of plain generation", found: "others")
        }
      }
      return Point(
        kind: kind, drafts: drafts, side: side, plainRate: median(rates[0]),
        rate: median(rates[1]), ratio: median(zip(rates[1], rates[0]).map { $0 / $1 }),
        counts: counts)
    }
  }

  package static func csv(_ points: [Point]) -> [[String]] {
    [
      [
        "kind", "drafts", "side", "plain_tokens_per_s", "tokens_per_s", "ratio",
        "tokens_per_pass", "accepted",
      ]
    ]
      + points.map { point in
        let shares = zip(point.counts.accepted, point.counts.proposed).map {
          decimal(Double($0) / Double(max($1, 1)), 3)
        }
        return [
          point.kind.rawValue, "\(point.drafts)", "\(point.side)", decimal(point.plainRate, 0),
          decimal(point.rate, 0), decimal(point.ratio, 3),
          decimal(point.counts.tokensPerPass, 3),
          shares.joined(separator: " "),
        ]
      }
  }
}
