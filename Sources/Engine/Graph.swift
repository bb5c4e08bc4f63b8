import Kernels

/// An activation: (rows, columns) floats, where the number of rows is known only when a lane comes.
package struct Tensor: Hashable, Sendable {
  package let id: Int
  package let columns: Int
}

/// What a graph is traced for.
package enum GraphMode: Sendable, Equatable {
  /// Packed sentences, loss and gradients.
  case training
  /// Packed sentences, log-probabilities only.
  case scoring
  /// One row per live sequence, attention over caches of `context` positions.
  case decoding(context: Int)

  var isDecoding: Bool {
    if case .decoding = self { true } else { false }
  }
}

/// The bounds that scratch and buffers are laid out for.
package struct Limits: Sendable, Equatable {
  /// Rows of a lane.
  package var rows: Int
  /// Rows of its longest sentence.
  package var segment: Int
  /// Of the matrix products.
  package var precision: Precision

  package init(rows: Int, segment: Int, precision: Precision = .float32) {
    self.rows = rows
    self.segment = segment
    self.precision = precision
  }
}

/// A coarse step of the model with hand-written forward and backward kernels. A new operation is a
/// file with one conformance; the planner finds the order of the backward pass, the memory, and
/// whether each gradient is written or added to.
package protocol Operation: Sendable {
  /// What it does, for the table of the plan.
  var name: String { get }
  /// The activations it reads that have gradients.
  var inputs: [Tensor] { get }
  var outputs: [Tensor] { get }
  var parameters: [Parameter] { get }
  /// Those parameters that are factors of matrix products through `Workspace.linear` and the like.
  var factors: [Parameter] { get }
  /// Inputs and outputs whose values the backward pass reads.
  var saved: [Tensor] { get }
  /// The input whose gradient may lie in the place of the first output's gradient.
  var sharingGradient: Tensor? { get }
  /// The input in whose place the first output may be written when nobody reads it later.
  var sharingValue: Tensor? { get }
  /// Whether the backward pass does the forward pass's work too.
  var mergesForward: Bool { get }
  /// Floats of scratch.
  func scratch(_ limits: Limits) -> Int
  /// Forward FLOPs of a row that is the `position`-th of its sentence, counted from 1.
  func flops(position: Double) -> Double
  func forward(_ w: borrowing Workspace)
  /// `accumulation` says for each input and parameter whether its gradient is there to add to.
  func backward(_ w: borrowing Workspace, _ accumulation: Accumulation)
}

extension Operation {
  package var sharingGradient: Tensor? { nil }
  package var sharingValue: Tensor? { nil }
  package var mergesForward: Bool { false }
  package var factors: [Parameter] { [] }
  package func scratch(_ limits: Limits) -> Int { 0 }
}

/// How an operation's backward pass leaves its gradients.
package struct Accumulation: Sendable, Equatable {
  private var addedInputs: UInt64 = 0
  private var sharedInputs: UInt64 = 0
  private var addedParameters: UInt64 = 0

  /// Input i has a gradient from a later consumer: add to it.
  package func addsInput(_ i: Int) -> Bool { addedInputs >> UInt64(i) & 1 == 1 }
  /// The gradient of input i lies where the first output's gradient lies: transform it in place.
  package func sharesInput(_ i: Int) -> Bool { sharedInputs >> UInt64(i) & 1 == 1 }
  package func addsParameter(_ i: Int) -> Bool { addedParameters >> UInt64(i) & 1 == 1 }

  mutating func addInput(_ i: Int) { addedInputs |= 1 << UInt64(i) }
  mutating func shareInput(_ i: Int) { sharedInputs |= 1 << UInt64(i) }
  mutating func addParameter(_ i: Int) { addedParameters |= 1 << UInt64(i) }
}

/// Collects the operations of a model as it is traced.
package struct GraphBuilder {
  package let mode: GraphMode
  package private(set) var layout = ParameterLayout()
  package private(set) var operations: [any Operation] = []
  private(set) var tensors: [Tensor] = []
  private var caches = 0

  package init(mode: GraphMode) { self.mode = mode }

  /// Declares a parameter. Matrices and tables decay, vectors do not.
  package mutating func parameter(_ name: String, _ shape: [Int], _ initializer: Initializer)
    -> Parameter
  {
    layout.add(name, shape, initializer, decay: shape.count > 1)
  }

  /// Declares a table outside of the flat arrays. The last columns of a lane's inputs are row ids, one
  /// column for each table in the order of declaration.
  package mutating func table(_ name: String, rows: Int, width: Int, deviation: Double) -> Table {
    layout.addTable(TableSlot(name: name, rows: rows, width: width, deviation: deviation))
  }

  package mutating func tensor(columns: Int) -> Tensor {
    let tensor = Tensor(id: tensors.count, columns: columns)
    tensors.append(tensor)
    return tensor
  }

  package mutating func append(_ operation: some Operation) { operations.append(operation) }

  /// The number of the next attention cache.
  package mutating func nextCache() -> Int {
    defer { caches += 1 }
    return caches
  }
}
