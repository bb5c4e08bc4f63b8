import CKernels
import Support

/// How the matrix products of a training step compute. Weights, optimizer, activations, norms,
/// softmax, losses and all sums are in single precision either way.
package enum Precision: String, CaseIterable, Sendable {
  /// Single precision throughout.
  case float32
  /// The factors of the products are rounded to bfloat16 (nearest, ties to even); products are
  /// summed in single precision.
  case bfloat16

  /// Whether this build and CPU compute in it.
  package var isAvailable: Bool { self == .float32 || ott_bf16_is_built() }

  /// - Throws: `UserError` where it is not available.
  package func require(source: String) throws {
    guard isAvailable else {
      throw UserError(
        "\(source): precision \(rawValue) is not available",
        expected: "a build for a CPU with the instructions AVX512-BF16",
        found: "a build without them", remedy: "Set precision to float32, or leave it out.")
    }
  }
}
