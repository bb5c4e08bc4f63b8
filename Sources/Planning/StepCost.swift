import Kernels
import Models

extension Rates {
  /// Thread-seconds of a training step: forward, backward, sums and optimizer; tables excepted, which
  /// cost by the rows that a batch touches. The shares and costs of `Rates` are fitted to
  /// `ott-bench scaling` in both precisions, which one set of them fits alike.
  ///
  /// - Parameters:
  ///   - rows: predicted positions of the step, in sentences of `length`.
  ///   - lanes: lanes that the step is cut into.
  package func stepSeconds(
    _ model: ModelConfiguration, rows: Double, length: Double, lanes: Int, precision: Precision
  ) -> Double {
    let (L, C, H) = (Double(model.layers), Double(model.width), Double(model.heads))
    let laneRows = max(1, Int((rows / Double(lanes)).rounded()))
    let parameters = Double(
      model.parameterCount - (model.overEncoding?.layout.tableParameterCount ?? 0))
    let attention = 4 * L * C * (length + 1) / 2
    let products = model.forwardFLOPs(perTokenAt: Int(length.rounded())) - attention
    // Tiles of 16 keys and 16 columns: what is computed, needed or not.
    let columns = (C / H / 16).rounded(.up) * 16
    let tiled = 2 * L * H * (C / H + columns) * (length / 2 + 16)
    let attends: Precision =
      roundsAttention(T: Int(length), D: model.width / model.heads) ? precision : .float32
    return 3 * rows
      * (products / (productShare * product(laneRows, model.width, precision))
        + tiled / (attentionShare * product(laneRows, model.width, attends)))
      + rows * L * C * floatSeconds
      + parameters * updateSeconds + Double(lanes) * L * operationSeconds
  }
}
