import CKernels
import Support

/// A weight W (K, M) of one expert, as its three products read it.
///
/// Forward products are rowwise: an element is one chain over k at every size, so that the bits of a row
/// do not depend on which rows go to the same expert. Backward products run through the library where W
/// is large.
struct ExpertFactor {
  /// (K, M); nil where the weight is packed.
  private let weight: UnsafePointer<Float>?
  private let packed: PackedWeights?
  private let K: Int
  private let M: Int
  /// Who takes part in products of bfloat16.
  private let helpers: (any Helpers)?

  /// - Parameter weight: W, or its packed form in products of bfloat16.
  init(
    _ weight: Span<Float>, K: Int, M: Int, _ precision: Precision, _ helpers: (any Helpers)? = nil
  ) {
    (self.K, self.M, self.helpers) = (K, M, helpers)
    switch precision {
    case .float32:
      precondition(weight.count == K * M, "weight \(weight.count) for K \(K), M \(M)")
      self.weight = weight.base
      packed = nil
    case .bfloat16:
      self.weight = nil
      packed = PackedWeights(weight, K: K, M: M)
    }
  }

  /// Floats of the room that the products need.
  static func room(K: Int, M: Int, _ precision: Precision) -> Int {
    switch precision {
    case .float32: max(K, M) * panelColumns
    case .bfloat16: packedMatmulScratch(K: K, M: M)
    }
  }

  /// Floats of Wᵀ where `transpose(into:)` writes it.
  static func transposedCount(K: Int, M: Int, _ precision: Precision) -> Int {
    precision == .float32 && isSmallMatmul(K: K, M: M) ? K * M : 0
  }

  /// Y = X·W for X (rows, K) and Y (rows, M) with row strides.
  func multiply(
    _ y: UnsafeMutablePointer<Float>, row yRow: Int, _ x: UnsafePointer<Float>, row xRow: Int,
    rows: Int, room: UnsafeMutablePointer<Float>
  ) {
    if let packed {
      product(
        y, row: yRow, x, row: xRow, packed.forward, rows: rows, depth: K, columns: M,
        helpers: helpers, scratch: room)
    } else if let weight {
      panelwiseMatmul(
        y, cRow: yRow, StridedMatrix(x, row: xRow), weight, bRow: M, rows: rows, depth: K,
        columns: M,
        room: room)
    }
  }

  /// Wᵀ (M, K) of a small W, for `multiplyTransposed`; of others nothing.
  func transpose(into transposed: UnsafeMutablePointer<Float>) {
    guard let weight, isSmallMatmul(K: K, M: M) else { return }
    Kernels.transpose(
      transposed, targetRow: K, weight, sourceRow: M, rows: K, columns: M)
  }

  /// dX = or += dY·Wᵀ for dX (rows, K) and dY (rows, M) with row strides.
  func multiplyTransposed(
    _ dX: UnsafeMutablePointer<Float>, row dXRow: Int, _ dY: UnsafePointer<Float>, row dYRow: Int,
    rows: Int, transposed: UnsafePointer<Float>, adding: Bool, room: UnsafeMutablePointer<Float>
  ) {
    if let packed {
      product(
        dX, row: dXRow, dY, row: dYRow, packed.backward, plus: adding ? UnsafePointer(dX) : nil,
        rows: rows, depth: M, columns: K, helpers: helpers, scratch: room)
    } else if isSmallMatmul(K: K, M: M) {
      smallMatmul(
        dX, cRow: dXRow, StridedMatrix(dY, row: dYRow), transposed, bRow: K, rows: rows, depth: M,
        columns: K, adding: adding)
    } else if let weight {
      libraryMatmul(
        dX, cRow: dXRow, MatrixOperand(base: dY, stride: dYRow),
        MatrixOperand(base: weight, stride: M, transposed: true), rows: rows, depth: M, columns: K,
        adding: adding)
    }
  }

  /// dW (K, M) = or += Xᵀ·dY for X (rows, K) and dY (rows, M) with row strides, at most
  /// `expertBlock` rows.
  func gradient(
    _ dW: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, row xRow: Int,
    _ dY: UnsafePointer<Float>, row dYRow: Int, rows: Int, adding: Bool,
    room: UnsafeMutablePointer<Float>
  ) {
    if packed != nil {
      let factors = TransposedFactors(rows: rows, K: K, M: M, in: room)
      factors.pack(x, stride: xRow, dY, stride: dYRow, helpers: helpers)
      inRanges(helpers, K, grain: 64, least: worthSharing(flops: 2 * rows * M, grain: 64)) {
        factors.multiply(into: dW, $0, adding: adding)
      }
    } else if isSmallMatmul(K: K, M: M) {
      smallMatmul(
        dW, cRow: M, StridedMatrix(x, row: 1, column: xRow), dY, bRow: dYRow, rows: K, depth: rows,
        columns: M, adding: adding)
    } else {
      libraryMatmul(
        dW, cRow: M, MatrixOperand(base: x, stride: xRow, transposed: true),
        MatrixOperand(base: dY, stride: dYRow), rows: K, depth: rows, columns: M, adding: adding)
    }
  }
}

/// Columns of a right factor that are copied side by side.
private let panelColumns = 64

/// `rowwiseMatmul` of a right factor of any size: some columns of a large one are copied side by side
/// before many rows go over them. The same bits either way. `room` holds depth · `panelColumns` floats.
private func panelwiseMatmul(
  _ c: UnsafeMutablePointer<Float>, cRow: Int, _ a: StridedMatrix, _ b: UnsafePointer<Float>,
  bRow: Int, rows: Int, depth: Int, columns: Int, room: UnsafeMutablePointer<Float>
) {
  if rows < 16 || isSmallMatmul(K: depth, M: columns) {
    rowwiseMatmul(
      c, cRow: cRow, a, b, bRow: bRow, rows: rows, depth: depth, columns: columns, adding: false)
    return
  }
  for first in stride(from: 0, to: columns, by: panelColumns) {
    let width = min(panelColumns, columns - first)
    for k in 0..<depth {
      (room + k &* panelColumns).update(from: b + k &* bRow + first, count: width)
    }
    rowwiseMatmul(
      c + first, cRow: cRow, a, room, bRow: panelColumns, rows: rows, depth: depth, columns: width,
      adding: false)
  }
}
