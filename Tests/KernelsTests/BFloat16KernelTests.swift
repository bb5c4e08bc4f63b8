import Kernels
import Support
import Testing

/// The tiles of AMX. What multiplies is chosen for a whole process, so each test is one of its own.
@Suite(.enabled(if: Precision.bfloat16.isAvailable))
struct BFloat16KernelTests {
  private static let shapes = [
    (1, 1, 1), (1, 2, 17), (3, 16, 48), (9, 31, 16), (17, 33, 63), (33, 64, 65), (40, 65, 70),
    (270, 48, 80), (5, 320, 33),
  ]

  /// What the processor's manual says of one element: of each sixteen pairs a chain of the first and a
  /// chain of the second numbers, both added up, and that to the sum.
  private static func chain(_ depth: Int, _ a: (Int) -> Float, _ b: (Int) -> Float) -> Float {
    var sum: Float = 0
    for first in stride(from: 0, to: depth, by: 32) {
      var halves: (Float, Float) = (0, 0)
      for k in first..<min(first + 32, depth) {
        if k % 2 == 0 {
          halves.0 = halves.0.addingProduct(a(k), b(k))
        } else {
          halves.1 = halves.1.addingProduct(a(k), b(k))
        }
      }
      sum += halves.0 + halves.1
    }
    return sum
  }

  @Test func tilesHaveTheBitsOfTheManual() async {
    await #expect(processExitsWith: .success) {
      BFloat16Kernel.emulatedAMX.use()
      for (N, K, M) in Self.shapes {
        let (x, w, dY) = (draws(N * K, "x"), draws(K * M, "w"), draws(N * M, "dY"))
        let (b, dB0) = (draws(M, "b"), draws(M, "dB0"))
        let (y0, dX0, dW0) = (draws(N * M, "y0"), draws(N * K, "dX0"), draws(K * M, "dW0"))
        var (y, dX, dW, dB) = (y0, dX0, dW0, dB0)
        products(&y, &dX, &dW, &dB, x, w, dY, b, N: N, K: K, M: M, adding: true)
        let (xr, wr, dYr) = (x.map(rounded), w.map(rounded), dY.map(rounded))
        let forward = (0..<N * M).map { i in
          Self.chain(K, { xr[i / M * K + $0] }, { wr[$0 * M + i % M] }) + b[i % M] + y0[i]
        }
        let inputs = (0..<N * K).map { i in
          Self.chain(M, { dYr[i / K * M + $0] }, { wr[i % K * M + $0] }) + dX0[i]
        }
        var weights = dW0
        for first in stride(from: 0, to: N, by: 256) {
          for i in 0..<K * M {
            weights[i] += Self.chain(
              min(256, N - first), { xr[(first + $0) * K + i / M] },
              { dYr[(first + $0) * M + i % M] })
          }
        }
        let shape = "\(N), \(K), \(M)"
        #expect(y == forward, "Y of \(shape)")
        #expect(dX == inputs, "dX of \(shape)")
        #expect(dW == weights, "dW of \(shape)")
      }
    }
  }

  /// What the vectors are tested by, by tiles.
  @Test func everyProductAgreesWithItsTwin() async {
    await #expect(processExitsWith: .success) {
      BFloat16Kernel.emulatedAMX.use()
      let tests = BFloat16Tests()
      for adding in [false, true] {
        for shape in Self.shapes {
          tests.agreesWithTwin(shape: shape, adding: adding)
          tests.activationsAreFused(shape: shape, adding: adding)
        }
        for shape in [(1, 16, 5), (40, 17, 33), (70, 32, 70)] {
          tests.headAgrees(shape: shape, adding: adding)
        }
      }
      tests.rowsAreAlone()
      tests.roundsToNearestEven()
      tests.badNumbersAreNotHidden(bad: .nan)
      for (lengths, heads, width) in [
        ([31, 32, 1, 33], 2, 16), ([65, 130], 1, 33), ([579], 2, 18),
      ] {
        tests.attentionAgrees(lengths: lengths, H: heads, D: width)
      }
    }
  }

  /// Where there is an AMX: its bits are those of the tiles in C.
  @Test(.enabled(if: Precision.bfloat16.isAvailable && BFloat16Kernel.amx.isAvailable))
  func processorAgrees() async {
    await #expect(processExitsWith: .success) {
      for (N, K, M) in Self.shapes {
        let (x, w, dY, b) = (
          draws(N * K, "x"), draws(K * M, "w"), draws(N * M, "dY"), draws(M, "b")
        )
        let made = [BFloat16Kernel.amx, .emulatedAMX].map { kernel in
          kernel.use()
          var (y, dX, dW, dB) = (draws(N * M, "y"), draws(N * K, "dX"), draws(K * M, "dW"), b)
          products(&y, &dX, &dW, &dB, x, w, dY, b, N: N, K: K, M: M, adding: true)
          return [y, dX, dW]
        }
        #expect(made[0] == made[1], "\(N), \(K), \(M)")
      }
    }
  }
}
