import Kernels
import Testing

/// Rows ahead and columns side by side against loops over their definitions.
@Suite struct RowShiftTests {
  private static let lengths = [[5, 1, 17, 2], [16], [1], [], [3, 3]]

  private func offsets(_ lengths: [Int]) -> [Int] {
    lengths.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1) }
  }

  private func numbers(_ count: Int, _ factor: Float) -> [Float] {
    (0..<count).map { factor * Float(($0 * 37) % 101) - 3 }
  }

  @Test(arguments: lengths, [0, 1, 2, 5, 16, 40])
  func rowsAhead(lengths: [Int], distance: Int) {
    let offsets = offsets(lengths)
    let N = offsets[offsets.count - 1]
    for C in [1, 15, 16, 17] {
      let (x, dY, start) = (numbers(N * C, 1), numbers(N * C, 0.5), numbers(N * C, 2))
      var (y, expected) = (numbers(N * C, 9), [Float](repeating: 0, count: N * C))
      var sums = [false, true].map { $0 ? start : expected }
      for (first, end) in zip(offsets, offsets.dropFirst()) {
        for row in first..<end where row + distance < end {
          for c in 0..<C {
            expected[row * C + c] = x[(row + distance) * C + c]
            for k in sums.indices { sums[k][(row + distance) * C + c] += dY[row * C + c] }
          }
        }
      }
      var span = y.mutableSpan
      shiftRows(into: &span, x.span, offsets: offsets.span, by: distance, C: C)
      #expect(y == expected)
      for (k, adding) in [false, true].enumerated() {
        var dX = adding ? start : numbers(N * C, 7)
        var span = dX.mutableSpan
        shiftRowsBackward(
          into: &span, dY.span, offsets: offsets.span, by: distance, C: C, adding: adding)
        #expect(dX == sums[k])
      }
    }
  }

  @Test(arguments: [(0, 3, 4), (1, 1, 1), (5, 16, 17), (3, 40, 15)])
  func columns(N: Int, left: Int, right: Int) {
    let C = left + right
    let parts = [numbers(N * left, 1), numbers(N * right, 2)]
    var y = numbers(N * C, 5)
    for (part, column, width) in [(parts[0], 0, left), (parts[1], left, right)] {
      var span = y.mutableSpan
      placeColumns(into: &span, part.span, N: N, C: C, column: column, width: width)
    }
    for n in 0..<N {
      for c in 0..<C {
        #expect(
          y[n * C + c] == (c < left ? parts[0][n * left + c] : parts[1][n * right + c - left]))
      }
    }
    for adding in [false, true] {
      for (k, (column, width)) in [(0, left), (left, right)].enumerated() {
        let before = numbers(N * width, 3)
        var x = before
        var span = x.mutableSpan
        takeColumns(
          into: &span, y.span, N: N, C: C, column: column, width: width, adding: adding)
        for i in x.indices { #expect(x[i] == parts[k][i] + (adding ? before[i] : 0)) }
      }
    }
  }
}
