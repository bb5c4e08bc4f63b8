import Kernels
import Models
import Support

extension Rates {
  /// Thread-seconds of `rows` rows on their way through a model, in sentences of `length`, `together`
  /// of them in a product:
  ///
  ///     rows · (products / (productShare · rate) + attention / (attentionShare · rate)
  ///             + L · C · floatSeconds / 3)
  ///
  /// and, of the rows of f-grams that are usual for each of them, as many as their products take.
  package func passSeconds(
    _ model: ModelConfiguration, rows: Double, length: Double, together: Int,
    precision: Precision = .float32
  ) -> Double {
    let (L, C, H) = (Double(model.layers), Double(model.width), Double(model.heads))
    // Tiles of 16 keys and 16 columns: what is computed, needed or not.
    let columns = (C / H / 16).rounded(.up) * 16
    let tiled = 2 * L * H * (C / H + columns) * (length / 2 + 16)
    let attends: Precision =
      roundsAttention(T: Int(nearest: length.rounded(.down)), D: model.width / model.heads)
      ? precision : .float32
    let products =
      model.productFLOPs + model.input.usualFGramRows * model.input.fGramRowFLOPs
    return rows
      * (products / (productShare * product(together, model.width, precision))
        + tiled / (attentionShare * product(together, model.width, attends))
        + L * C * floatSeconds / 3)
  }

  /// Thread-seconds of a training step: three passes, sums and optimizer; tables excepted, see
  /// `tableSeconds(_:rows:steps:)`. The shares and costs of `Rates` are fitted to `ott-bench scaling` in
  /// both precisions, which one set of them fits alike.
  ///
  ///     3 · pass + parameters · updateSeconds + lanes · L · operationSeconds
  ///
  /// - Parameters:
  ///   - rows: predicted positions of the step, in sentences of `length`.
  ///   - lanes: lanes that the step is cut into.
  package func stepSeconds(
    _ model: ModelConfiguration, rows: Double, length: Double, lanes: Int, precision: Precision
  ) -> Double {
    let laneRows = max(1, Int(nearest: rows / Double(lanes)))
    let parameters = Double(model.denseParameterCount)
    let pass = passSeconds(
      model, rows: rows, length: length, together: laneRows, precision: precision)
    return 3 * pass + parameters * updateSeconds
      + Double(lanes * model.layers) * operationSeconds
  }

  /// Thread-seconds that the tables of over-encoding add to a step of a run of `steps`. A row comes back
  /// after about m / rows steps, its gap, and what it skipped is replayed then:
  ///
  ///     Σ_tables rows · columns · tableSeconds · min(1, gap / tableGap, steps / tableGap)
  ///
  /// Fitted to the runs of `make scaling-law` with 64 V and 256 V rows. Text repeats its n-grams: many
  /// rows come back sooner, and tables below 16 V cost less than this, which is little.
  package func tableSeconds(_ input: OverEncoding, rows: Double, steps: Int) -> Double {
    input.layout.embedders.reduce(0) { sum, table in
      let gap = min(Double(table.modulus) / max(rows, 1), Double(steps))
      return sum + rows * Double(table.width) * tableSeconds * min(1, gap / tableGap)
    }
  }

  /// Thread-seconds of evaluating a model of a grammar: rows that are `scored` and rows that are
  /// `generated`, `batch` at a time, in sentences of `length`. Fitted to the 80 evaluations of
  /// `make figure2` in both precisions.
  ///
  ///     pass(scored) + pass(generated) + generated · drawSeconds
  ///       + (scored + generated) · labels · labelSeconds
  package func evaluationSeconds(
    _ model: ModelConfiguration, scored: Double, generated: Double, batch: Int, length: Double
  ) -> Double {
    passSeconds(model.scored, rows: scored, length: length, together: Self.scoredTogether)
      + passSeconds(model.scored, rows: generated, length: length, together: batch)
      + generated * drawSeconds
      + (scored + generated) * Double(model.labels) * labelSeconds
  }

  /// Thread-seconds of scoring `rows` tokens of text, in windows of `length`, `batch` tokens in a pass.
  /// Fitted to the 21 evaluations of `make scaling-law`.
  ///
  ///     pass(rows) + rows · labels · lossSeconds
  package func scoringSeconds(
    _ model: ModelConfiguration, rows: Double, batch: Int, length: Double
  ) -> Double {
    passSeconds(model.scored, rows: rows, length: length, together: batch)
      + rows * Double(model.labels) * lossSeconds
  }

  /// Thread-seconds of scoring continuations: `rows` in sequences of `length`, of which `scored` have a
  /// head. Fitted to 15 tasks with a laptop model: products whose bits no company changes, and attention
  /// row by row, take 1.5 times as long as those of whole lanes.
  ///
  ///     1.5 · (pass(rows) − head(rows − scored) + scored · labels · lossSeconds)
  package func continuationSeconds(
    _ model: ModelConfiguration, rows: Double, scored: Double, length: Double
  ) -> Double {
    let head = model.headFLOPs / (productShare * product(Self.runTogether, model.width, .float32))
    let pass = passSeconds(model.scored, rows: rows, length: length, together: Self.runTogether)
    return 1.5 * (pass - (rows - scored) * head + scored * Double(model.labels) * lossSeconds)
  }

  /// Rows of continuations that run together.
  private static let runTogether = 128
  /// Rows of a grammar's sentences that the stage scores in one pass.
  private static let scoredTogether = 1024
}

extension ModelConfiguration {
  /// Those of the head that scores, of one row.
  var headFLOPs: Double { outputs[0].productFLOPs(on: trunk) }
}
