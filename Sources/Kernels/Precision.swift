import CKernels
import Support

extension Precision {
  /// Whether this build and CPU compute in it.
  package var isAvailable: Bool { self == .float32 || ott_bf16_is_built() }

  /// - Throws: `UserError` where it is not available.
  package func require(source: String) throws {
    guard isAvailable else {
      throw UserError(
        "\(source): training.precision \(rawValue) is not available",
        expected: "a build for a CPU with the instructions AVX512-BF16",
        found: "a build without them", remedy: "Set training.precision to float32.")
    }
  }
}
