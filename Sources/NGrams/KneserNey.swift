import Glibc

/// An interpolated Kneser-Ney model of order n over counted tokens.
///
///     p₀(w) = 1 / classes
///     p_k(w | h) = max(a(hw) − D(a(hw)), 0) / Σ_v a(hv)  +  γ(h) · p_{k−1}(w | h without its first)
///     γ(h) = Σ_v D(a(hv)) / Σ_v a(hv)
///
/// where a is the count of a gram at the highest order and its adjusted count below (`GramCounts`), and
/// p_k(w | h) = p_{k−1} where h was never seen. Discounts are by order, for counts of 1, 2, and 3 or more:
///
///     D_j = j − (j + 1) · Y · t_{j+1} / t_j,      Y = t₁ / (t₁ + 2 t₂)
///
/// with t_j the number of grams that have the count j.
///
/// Source: Chen and Goodman 1998, §3 (modified, interpolated). Numerics: Double throughout; a score is
/// one sum of at most n terms in the order of k.
package struct KneserNey: Sendable {
  package let order: Int
  private let counts: GramCounts
  /// Classes that the lowest order shares its mass among.
  private let classes: Int
  /// Of order k at k − 1.
  private let levels: [Level]

  /// What one order adds.
  private struct Level {
    let discounts: Discounts
    let isHighest: Bool
    /// Of each context: Σ a, and γ.
    var totals: [Double]
    var gammas: [Double]
  }

  /// D of the counts 1, 2, and 3 or more.
  package struct Discounts: Sendable, Equatable {
    package let values: [Double]

    /// - Parameter counts: how many grams have the count 1, 2, 3 and 4. Where they give no discounts,
    ///   because one of the first three is zero or a discount falls out of 0…j, they are ½, 1 and 1½,
    ///   as KenLM's `--discount_fallback` has them.
    package init(_ counts: [Int]) {
      precondition(counts.count == 4, "counts of counts 1 to 4")
      let t = counts.map(Double.init)
      let y = t[0] / (t[0] + 2 * t[1])
      let found = (1...3).map { j in Double(j) - Double(j + 1) * y * t[j] / t[j - 1] }
      let isUsable =
        t[..<3].allSatisfy { $0 > 0 }
        && found.enumerated().allSatisfy { $0.element >= 0 && $0.element <= Double($0.offset + 1) }
      values = isUsable ? found : [0.5, 1, 1.5]
    }

    @inline(__always)
    func callAsFunction(_ count: UInt32) -> Double {
      count == 0 ? 0 : values[min(Int(count), 3) - 1]
    }
  }

  /// - Parameters:
  ///   - order: n, at most that of the counts.
  ///   - classes: classes of p₀; the vocabulary unless given.
  package init(_ counts: GramCounts, order: Int, classes: Int? = nil) {
    precondition(1...counts.order ~= order, "an order that was counted")
    self.order = order
    self.counts = counts
    self.classes = classes ?? counts.vocabulary
    levels = (1...order).map { k in Self.level(counts, k, isHighest: k == order) }
  }

  /// The discounts of order `k`.
  package func discounts(_ k: Int) -> Discounts { levels[k - 1].discounts }

  private static func level(_ counts: GramCounts, _ k: Int, isHighest: Bool) -> Level {
    let own = counts.levels[k - 1]
    let values = isHighest ? own.raw : own.adjusted
    var counted = [0, 0, 0, 0]
    for value in values where 1...4 ~= value { counted[Int(value) - 1] += 1 }
    let discounts = Discounts(counted)
    let contexts = k == 1 ? 1 : k == 2 ? counts.vocabulary : counts.levels[k - 2].grams.count
    var level = Level(
      discounts: discounts, isHighest: isHighest,
      totals: [Double](repeating: 0, count: contexts),
      gammas: [Double](repeating: 0, count: contexts))
    for (id, value) in values.enumerated() where value > 0 {
      let context = k == 1 ? 0 : own.grams.prefix(id)
      level.totals[context] += Double(value)
      level.gammas[context] += discounts(value)
    }
    for context in level.totals.indices where level.totals[context] > 0 {
      level.gammas[context] /= level.totals[context]
    }
    return level
  }

  /// log p of each token of a sequence but the first, in nats, each behind all that the sequence has
  /// before it, at most n − 1 tokens.
  package func logProbabilities(_ tokens: some Sequence<UInt32>) -> [Double] {
    var result: [Double] = []
    // Ids of the seen contexts of 1…n − 1 tokens that end at the token before.
    var contexts: [UInt32] = []
    var isFirst = true
    for token in tokens {
      precondition(token < counts.vocabulary, "a token of the vocabulary")
      if !isFirst { result.append(log(probability(of: token, behind: contexts))) }
      contexts = extended(contexts, by: token)
      isFirst = false
    }
    return result
  }

  private func probability(of token: UInt32, behind contexts: [UInt32]) -> Double {
    var p = 1 / Double(classes)
    for k in 1...order {
      let level = levels[k - 1]
      guard k == 1 || k - 2 < contexts.count else { break }
      let context = k == 1 ? 0 : Int(contexts[k - 2])
      let total = level.totals[context]
      // Nothing was seen behind this context, and so nothing behind a longer one.
      guard total > 0 else { break }
      let id =
        k == 1 ? token : counts.levels[k - 1].grams.find(prefix: UInt32(context), token: token)
      let own = counts.levels[k - 1]
      let count = id.map { level.isHighest ? own.raw[Int($0)] : own.adjusted[Int($0)] } ?? 0
      p = max(Double(count) - level.discounts(count), 0) / total + level.gammas[context] * p
    }
    return p
  }

  private func extended(_ contexts: [UInt32], by token: UInt32) -> [UInt32] {
    guard order > 1 else { return [] }
    var result = [token]
    for k in 2..<max(2, order) where k - 2 < contexts.count {
      guard let id = counts.levels[k - 1].grams.find(prefix: contexts[k - 2], token: token) else {
        break
      }
      result.append(id)
    }
    return result
  }
}
