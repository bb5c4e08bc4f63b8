import Foundation
import Support

/// The steps after which a run keeps its weights for evaluation. The last step is always one.
package struct SnapshotSchedule: Sendable, Equatable {
  package enum Spacing: String, CaseIterable, Sendable {
    case linear, log
  }

  /// Ascending, without duplicates; the last is the last step of the run. 0 stands for the
  /// initialisation.
  package let steps: [Int]

  package func contains(_ step: Int) -> Bool { steps.contains(step) }

  /// Step `round(k·S/K)` for `k = 1 … K`, without duplicates.
  package static func linear(count: Int, steps: Int) -> [Int] {
    precondition(count >= 1 && steps >= 1, "at least one snapshot of at least one step")
    return unique((1...count).map { Int((Double($0) * Double(steps) / Double(count)).rounded()) })
  }

  /// Step `round(F·(S/F)^(k/(K−1)))` for `k = 0 … K − 1`, without duplicates; one snapshot is the last.
  package static func log(count: Int, first: Int, steps: Int) -> [Int] {
    precondition(count >= 1 && first >= 1 && first <= steps, "a first step lies in the run")
    if count == 1 { return [steps] }
    let ratio = Double(steps) / Double(first)
    return unique(
      (0..<count).map { k in
        k == count - 1
          ? steps : Int((Double(first) * pow(ratio, Double(k) / Double(count - 1))).rounded())
      })
  }

  private static func unique(_ steps: [Int]) -> [Int] {
    var result: [Int] = []
    for step in steps where step >= 1 && step > result.last ?? 0 { result.append(step) }
    return result
  }

  /// Reads `{"count": K, "spacing": "linear"}`, `{"count": K, "spacing": "log", "first": F}` or
  /// `{"steps": […]}`, each with an optional `"initial": true` that adds step 0.
  ///
  /// - Throws: `UserError` for unknown keys, a first step beyond the run, or steps that do not ascend
  ///   to the last step.
  package init(reader: inout ConfigReader, steps total: Int) throws {
    let initial = try reader.bool("initial", default: false)
    var list: [Int]
    if reader.has("steps") {
      list = try reader.ints("steps")
      let ascending = zip(list, list.dropFirst()).allSatisfy { $0 < $1 }
      guard ascending, let first = list.first, first >= 1, list.last == total else {
        throw UserError(
          "snapshots.steps is not a list that ascends to the last step",
          expected: "ascending steps from 1, the last of them \(total)", found: "\(list)",
          remedy: "End the list with the run's last step, or give count and spacing.")
      }
    } else {
      let count = try reader.int("count", in: 1...100_000)
      switch try reader.choice("spacing", Spacing.self) {
      case .linear: list = Self.linear(count: count, steps: total)
      case .log:
        let first = try reader.int("first", in: 1...max(1, total))
        list = Self.log(count: count, first: first, steps: total)
      }
    }
    try reader.finish()
    if initial { list.insert(0, at: 0) }
    self.steps = list
  }
}
