import Kernels
import Support

/// Where one run of a program finds its data: what kernels see of the executor.
package struct Workspace: ~Copyable {
  /// Of the matrix products.
  package let precision: Precision
  /// Workers who take part in the kernels of this run.
  package let helpers: (any Helpers)?
  let lane: LaneView
  /// By space.
  let spaces: UnsafePointer<RowsView>
  let weights: UnsafePointer<Float>
  /// First float of each parameter.
  let weightOffsets: UnsafePointer<Int>
  /// The packed weights, in programs that have them.
  let packed: UnsafePointer<Float>?
  let factors: FactorLayout
  /// Set anew before each operation of the backward pass.
  let gradients: UnsafePointer<GradientPlace>?
  let arena: UnsafeMutablePointer<Float>
  /// By tensor: see `Plan`.
  let valueOffsets: UnsafePointer<Int>
  let gradientOffsets: UnsafePointer<Int>
  let scratchCount: Int
  /// By loss: weight / rows of the whole batch that count.
  let lossScales: UnsafePointer<Float>
  /// By tensor: the loss that it is, or −1.
  let lossNumbers: UnsafePointer<Int>

  /// Whether each row is a sequence of its own, whose bits may not depend on the others.
  package var isDecoding: Bool { lane.slots.count > 0 }

  /// Whether the bits of the rows of `tensor` may not depend on those of other segments: when decoding,
  /// and without gradients also in spaces behind the positions, whose segments may come in any company.
  func isRowwise(_ tensor: Tensor) -> Bool {
    isDecoding || gradients == nil && tensor.space != .positions
  }

  /// Rows of this lane in the space of `tensor`, N.
  package func rows(of tensor: Tensor) -> Int { spaces[tensor.space.id].rows }

  /// Row ids of the space of `tensor`, (rows, tables).
  package func ids(of tensor: Tensor) -> (ids: UnsafeBufferPointer<Int32>, tables: Int) {
    (spaces[tensor.space.id].inputs, spaces[tensor.space.id].tables)
  }

  /// The place of each row in its segment, counted from 0.
  package func positions(of tensor: Tensor) -> UnsafeBufferPointer<Int32> {
    spaces[tensor.space.id].positions
  }

  /// First row of each segment, and the number of rows.
  package func segments(of tensor: Tensor) -> UnsafeBufferPointer<Int> {
    spaces[tensor.space.id].offsets
  }

  /// A column of the positions' labels, (rows); −1 where there is none.
  package func labels(column: Int = 0) -> UnsafeBufferPointer<Int32> {
    if column == 0 { return lane.labels }
    let rows = spaces[0].rows
    return UnsafeBufferPointer(
      rebasing: lane.furtherLabels[(column - 1) * rows..<column * rows])
  }

  /// For every row of the link's first space the row of the other, or −1.
  package func link(_ link: RowLink) -> UnsafeBufferPointer<Int32> {
    guard let links = lane.links else { preconditionFailure("a lane without its links") }
    return links[link.id]
  }

  /// The value of an activation, (rows, columns).
  package func value(_ tensor: Tensor) -> UnsafeMutableBufferPointer<Float> {
    buffer(valueOffsets[tensor.id], tensor)
  }

  /// Whether both values lie in one place.
  package func areShared(_ a: Tensor, _ b: Tensor) -> Bool {
    a.space == b.space && valueOffsets[a.id] == valueOffsets[b.id]
  }

  /// The gradient of an activation, (rows, columns).
  package func gradient(_ tensor: Tensor) -> UnsafeMutableBufferPointer<Float> {
    buffer(gradientOffsets[tensor.id], tensor)
  }

  private func buffer(_ offset: Int, _ tensor: Tensor) -> UnsafeMutableBufferPointer<Float> {
    let space = spaces[tensor.space.id]
    return UnsafeMutableBufferPointer(
      start: arena + space.start + offset * space.stride, count: space.rows * tensor.columns)
  }

  /// The gradient of a loss on each row that counts: its weight over the rows of the whole batch that
  /// do.
  package func lossScale(of tensor: Tensor) -> Float {
    let number = lossNumbers[tensor.id]
    precondition(number >= 0, "tensor \(tensor.id) is no loss")
    return lossScales[number]
  }

  package func weight(_ parameter: Parameter) -> UnsafeBufferPointer<Float> {
    UnsafeBufferPointer(start: weights + weightOffsets[parameter.id], count: parameter.count)
  }

  /// The packed form of a weight; nil when products are in single precision.
  package func packed(_ parameter: Parameter) -> UnsafeBufferPointer<Float>? {
    guard let packed, let place = factors.places[parameter.id] else { return nil }
    return UnsafeBufferPointer(start: packed + place.offset, count: place.count)
  }

  package func gradient(_ parameter: Parameter) -> UnsafeMutableBufferPointer<Float> {
    guard let gradients else { preconditionFailure("gradients in a plan without a backward pass") }
    return UnsafeMutableBufferPointer(
      start: gradients.pointee.base + gradients.pointee.offsets[parameter.id],
      count: parameter.count)
  }

  package var scratch: UnsafeMutableBufferPointer<Float> {
    UnsafeMutableBufferPointer(start: arena, count: scratchCount)
  }
}

/// Leaves dY as the gradient of a residual, the operation's input number `index`.
func passGradient(
  _ w: borrowing Workspace, _ dY: Span<Float>, to residual: Tensor, at index: Int,
  _ accumulation: Accumulation
) {
  if accumulation.sharesInput(index) { return }
  var target = w.gradient(residual).mutableSpan
  if accumulation.addsInput(index) {
    add(dY, to: &target)
  } else {
    copy(dY, into: &target)
  }
}
