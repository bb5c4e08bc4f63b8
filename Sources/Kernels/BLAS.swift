import COpenBLAS
import Support

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The matrix-product library: which kernel it runs with, and its one entry point.
package enum BLAS {
  /// Makes the library use the kernels of `core`, or of the best core this CPU can run, whatever
  /// the environment says, on one thread per call; and chooses what multiplies factors of bfloat16.
  ///
  /// OpenBLAS chooses its kernels when it is loaded, from `OPENBLAS_CORETYPE`; when that differs
  /// from the wanted one the variable is set and the process starts itself anew, once, with the same
  /// arguments. So call this first in `main`, before anything is opened or printed. On CPUs without
  /// a wanted core the library's own choice stands.
  ///
  /// - Parameters:
  ///   - bfloat16: a `BFloat16Kernel`.
  ///   - source: the file that names them, for messages.
  /// - Throws: `UserError` when a named core was asked for and the library did not take it, or a kernel of
  ///   bfloat16 that is not here.
  package static func configure(
    core wanted: String? = nil, bfloat16: String? = nil, source: String? = nil
  ) throws {
    let guardName = "OVERTOKEN_BLAS_CORE_SET"
    if let name = wanted ?? bestCore {
      let current = getenv("OPENBLAS_CORETYPE").map { String(cString: $0) }
      let restarted = getenv(guardName) != nil
      if current != name && !restarted {
        setenv("OPENBLAS_CORETYPE", name, 1)
        setenv(guardName, "1", 1)
        restart()
      }
      unsetenv(guardName)
      if let wanted, coreName.lowercased() != wanted.lowercased() {
        throw UserError(
          source.map { "\($0): begun with other matrix products" }
            ?? "the BLAS core cannot be chosen",
          expected: wanted, found: coreName,
          remedy: source == nil
            ? "Name a core that this OpenBLAS build and this CPU have, such as Haswell."
            : "Go on where OpenBLAS has that core, or delete it to train from the start.")
      }
    }
    openblas_set_num_threads(1)
    try BFloat16Kernel.configure(bfloat16, source: source)
  }

  /// The kernels in use, such as `SkylakeX`.
  package static var coreName: String { String(cString: openblas_get_corename()) }

  /// The library's version and build options.
  package static var version: String { String(cString: openblas_get_config()) }

  /// What the evidence of a run says of the library.
  package static var libraries: [String: String] { ["blasCore": coreName, "blas": version] }

  /// The core for this CPU: AVX-512 → SkylakeX, AVX2 and FMA → Haswell, else the library's choice.
  package static var bestCore: String? {
    if ott_cpu_has_avx512() != 0 { return "SkylakeX" }
    return ott_cpu_has_avx2_fma() != 0 ? "Haswell" : nil
  }

  /// Replaces this process by a new one with the same arguments; returns only when that fails.
  private static func restart() {
    var arguments = CommandLine.arguments.map { strdup($0) } + [nil]
    // By its path, so that `top` and `pkill` know it by its name; the link serves where another file has
    // taken its place.
    for path in [Host.executable(), "/proc/self/exe"] {
      if let path { execv(path, &arguments) }
    }
    for argument in arguments { free(argument) }
  }
}

/// What the matrix product reads: (rows, columns) row-major with a row stride, maybe transposed.
struct MatrixOperand {
  var base: UnsafePointer<Float>
  var stride: Int
  var transposed = false
}

/// C (rows, columns) = or += A (rows, depth) · B (depth, columns) by the library, one thread.
/// Deterministic for a given core and shape; the order of the sum over k is the library's.
func libraryMatmul(
  _ c: UnsafeMutablePointer<Float>, cRow: Int, _ a: MatrixOperand, _ b: MatrixOperand, rows: Int,
  depth: Int, columns: Int, adding: Bool
) {
  if rows == 0 || columns == 0 { return }
  cblas_sgemm(
    CblasRowMajor, a.transposed ? CblasTrans : CblasNoTrans,
    b.transposed ? CblasTrans : CblasNoTrans,
    blasint(rows), blasint(columns), blasint(depth), 1, a.base, blasint(max(a.stride, 1)), b.base,
    blasint(max(b.stride, 1)), adding ? 1 : 0, c, blasint(max(cRow, 1)))
}
