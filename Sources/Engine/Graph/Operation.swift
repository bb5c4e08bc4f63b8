/// A coarse step of a model, described: what it reads, writes and keeps, and what it costs. How it is
/// computed is an executor's business: see `CPUOperation`. A new operation is a file with one
/// conformance and one more for each executor; the planner finds the order of the backward pass, the
/// memory, and whether each gradient is written or added to.
package protocol Operation: Sendable {
  /// What it does, for the table of the plan.
  var name: String { get }
  /// The activations it reads that get gradients; each once.
  var inputs: [Tensor] { get }
  /// The activations it reads that get none, such as the choices of a router.
  var constants: [Tensor] { get }
  var outputs: [Tensor] { get }
  /// Those outputs that no gradient flows through: statistics, choices.
  var auxiliary: [Tensor] { get }
  var parameters: [Parameter] { get }
  /// Those parameters that are factors of matrix products.
  var factors: [Parameter] { get }
  /// Inputs, constants and outputs whose values the backward pass reads.
  var saved: [Tensor] { get }
  /// The input whose gradient may lie in the place of the first output's gradient.
  var sharingGradient: Tensor? { get }
  /// The input in whose place the first output may be written when nobody reads it later.
  var sharingValue: Tensor? { get }
  /// Whether the backward pass can add to the gradient of this input, which a later consumer has
  /// written, instead of overwriting it.
  func canAdd(toInput index: Int) -> Bool
  /// The parameters whose gradients are all overwritten or all added to, never a mixture.
  var parametersAddedTogether: Bool { get }
  /// Whether the backward pass does the forward pass's work too.
  var mergesForward: Bool { get }
  /// Of an operation whose first output is a loss: the column of the lane's labels that says which
  /// rows count; nil when all do.
  var countedLabels: Int? { get }
  /// Forward FLOPs of a row that is the `position`-th of its sentence, counted from 1.
  func flops(position: Double) -> Double
}

extension Operation {
  package var constants: [Tensor] { [] }
  package var auxiliary: [Tensor] { [] }
  package var factors: [Parameter] { [] }
  package var sharingGradient: Tensor? { nil }
  package var sharingValue: Tensor? { nil }
  package func canAdd(toInput index: Int) -> Bool { true }
  package var parametersAddedTogether: Bool { false }
  package var mergesForward: Bool { false }
  package var countedLabels: Int? { nil }

  /// The space whose rows it works through.
  package var space: RowSpace { outputs.first?.space ?? inputs.first?.space ?? .positions }
}

/// How an operation's backward pass leaves its gradients.
package struct Accumulation: Sendable, Equatable {
  private var addedInputs: [Bool]
  private var addedParameters: [Bool]
  private var sharedInput: Int?

  init(inputs: Int, parameters: Int) {
    addedInputs = Array(repeating: false, count: inputs)
    addedParameters = Array(repeating: false, count: parameters)
  }

  /// Input i has a gradient from a later consumer: add to it.
  package func addsInput(_ i: Int) -> Bool { addedInputs[i] }
  /// The gradient of input i lies where the first output's gradient lies: transform it in place.
  package func sharesInput(_ i: Int) -> Bool { sharedInput == i }
  package func addsParameter(_ i: Int) -> Bool { addedParameters[i] }

  mutating func addInput(_ i: Int) { addedInputs[i] = true }
  mutating func shareInput(_ i: Int) { sharedInput = i }
  mutating func addParameter(_ i: Int) { addedParameters[i] = true }
}
