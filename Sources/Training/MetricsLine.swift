import Contracts
import Support

/// A loss beside the next-token loss since the last metrics line.
package struct LossWindow: Sendable, Equatable {
  package let name: String
  /// Sum over the rows that count, in nats, unweighted.
  package var sum = 0.0
  package var rows = 0

  package init(name: String, sum: Double = 0, rows: Int = 0) {
    (self.name, self.sum, self.rows) = (name, sum, rows)
  }

  /// Nats per row that counts; 0 where there was none.
  package var mean: Double { rows == 0 ? 0 : sum / Double(rows) }
}

/// What a run has consumed and the loss since the last metrics line: the state that, with weights and
/// moments, makes a resumed run the undisturbed one.
package struct TrainingProgress: Sendable, Equatable {
  package var step = 0
  package var sequences = 0
  package var rows = 0
  package var symbols = 0
  /// Sum over rows of the negative log-likelihood, in nats, since the last metrics line.
  package var windowLoss = 0.0
  package var windowRows = 0
  /// The other losses of the model, in its order.
  package var furtherLosses: [LossWindow] = []

  package init() {}

  /// Counts a loss of one finished step beside the next-token loss.
  package mutating func add(loss name: String, sum: Double, rows: Int) {
    let place = furtherLosses.firstIndex { $0.name.utf8.elementsEqual(name.utf8) }
    if place == nil { furtherLosses.append(LossWindow(name: name)) }
    furtherLosses[place ?? furtherLosses.count - 1].sum += sum
    furtherLosses[place ?? furtherLosses.count - 1].rows += rows
  }

  /// Counts one finished step.
  package mutating func add(sequences: Int, rows: Int, symbols: Int, lossSum: Double) {
    step += 1
    self.sequences += sequences
    self.rows += rows
    self.symbols += symbols
    windowLoss += lossSum
    windowRows += rows
  }

  /// Mean loss of the window, in nats per row, and the start of a new one.
  package mutating func closeWindow() -> Double {
    let loss = windowLoss / Double(windowRows)
    windowLoss = 0
    windowRows = 0
    furtherLosses = []
    return loss
  }
}

/// One line of `metrics.jsonl`: deterministic content only, so that the file is identity.
package struct MetricsLine: Sendable, Equatable {
  package let progress: TrainingProgress
  /// Nats per predicted token over the steps since the previous line: the next-token loss alone.
  package let loss: Double
  /// The other losses over the same steps, by name; empty for models that have none.
  package let furtherLosses: [LossWindow]
  /// Global L2 norm of the step's gradient before clipping.
  package let gradientNorm: Double
  package let learningRate: Double
  /// What the counts of `progress` are called.
  package let kind: DataKind

  package init(
    progress: TrainingProgress, loss: Double, furtherLosses: [LossWindow] = [],
    gradientNorm: Double, learningRate: Double, kind: DataKind
  ) {
    self.progress = progress
    self.loss = loss
    self.furtherLosses = furtherLosses
    self.gradientNorm = gradientNorm
    self.learningRate = learningRate
    self.kind = kind
  }

  /// Canonical JSON and a line feed. Doubles are printed with as many digits as identify them.
  package var text: String {
    var members: [String: ConfigValue] = [
      "step": .integer(progress.step),
      kind.sequences: .integer(progress.sequences),
      "rows": .integer(progress.rows),
      kind.symbols: .integer(progress.symbols),
      "loss": .double(loss),
      "gradientNorm": .double(gradientNorm),
      "learningRate": .double(learningRate),
    ]
    if !furtherLosses.isEmpty { members["losses"] = furtherLosses.means }
    return ConfigValue.object(members).canonicalJSON + "\n"
  }
}

extension [LossWindow] {
  /// {name: nats}.
  package var means: ConfigValue {
    .object(Dictionary(uniqueKeysWithValues: map { ($0.name, .double($0.mean)) }))
  }
}
