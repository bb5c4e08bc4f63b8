import Engine
import Models
import Support
import Training

/// What f-grams cost a training step, beside what their FLOPs say.
package enum FGramBench {
  /// A model with an f-gram model as large as its trunk beside the same one without.
  package struct Point: Sendable, Equatable {
    /// K, tokens of the longest f-gram.
    package let longest: Int
    package let threads: Int
    /// Positions of a step that an f-gram ends at, and rows of the distinct ones of a lane, for each
    /// position.
    package let matched, rows: Double
    /// Wall seconds of a step, medians: with f-grams and without.
    package let seconds, plainSeconds: Double
    /// Median over pairs of steps, one behind the other, of their ratio.
    package let ratio: Double
    /// The ratio of the closed forms' FLOPs, with the rows as they are.
    package let flopRatio: Double

    /// What a step takes longer than its FLOPs say.
    package var cost: Double { ratio / flopRatio }
  }

  /// Runs of 2 to K tokens that occur so often are f-grams, in so many sentences for each of a batch.
  private static let (minimumCount, batches) = (5, 64)

  /// Steps in turns, after two of each that warm up, on made-up text; a batch is packed before it is timed.
  package static func measure(
    _ workload: Workload, longest: Int, pairs: Int, threads: Int
  ) throws -> Point {
    let plain = workload.model.scored
    let model = try ModelConfiguration(
      input: FGrams(vocabulary: plain.labels, longest: longest, on: plain.trunk),
      trunk: plain.trunk, outputs: plain.outputs)
    let sentences = Sentences.text(
      count: batches * workload.batch, length: workload.length, vocabulary: plain.labels, seed: 1)
    let matches = Matches(sentences, longest: longest, minimumCount: minimumCount)
    let engines = [plain, model].map { model in
      TrainingEngine(
        model, seed: 1, lanes: workload.lanes,
        laneCapacity: (workload.batch + workload.lanes - 1) / workload.lanes * sentences.longest
          + sentences.longest, threads: threads, precision: workload.precision)
    }
    func step(_ side: Int) throws -> (seconds: Double, matched: Int, rows: Int) {
      let batch = lanes(
        [plain, model][side], workload, sentences, matches, from: engines[side].step)
      let start = Host.monotonicSeconds
      _ = try engines[side].step(batch, learningRate: 1e-3, optimizer: OptimizerConstants())
      return (
        Host.monotonicSeconds - start,
        batch.reduce(0) { $0 + ($1.links.first?.count { $0 != RowLink.none } ?? 0) },
        batch.reduce(0) { $0 + ($1.spaces.first?.rows ?? 0) }
      )
    }
    for side in [0, 1] { for _ in 0..<2 { _ = try step(side) } }
    var seconds: [[Double]] = [[], []]
    var (matched, rows) = (0, 0)
    for pair in 0..<pairs {
      for side in pair % 2 == 0 ? [0, 1] : [1, 0] {
        let timed = try step(side)
        seconds[side].append(timed.seconds)
        (matched, rows) = (matched + timed.matched, rows + timed.rows)
      }
    }
    let positions = Double(pairs * workload.rows)
    let share = Double(rows) / positions
    return Point(
      longest: longest, threads: engines[0].threads, matched: Double(matched) / positions,
      rows: share, seconds: median(seconds[1]), plainSeconds: median(seconds[0]),
      ratio: median(zip(seconds[1], seconds[0]).map { $0 / $1 }),
      flopRatio: model.forwardFLOPs(perTokenAt: workload.length, fGramRows: share)
        / plain.forwardFLOPs(perTokenAt: workload.length))
  }

  private static func lanes(
    _ model: ModelConfiguration, _ workload: Workload, _ sentences: Sentences, _ matches: Matches,
    from step: Int
  ) -> [PackedLane] {
    let members = (0..<workload.batch).map {
      (step * workload.batch + $0) % sentences.count
    }
    var assignment = LaneAssignment(lanes: workload.lanes, batchSequences: workload.batch)
    assignment.assign(lengths: members.map(sentences.rows))
    return assignment.sentences.map { places in
      var lane = model.makeLane(isTraining: true)
      for place in places {
        let first = sentences.offsets[members[place]]
        for t in first..<first + sentences.rows(members[place]) {
          lane.appendRow(label: sentences.ids[t + 1]) {
            $0 == 0 ? sentences.ids[t] : matches.lengths[t]
          }
        }
        lane.endSegment()
      }
      return lane
    }
  }

  package static func csv(_ points: [Point]) -> [[String]] {
    [
      [
        "longest", "threads", "matched", "rows", "ms", "plain_ms", "ratio", "flop_ratio", "cost",
      ]
    ]
      + points.map { point in
        [
          "\(point.longest)", "\(point.threads)", decimal(point.matched, 3),
          decimal(point.rows, 3), decimal(point.seconds * 1e3, 2),
          decimal(point.plainSeconds * 1e3, 2), decimal(point.ratio, 3),
          decimal(point.flopRatio, 3), decimal(point.cost, 3),
        ]
      }
  }
}

/// The longest frequent run that ends at each id of sentences.
private struct Matches {
  /// In tokens, 1 where there is none; by id of the sentences.
  private(set) var lengths: [Int32]

  init(_ sentences: Sentences, longest: Int, minimumCount: Int) {
    lengths = Array(repeating: 1, count: sentences.ids.count)
    // A run's number is that of the run before its last token, and the token.
    var numbers = sentences.ids.map { Int($0) }
    for length in 2...longest {
      var counts: [Int: (number: Int, count: Int)] = [:]
      var keys = [Int?](repeating: nil, count: numbers.count)
      for sentence in 0..<sentences.count {
        let first = sentences.offsets[sentence]
        let ends = stride(
          from: first + length - 1, to: sentences.offsets[sentence + 1], by: 1)
        for t in ends where numbers[t - 1] >= 0 {
          let key = numbers[t - 1] << 32 | Int(sentences.ids[t])
          keys[t] = key
          let next = counts.count
          counts[key, default: (next, 0)].count += 1
        }
      }
      for (t, key) in keys.enumerated() {
        guard let key, let run = counts[key], run.count >= minimumCount else {
          numbers[t] = -1
          continue
        }
        numbers[t] = run.number
        lengths[t] = Int32(length)
      }
    }
  }
}
