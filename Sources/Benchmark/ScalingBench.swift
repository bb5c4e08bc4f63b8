import Foundation
import Kernels
import Models
import Planning
import Support

/// How the time of a training step grows with each of its sizes, beside what the plan expects.
package struct ScalingBench: Sendable {
  /// One measured size.
  package struct Point: Sendable, Equatable {
    /// The size that differs from the others of its curve.
    package let varied: String
    package let workload: Workload
    package let threads: Int
    /// Wall seconds of a step, and seconds of all its threads.
    package let seconds: Double
    package let threadSeconds: Double
    /// Thread-seconds that the plan expects.
    package let planned: Double
    /// FLOP/s of a product of these widths on one thread, as the plan calibrates them.
    package let productRate: Double

    /// FLOPs of the products and of attention in a step.
    var flops: Double {
      workload.model.trainingFLOPs(perTokenAt: workload.length) * Double(workload.rows)
    }

    /// Of what all its threads multiply at most, and of the time in which they could work.
    package var ceilingShare: Double { flops / (seconds * Double(threads) * productRate) }
    package var busyShare: Double { threadSeconds / (seconds * Double(threads)) }
  }

  /// The curves: each varies one size of a middling model. Rows of a step stay the same along the
  /// curves of lengths and lanes.
  package static func curves(threads: Int, precision: Precision = .float32) throws -> [(
    varied: String, workload: Workload, threads: Int
  )] {
    func workload(
      width: Int = 128, layers: Int = 4, length: Int = 128, batch: Int = 32, lanes: Int = 4
    ) throws -> Workload {
      var sizes = NamedModel.d128.sizes
      (sizes.width, sizes.layers, sizes.length, sizes.batch) = (width, layers, length, batch)
      (sizes.heads, sizes.lanes) = (max(1, width / 64), lanes)
      return try sizes.workload(precision: precision)
    }
    var points: [(String, Workload, Int)] = []
    for width in [16, 32, 64, 128, 256, 512] {
      points.append(("width", try workload(width: width), threads))
    }
    for layers in [1, 2, 4, 8] { points.append(("layers", try workload(layers: layers), threads)) }
    for length in [16, 32, 64, 128, 256, 512] {
      points.append(("length", try workload(length: length, batch: 4096 / length), threads))
    }
    for batch in [4, 8, 16, 32, 64] {
      points.append(("batch", try workload(batch: batch), threads))
    }
    for lanes in [2, 4, 8, 16, 32] { points.append(("lanes", try workload(lanes: lanes), threads)) }
    for model in [NamedModel.laptopSmall, .laptopLarge] {
      points.append(("model", try model.sizes.workload(precision: precision), threads))
    }
    var workers = 1
    while workers <= threads {
      points.append(("threads", try workload(), workers))
      workers *= 2
    }
    return points
  }

  /// The median of at least three steps, and the mean of what their threads take, after one that warms up, in
  /// about `seconds`.
  package static func measure(
    _ varied: String, _ workload: Workload, threads: Int, rates: Rates, seconds: Double = 0.5
  ) throws -> Point {
    let sentences = Sentences.random(
      count: workload.batch, length: workload.length, vocabulary: workload.model.labels, seed: 1)
    let bench = try TrainingBench(workload, sentences: sentences, threads: threads)
    _ = try bench.step()
    var steps: [Double] = []
    // Looking for something to do takes a processor, but does nothing.
    let working = { Host.cpuSeconds - bench.engine.helpTimes.looking }
    let (start, before) = (Host.monotonicSeconds, working())
    while steps.count < 3 || Host.monotonicSeconds - start < seconds {
      steps.append(try bench.step().seconds)
    }
    // Of all steps together: what a thread that runs has used is known by the system's clock tick only.
    let threadSeconds = (working() - before) / Double(steps.count)
    return Point(
      varied: varied, workload: workload, threads: bench.engine.threads,
      seconds: median(steps), threadSeconds: threadSeconds,
      planned: rates.stepSeconds(
        workload.model, rows: Double(workload.rows), length: Double(workload.length),
        lanes: workload.lanes, precision: workload.precision),
      productRate: rates.product(
        workload.rows / workload.lanes, workload.model.width, workload.precision))
  }

  /// The points as CSV. The plan's ratio is of its thread-seconds by the measured ones; what the threads of
  /// a step reach of so many threads' products measured at once, and how much of the time they work.
  package static func csv(_ points: [Point]) -> [[String]] {
    let number = { (value: Double, digits: Int) in
      value.formatted(.number.precision(.fractionLength(digits)).grouping(.never))
    }
    return [
      [
        "varied", "width", "layers", "length", "batch", "lanes", "threads", "precision",
        "product_gflop_per_s", "ms", "thread_ms", "plan_thread_ms", "plan_ratio",
        "ceiling_share", "busy_share",
      ]
    ]
      + points.map { point in
        let work = point.workload
        return [
          point.varied, "\(work.model.width)", "\(work.model.layers)", "\(work.length)",
          "\(work.batch)", "\(work.lanes)", "\(point.threads)", work.precision.rawValue,
          number(point.productRate / 1e9, 1), number(point.seconds * 1e3, 3),
          number(point.threadSeconds * 1e3, 3), number(point.planned * 1e3, 3),
          number(point.planned / max(point.threadSeconds, 1e-12), 3),
          number(point.ceilingShare, 3), number(point.busyShare, 3),
        ]
      }
  }
}
