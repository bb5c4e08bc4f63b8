import Evaluation
import Foundation
import Models
import NGrams
import Stores
import Support

/// Generation of a model with f-grams, on one thread: what the rows of f-grams cost from memory, from a disk,
/// and computed by their model in each step, beside a model without.
///
/// Random weights would say nothing that has f-grams, so the tokens come from `StoreBench`'s text, whose n-grams
/// are the store's. What a model says to them is computed all the same.
///
/// Source: SCONE, figure 1, bottom.
package struct ServingBench {
  /// Where rows of f-grams come from.
  package enum Source: String, CaseIterable, Sendable {
    /// From nowhere: the token's own row.
    case none
    case memory, disk
    /// From a disk, none of it in the system's memory before.
    case coldDisk = "cold disk"
    /// From the f-gram model, in each step.
    case model
  }

  package struct Point: Sendable, Equatable {
    package let source: Source
    /// Sequences side by side.
    package let side: Int
    /// Tokens of the text that have an f-gram, of all.
    package let found: Double
    /// Tokens a second, the median of the runs.
    package let rate: Double
    /// Of the rate without f-grams, run by run.
    package let ratio: Double
  }

  private let plain, model: EngineModel
  private let bench: StoreBench
  private let set: FGramSet
  private let directory: String
  private let tokens: Int

  /// - Parameters:
  ///   - workload: its model is the trunk; an f-gram model of its size is put beside it.
  ///   - work: where the store is, or is made.
  ///   - tokens: of each sequence.
  /// - Throws: `UserError` where sequences do not fit the model or no store can be made.
  package init(_ workload: Workload, work: String, tokens: Int) throws {
    let scored = workload.model.scored
    guard tokens <= scored.context, scored.labels >= StoreBench.degrees[0] else {
      throw UserError(
        "serving",
        expected: "sequences of at most \(scored.context) tokens out of "
          + "\(StoreBench.degrees[0]) or more",
        found: "\(tokens) out of \(scored.labels)")
    }
    self.tokens = tokens
    plain = EngineModel(scored)
    model = EngineModel(
      try ModelConfiguration(
        input: FGrams(vocabulary: scored.labels, longest: StoreBench.longest, on: scored.trunk),
        trunk: scored.trunk, outputs: scored.outputs))
    for each in [plain, model] { each.initialize(seed: 1) }
    bench = StoreBench(vocabulary: scored.labels)
    directory = "\(work)/\(scored.labels)x\(scored.width)"
    if !FileBytes.exists(directory + "/" + StageIndex.fileName) {
      try bench.make(
        in: directory, width: scored.width, precision: .bfloat16, filled: true)
    }
    set = try FGramStore(directory: directory, placement: .disk).set
  }

  /// A point for each source, in turns.
  package func measure(side: Int, runs: Int) throws -> [Point] {
    let sources = Source.allCases
    var rates = [[Double]](repeating: [], count: sources.count)
    var found = 0.0
    for run in 0..<runs {
      // Other text in each run, so that rows are others too.
      let text = text(side: side, seed: UInt64(run + 1))
      for (i, source) in sources.enumerated() {
        rates[i].append(Double(side * tokens) / (try generate(text, side: side, source)))
      }
      found += share(text) / Double(runs)
    }
    return sources.indices.map { i in
      Point(
        source: sources[i], side: side, found: found, rate: median(rates[i]),
        ratio: median(zip(rates[i], rates[0]).map { $0 / $1 }))
    }
  }

  /// Tokens by step, then sequence.
  private func text(side: Int, seed: UInt64) -> [[UInt32]] {
    let windows = (tokens + StoreBench.longest - 1) / StoreBench.longest
    let all = bench.windows(side * windows, seed: seed)
    let own = windows * StoreBench.longest
    return (0..<tokens).map { t in (0..<side).map { all[$0 * own + t] } }
  }

  /// Wall seconds, after a run that warms up where rows may be warm.
  private func generate(_ text: [[UInt32]], side: Int, _ source: Source) throws -> Double {
    guard let rows = try rows(source, side: side) else {
      let session = plain.makeSession(rows: 1, sequences: side)
      var logProbabilities = [Float](repeating: 0, count: side * plain.labels)
      func run() throws {
        try session.restart(sequences: side)
        for row in text { try session.advance(rows: [row], into: &logProbabilities) }
      }
      try run()
      return try seconds(run)
    }
    let continuation = FGramContinuation(model, rows: rows, sequences: side)
    func run() {
      continuation.restart(sequences: side)
      for row in text { continuation.advance(row) { _ in } }
    }
    if source != .coldDisk { run() }
    return seconds(run)
  }

  /// Nil for the model without f-grams.
  private func rows(_ source: Source, side: Int) throws -> (any FGramRows)? {
    func store(_ placement: FGramStore.Placement) throws -> StoredFGramRows {
      StoredFGramRows(try FGramStore(directory: directory, placement: placement))
    }
    switch source {
    case .none: return nil
    case .memory: return try store(.memory)
    case .disk: return try store(.disk)
    case .coldDisk:
      try StoreBench.forget(directory)
      return try store(.disk)
    case .model: return ComputedFGramRows(model, set: set, capacity: side)
    }
  }

  private func seconds(_ body: () throws -> Void) rethrows -> Double {
    let start = Host.monotonicSeconds
    try body()
    return Host.monotonicSeconds - start
  }

  /// Tokens that have an f-gram, of all.
  private func share(_ text: [[UInt32]]) -> Double {
    var found = 0
    for n in text[0].indices {
      var match = LongestMatch(set)
      for row in text where match.push(row[n]) > 1 { found += 1 }
    }
    return Double(found) / Double(text.count * text[0].count)
  }

  package static func csv(_ points: [Point]) -> [[String]] {
    [["source", "side", "found", "tokens_per_s", "ratio"]]
      + points.map {
        [
          $0.source.rawValue, "\($0.side)", decimal($0.found, 3), decimal($0.rate, 1),
          decimal($0.ratio, 3),
        ]
      }
  }
}
