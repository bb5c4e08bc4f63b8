/// Levenshtein distance, for "did you mean".
package enum EditDistance {
  /// The smallest number of insertions, deletions and substitutions of characters that turn `a` into
  /// `b`. O(|a|·|b|).
  package static func between(_ a: String, _ b: String) -> Int {
    let (a, b) = (Array(a), Array(b))
    var row = Array(0...b.count)
    for i in 0..<a.count {
      var diagonal = row[0]
      row[0] = i + 1
      for j in 0..<b.count {
        let substituted = diagonal + (a[i] == b[j] ? 0 : 1)
        diagonal = row[j + 1]
        row[j + 1] = min(substituted, row[j] + 1, diagonal + 1)
      }
    }
    return row[b.count]
  }

  /// The candidate nearest to `word` (the first of equals), case aside; nil when even that one shares
  /// less than half of it.
  package static func nearest(to word: String, among candidates: [String]) -> String? {
    let ranked = candidates.map { ($0, between(word.lowercased(), $0.lowercased())) }
    guard let best = ranked.min(by: { $0.1 < $1.1 }) else { return nil }
    return best.1 <= max(word.count, best.0.count) / 2 ? best.0 : nil
  }
}
