import Models

extension Rates {
  /// Thread-seconds of a training step: forward, backward, sums and optimizer.
  ///
  /// Products at the calibrated rate, attention at the rate of its tiles of sixteen, what streams
  /// through memory by the float, and the start of each operation. The constants are fitted to
  /// `ott-bench scaling` (results/bench/scaling.csv).
  ///
  /// - Parameters:
  ///   - rows: predicted positions of the step, in sentences of `length`.
  ///   - lanes: lanes that the step is cut into.
  package func stepSeconds(
    _ model: ModelConfiguration, rows: Double, length: Double, lanes: Int
  ) -> Double {
    let (L, C, H) = (Double(model.layers), Double(model.width), Double(model.heads))
    let laneRows = max(1, Int((rows / Double(lanes)).rounded()))
    let rate = product(laneRows, model.width)
    let attention = 4 * L * C * (length + 1) / 2
    let products = model.forwardFLOPs(perTokenAt: Int(length.rounded())) - attention
    // Tiles of 16 keys and 16 columns: what is computed, needed or not.
    let columns = (C / H / 16).rounded(.up) * 16
    let tiled = 2 * L * H * (C / H + columns) * (length / 2 + 16)
    return 3 * rows * (products / (productShare * rate) + tiled / (attentionShare * rate))
      + rows * L * C * floatSeconds + Double(model.parameterCount) * updateSeconds
      + Double(lanes) * L * operationSeconds
  }
}
