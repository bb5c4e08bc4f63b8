import Engine
import Foundation
import Models
import Support

/// What heads on tokens further ahead cost a training step.
package enum HeadsBench {
  /// A model with heads beside the same one with the next token's alone.
  package struct Point: Sendable, Equatable {
    package let kind: HeadKind
    /// n, the next token's included.
    package let heads: Int
    package let threads: Int
    /// Wall seconds of a step, medians: with further heads and without.
    package let seconds, plainSeconds: Double
    /// Median over pairs of steps, one behind the other, of their ratio.
    package let ratio: Double
    /// The same ratio of the plan's FLOPs, and of the bytes of a worker's arena.
    package let flopRatio, arenaRatio: Double
  }

  /// Steps in turns, after two of each that warm up.
  package static func measure(
    _ workload: Workload, _ kind: HeadKind, heads: Int, pairs: Int, threads: Int
  ) throws -> Point {
    let plain = workload.model.scored
    let model = try ModelConfiguration(
      input: plain.input, trunk: plain.trunk,
      outputs: plain.outputs
        + (kind.output(labels: plain.labels, heads: heads).map { [$0] } ?? []))
    let sentences = Sentences.random(
      count: 4 * workload.batch, length: workload.length, vocabulary: plain.labels, seed: 1)
    let benches = try [plain, model].map { model in
      var own = workload
      own.model = model
      return try TrainingBench(own, sentences: sentences, threads: threads)
    }
    for bench in benches { for _ in 0..<2 { _ = try bench.step() } }
    var seconds: [[Double]] = [[], []]
    for pair in 0..<pairs {
      for side in pair % 2 == 0 ? [0, 1] : [1, 0] {
        seconds[side].append(try benches[side].step().seconds)
      }
    }
    let programs = benches.map { CPUProgram($0.engine.plan) }
    let flops = [plain, model].map { $0.forwardFLOPs(perTokenAt: workload.length) }
    return Point(
      kind: kind, heads: heads, threads: benches[0].engine.threads, seconds: median(seconds[1]),
      plainSeconds: median(seconds[0]),
      ratio: median(zip(seconds[1], seconds[0]).map { $0 / $1 }),
      flopRatio: flops[1] / flops[0],
      arenaRatio: Double(programs[1].arenaCount) / Double(programs[0].arenaCount))
  }

  package static func csv(_ points: [Point]) -> [[String]] {
    [
      [
        "kind", "heads", "threads", "ms", "next_token_ms", "ratio", "flop_ratio", "arena_ratio",
      ]
    ]
      + points.map { point in
        [
          point.kind.rawValue, "\(point.heads)", "\(point.threads)",
          decimal(point.seconds * 1e3, 2), decimal(point.plainSeconds * 1e3, 2),
          decimal(point.ratio, 3), decimal(point.flopRatio, 3), decimal(point.arenaRatio, 3),
        ]
      }
  }
}

func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

func decimal(_ value: Double, _ digits: Int) -> String {
  value.formatted(.number.precision(.fractionLength(digits)).grouping(.never))
}
