import Foundation

/// The steps after which a run keeps its weights for evaluation. The last step is always one.
package struct SnapshotSchedule: Sendable, Equatable {
  /// Ascending, without duplicates; the last is the last step of the run. 0 stands for the
  /// initialisation.
  package let steps: [Int]

  package init(steps: [Int]) { self.steps = steps }

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
}
