import CKernels

/// The sum of arrays as a binary tree over their numbers, (0 + 1) + (2 + 3) and so on, up to sixteen of
/// them at a time in registers: each is read once.
// Unchecked: calls for ranges apart may run at the same time.
package struct SumTree: @unchecked Sendable {
  /// Arrays that are summed into their first, in order.
  private let groups: [[UnsafeMutablePointer<Float>?]]

  /// Floats of each array that stay in the caches while all groups sum them.
  private static let piece = 1 << 12

  /// Precondition: a power of two of them, which outlive this.
  package init(_ arrays: [UnsafeMutablePointer<Float>]) {
    precondition(arrays.count > 0 && arrays.count & (arrays.count - 1) == 0)
    var (left, groups) = (arrays, [[UnsafeMutablePointer<Float>?]]())
    while left.count > 1 {
      let size = min(16, left.count)
      let firsts = stride(from: 0, to: left.count, by: size)
      groups += firsts.map { Array(left[$0..<$0 + size]) }
      left = firsts.map { left[$0] }
    }
    self.groups = groups
  }

  /// Leaves the sum of some places in the first array; what the others have there is lost.
  package func sum(_ range: Range<Int>) {
    for first in stride(from: range.lowerBound, to: range.upperBound, by: Self.piece) {
      let end = min(first + Self.piece, range.upperBound)
      for group in groups {
        group.withUnsafeBufferPointer {
          ott_sum_tree($0.baseAddress, Int32($0.count), first, end)
        }
      }
    }
  }
}
