/// How the matrix products of a training step compute. Weights, optimizer, activations, norms,
/// softmax, losses and all sums are in single precision either way.
package enum Precision: String, CaseIterable, Sendable {
  /// Single precision throughout.
  case float32
  /// The factors of the products are rounded to bfloat16 (nearest, ties to even); products are
  /// summed in single precision.
  case bfloat16
}

/// Where libtorch computes.
package enum TorchDevice: String, CaseIterable, Sendable {
  /// One thread of the CPU: slow, to check by what a GPU does.
  case cpu = "torch-cpu"
  /// The first GPU.
  case cuda
}

/// Moments of a table: how many numbers a row keeps besides its weights, and in which form.
package enum TableMoments: String, CaseIterable, Sendable {
  /// Both moments of every weight in fp32: bit-equal to dense AdamW.
  case float32
  /// Both moments of every weight, rounded to bfloat16 (to nearest, ties to even) when a row is
  /// written. Between two touches arithmetic is fp32, so what is rounded depends on touches only.
  case bfloat16
  /// The first moment in fp32 and one second moment a row: v of the mean of g² over the row.
  case rowwise

  /// Bytes of the moments of a row.
  package func bytes(width: Int) -> Int {
    switch self {
    case .float32: 8 * width
    case .bfloat16: 4 * width
    case .rowwise: 4 * width + 4
    }
  }
}
