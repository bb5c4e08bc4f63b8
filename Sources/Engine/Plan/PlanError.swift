/// What a plan cannot do, found before anything runs: a fault of the model's description.
package struct PlanError: Error, Equatable, Sendable, CustomStringConvertible {
  package let description: String

  init(_ description: String) { self.description = description }
}
