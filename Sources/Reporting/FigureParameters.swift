import Contracts

extension FigureParameters {
  /// Every variant of a panel or a claim, in order of first appearance.
  package var variants: [String] {
    var seen: Set<String> = []
    let all = panels.flatMap(\.variants) + claims.flatMap { [$0.baseline, $0.variant] }
    return all.filter { seen.insert($0).inserted }
  }
}
