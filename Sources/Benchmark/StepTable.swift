import Engine
import Foundation

/// One line of the table of a training step: like operations of all layers together.
package struct StepLine: Sendable, Equatable {
  /// What it does, with the columns in and out.
  package let work: String
  /// `forward`, `backward`, or `step` for what comes once a step.
  package let direction: String
  package let calls: Int
  /// Thread-seconds a step.
  package var seconds: Double
  package var flops: Double
  /// Bytes that must move if nothing stays in a cache: every input, output and parameter once.
  package var bytes: Double

  package init(
    work: String, direction: String, calls: Int, seconds: Double, flops: Double, bytes: Double
  ) {
    (self.work, self.direction, self.calls) = (work, direction, calls)
    (self.seconds, self.flops, self.bytes) = (seconds, flops, bytes)
  }
}

/// Where the time of a training step goes, beside what the machine allows.
package struct StepTable: Sendable {
  package let lines: [StepLine]
  /// Wall seconds of a step.
  package let wallSeconds: Double
  /// Predicted positions of a step.
  package let rows: Int
  package let threads: Int
  package let roofline: Roofline

  /// - Parameters:
  ///   - rows: predicted positions of a step; `position` their mean place in a sentence, from 1.
  package init(
    plan: Plan, profile: StepProfile, rows: Int, position: Double, threads: Int,
    wallSeconds: Double, roofline: Roofline
  ) {
    (self.rows, self.threads) = (rows, threads)
    (self.wallSeconds, self.roofline) = (wallSeconds, roofline)
    let steps = Double(max(profile.steps, 1))
    var lines: [StepLine] = []
    func add(_ line: StepLine) {
      if let index = lines.firstIndex(where: {
        $0.work == line.work && $0.direction == line.direction
      }) {
        let old = lines[index]
        lines[index] = StepLine(
          work: old.work, direction: old.direction, calls: old.calls + line.calls,
          seconds: old.seconds + line.seconds, flops: old.flops + line.flops,
          bytes: old.bytes + line.bytes)
      } else {
        lines.append(line)
      }
    }
    let floats = { (tensors: [Tensor]) in Double(rows * tensors.reduce(0) { $0 + $1.columns }) }
    for (index, operation) in plan.operations.enumerated() {
      let (inputs, outputs) = (floats(operation.inputs), floats(operation.outputs))
      let parameters = Double(operation.parameters.reduce(0) { $0 + $1.count })
      let flops = operation.flops(position: position) * Double(rows)
      let first = floats(Array(operation.outputs.prefix(1)))
      let columns = { (tensors: [Tensor]) in tensors.first.map { "\($0.columns)" } ?? "ids" }
      let work =
        "\(operation.name) \(columns(operation.inputs)) → \(columns(operation.outputs))"
      let merged = operation.mergesForward
      add(
        StepLine(
          work: work, direction: "forward", calls: 1, seconds: profile.forward[index] / steps,
          flops: merged ? 0 : flops, bytes: merged ? 0 : 4 * (inputs + outputs + parameters)))
      add(
        StepLine(
          work: work, direction: "backward", calls: 1, seconds: profile.backward[index] / steps,
          flops: (merged ? 3 : 2) * flops,
          bytes: 4 * (floats(operation.saved) + first + inputs + 2 * parameters)))
    }
    let weights = Double(plan.layout.count)
    lines.append(
      StepLine(
        work: "parts of others' lanes", direction: "step", calls: 1,
        seconds: profile.helping / steps, flops: 0, bytes: 0))
    let busy = lines.reduce(0) { $0 + $1.seconds }
    lines.append(
      StepLine(
        work: "sums within blocks, and waiting for the last lane", direction: "step", calls: 1,
        seconds: max(0, profile.lanes / steps * Double(threads) - busy), flops: 0, bytes: 0))
    lines.append(
      StepLine(
        work: "sum of lanes and norm", direction: "step", calls: 1,
        seconds: profile.reduction / steps * Double(threads), flops: 3 * weights,
        bytes: 12 * weights
      ))
    lines.append(
      StepLine(
        work: "AdamW", direction: "step", calls: 1,
        seconds: profile.optimizer / steps * Double(threads), flops: 15 * weights,
        bytes: 28 * weights))
    self.lines = lines
  }

  /// Share of what the machine allows that a line reaches: the time its FLOPs or its bytes need at
  /// least, whichever is longer, by the time it took.
  package func rooflineShare(_ line: StepLine) -> Double {
    line.seconds > 0
      ? roofline.seconds(flops: line.flops, bytes: line.bytes) * Double(threads) / line.seconds : 0
  }

  package var tokensPerSecond: Double { Double(rows) / wallSeconds }

  /// FLOPs of the matrix products and attention of a step by wall time, as a share of the product
  /// ceiling.
  package var productShare: Double {
    lines.filter { $0.direction != "step" }.reduce(0) { $0 + $1.flops } / wallSeconds
      / roofline.product
  }

  /// The table as CSV: milliseconds and GFLOP a step, rates of the lines by themselves.
  package var csv: [[String]] {
    let total = lines.reduce(0) { $0 + $1.seconds }
    let number = { (value: Double, digits: Int) in
      value.formatted(.number.precision(.fractionLength(digits)).grouping(.never))
    }
    return [
      [
        "work", "direction", "calls", "ms", "share", "gflop", "gflop_per_s", "mb", "gb_per_s",
        "roofline_share",
      ]
    ]
      + lines.map { line in
        let seconds = max(line.seconds / Double(threads), 1e-12)
        return [
          line.work, line.direction, "\(line.calls)", number(seconds * 1e3, 3),
          number(line.seconds / max(total, 1e-12), 4), number(line.flops / 1e9, 4),
          number(line.flops / seconds / 1e9, 1), number(line.bytes / 1e6, 2),
          number(line.bytes / seconds / 1e9, 1), number(rooflineShare(line), 3),
        ]
      }
  }
}
