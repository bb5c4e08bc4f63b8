import Foundation

/// The number of derivations of a string.
package struct DerivationCount: Sendable, Equatable {
  /// The number, or the largest `UInt64` if the number is larger.
  package let value: UInt64
  /// Whether `value` is the number itself.
  package let isExact: Bool

  package init(value: UInt64, isExact: Bool = true) {
    self.value = value
    self.isExact = isExact
  }
}

/// Membership, number of derivations and exact probability of whole strings.
///
/// Any bytes may be asked about; a string that is empty, too short or too long, or has a byte that is
/// no terminal, is not in the language. A parser keeps its buffers from call to call, so use one a
/// thread. See `Chart` for the algorithm and its complexity.
package struct Parser: Sendable {
  package let grammar: Grammar
  private let lengths: ClosedRange<Int>
  private let tries: [LevelTrie]
  private let scale: Scale
  private let factors: [Double]
  private var memberships: Chart<MembershipValue>
  private var counts: Chart<CountValue>
  private var probabilities: Chart<ProbabilityValue>
  private var informations: Chart<InformationValue>

  package init(_ grammar: Grammar) {
    self.grammar = grammar
    lengths = grammar.lengthRange
    tries = (1...grammar.depth).map { LevelTrie(grammar, level: $0) }
    let scale = Scale(grammar)
    self.scale = scale
    factors = (0..<lengths.upperBound).map(scale.factor(at:))
    memberships = Chart(levels: grammar.levels.count)
    counts = Chart(levels: grammar.levels.count)
    probabilities = Chart(levels: grammar.levels.count)
    informations = Chart(levels: grammar.levels.count)
  }

  /// Whether `s` is a sentence of the grammar.
  package mutating func contains(_ s: Span<UInt8>) -> Bool {
    guard lengths.contains(s.count) else { return false }
    return memberships.value(
      of: s, tries: tries, terminalCount: grammar.terminalCount, factors: factors) != nil
  }

  /// How many derivations `s` has; 0 if it is not in the language.
  package mutating func derivationCount(_ s: Span<UInt8>) -> DerivationCount {
    guard lengths.contains(s.count),
      let value = counts.value(
        of: s, tries: tries, terminalCount: grammar.terminalCount, factors: factors)
    else { return DerivationCount(value: 0) }
    return DerivationCount(value: value.count, isExact: !value.overflowed)
  }

  /// log2 P(s), the sum over all derivations of s; −∞ if `s` is not in the language.
  ///
  /// Numerics: products and sums of positive doubles under exact scaling by powers of two, so the
  /// relative error of P is below (number of symbols and productions in the tree) · 2⁻⁵².
  package mutating func log2Probability(_ s: Span<UInt8>) -> Double {
    guard lengths.contains(s.count),
      let value = probabilities.value(
        of: s, tries: tries, terminalCount: grammar.terminalCount, factors: factors)
    else { return -.infinity }
    precondition(value.probability.isNormal, "the scaled probability left the range of Double")
    return log2(value.probability) - Double(scale.exponent(s.count))
  }

  /// H(derivation | s) in bits: the entropy of the derivations of `s` given `s`,
  /// log2 P(s) + Σ_d P(d | s) · −log2 P(d). 0 if there is one derivation or none.
  package mutating func derivationEntropyBits(_ s: Span<UInt8>) -> Double {
    guard lengths.contains(s.count),
      let value = informations.value(
        of: s, tries: tries, terminalCount: grammar.terminalCount, factors: factors)
    else { return 0 }
    let log2Probability = log2(value.probability) - Double(scale.exponent(s.count))
    return max(0, log2Probability + value.information / value.probability)
  }

  /// Whether `s` is a sentence of the grammar.
  package mutating func contains(_ s: [UInt8]) -> Bool { contains(s.span) }

  /// How many derivations `s` has; 0 if it is not in the language.
  package mutating func derivationCount(_ s: [UInt8]) -> DerivationCount { derivationCount(s.span) }

  /// log2 P(s); −∞ if `s` is not in the language.
  package mutating func log2Probability(_ s: [UInt8]) -> Double { log2Probability(s.span) }
}
