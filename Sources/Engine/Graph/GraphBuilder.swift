import Kernels

/// Collects the operations of a model as it is traced.
package struct GraphBuilder {
  package let mode: GraphMode
  package private(set) var layout = ParameterLayout()
  package private(set) var operations: [any Operation] = []
  private var outputLosses: [Loss] = []
  private var trunkLosses: [Loss] = []
  /// Of every space behind the positions.
  package private(set) var spaces: [RowCount] = []
  /// Of those spaces, the rows that no segment has more of, where that is known.
  private var longestSegments: [Int?] = []
  package private(set) var links: [RowLink] = []
  /// The operations of each part that is postponed.
  package private(set) var postponed: [Range<Int>] = []
  private(set) var tensors: [Tensor] = []
  private var caches = 0

  package init(mode: GraphMode) { self.mode = mode }

  /// Those of outputs, then those of trunks, each in the order of declaration.
  package var losses: [Loss] { outputLosses + trunkLosses }

  /// Declares a parameter. Matrices and tables decay, vectors do not.
  ///
  /// - Parameter isShared: whether a parameter of that name and shape that is there already is meant.
  package mutating func parameter(
    _ name: String, _ shape: [Int], _ initializer: Initializer, isShared: Bool = false
  ) -> Parameter {
    if isShared, let parameter = layout.parameter(named: name) {
      precondition(
        layout.slots[parameter.id].shape == shape, "\(name) is shared by layers of two shapes")
      return parameter
    }
    return layout.add(name, shape, initializer, decay: shape.count > 1)
  }

  /// Declares a table outside of the flat arrays. The last columns of a lane's inputs are row ids, one
  /// column for each table in the order of declaration.
  package mutating func table(_ name: String, rows: Int, width: Int, deviation: Double) -> Table {
    layout.addTable(TableSlot(name: name, rows: rows, width: width, deviation: deviation))
  }

  /// Declares another space of rows.
  ///
  /// - Parameter longestSegment: rows of its longest segment, whatever the lane, if that is known.
  package mutating func space(_ count: RowCount, longestSegment: Int? = nil) -> RowSpace {
    spaces.append(count)
    longestSegments.append(longestSegment)
    return RowSpace(id: spaces.count)
  }

  /// Whether all segments of a space are known to be of few rows.
  func hasShortSegments(_ space: RowSpace) -> Bool {
    guard space != .positions, let longest = longestSegments[space.id - 1] else { return false }
    return longest <= longestShortSegment
  }

  /// Declares what rows of one space stand for in another.
  package mutating func link(from: RowSpace, to: RowSpace) -> RowLink {
    let link = RowLink(id: links.count, from: from, to: to)
    links.append(link)
    return link
  }

  package mutating func tensor(columns: Int, space: RowSpace = .positions) -> Tensor {
    let tensor = Tensor(id: tensors.count, columns: columns, space: space)
    tensors.append(tensor)
    return tensor
  }

  package mutating func append(_ operation: some Operation) { operations.append(operation) }

  /// Traces a part of the graph that, when training, runs forward right before it runs backward: what it
  /// keeps in between takes no room beside what other such parts keep. Nothing outside reads what it
  /// writes; it ends in losses.
  package mutating func postpone(_ trace: (inout GraphBuilder) -> Void) {
    let first = operations.count
    trace(&self)
    precondition(
      postponed.last.map { $0.upperBound <= first } ?? true, "a postponed part inside of another")
    if first < operations.count { postponed.append(first..<operations.count) }
  }

  /// Makes the rows of `tensor` (rows, 1) a loss. The first one is the next-token loss.
  ///
  /// - Parameter weight: of its mean in what is minimised; a finite number.
  package mutating func addLoss(_ name: String, _ tensor: Tensor, weight: Double = 1) {
    outputLosses.append(Loss(name: name, tensor: tensor, weight: weight))
  }

  /// Makes the rows of `tensor` (rows, 1) a loss of a trunk, such as the balance of its routers: it
  /// stands behind those of all outputs, whenever it is declared.
  package mutating func addTrunkLoss(_ name: String, _ tensor: Tensor, weight: Double) {
    trunkLosses.append(Loss(name: name, tensor: tensor, weight: weight))
  }

  /// The number of the next attention cache.
  package mutating func nextCache() -> Int {
    defer { caches += 1 }
    return caches
  }
}
