/// What a chart sums over the derivations of a span: a product over each derivation's parts, a sum
/// over derivations.
protocol Semiring: BitwiseCopyable, Sendable {
  /// The value of the empty product.
  static var one: Self { get }
  /// The value of a terminal, whose probability is scaled by `scale`.
  init(terminal scale: Double)
  static func * (a: Self, b: Self) -> Self
  static func + (a: Self, b: Self) -> Self
  /// The value after choosing the alternative `completion`.
  func completed(by completion: LevelTrie.Completion) -> Self
}

/// Is there a derivation?
struct MembershipValue: Semiring {
  static var one: Self { Self(terminal: 1) }

  init(terminal scale: Double) {}
  static func * (a: Self, b: Self) -> Self { a }
  static func + (a: Self, b: Self) -> Self { a }
  func completed(by completion: LevelTrie.Completion) -> Self { self }
}

/// How many derivations? Stays at the largest number once it has overflowed.
struct CountValue: Semiring {
  var count: UInt64
  var overflowed: Bool

  init(count: UInt64, overflowed: Bool) {
    self.count = overflowed ? .max : count
    self.overflowed = overflowed
  }

  static var one: Self { Self(count: 1, overflowed: false) }
  init(terminal scale: Double) { self = .one }

  static func * (a: Self, b: Self) -> Self {
    let (count, overflow) = a.count.multipliedReportingOverflow(by: b.count)
    return Self(count: count, overflowed: overflow || a.overflowed || b.overflowed)
  }

  static func + (a: Self, b: Self) -> Self {
    let (count, overflow) = a.count.addingReportingOverflow(b.count)
    return Self(count: count, overflowed: overflow || a.overflowed || b.overflowed)
  }

  func completed(by completion: LevelTrie.Completion) -> Self { self }
}

/// How probable, scaled?
struct ProbabilityValue: Semiring {
  var probability: Double

  init(probability: Double) { self.probability = probability }
  static var one: Self { Self(probability: 1) }
  init(terminal scale: Double) { probability = scale }

  static func * (a: Self, b: Self) -> Self { Self(probability: a.probability * b.probability) }
  static func + (a: Self, b: Self) -> Self { Self(probability: a.probability + b.probability) }

  func completed(by completion: LevelTrie.Completion) -> Self {
    Self(probability: probability * completion.probability)
  }
}

/// The pair (Σ p(d), Σ p(d) · −log2 p(d)) over derivations d, both scaled alike: the expectation
/// semiring, from which the entropy of the derivations of a string follows.
///
/// Source: Li & Eisner, "First- and second-order expectation semirings" (EMNLP 2009).
struct InformationValue: Semiring {
  var probability: Double
  var information: Double

  init(probability: Double, information: Double) {
    self.probability = probability
    self.information = information
  }

  static var one: Self { Self(probability: 1, information: 0) }
  init(terminal scale: Double) { self.init(probability: scale, information: 0) }

  static func * (a: Self, b: Self) -> Self {
    Self(
      probability: a.probability * b.probability,
      information: a.probability * b.information + a.information * b.probability)
  }

  static func + (a: Self, b: Self) -> Self {
    Self(probability: a.probability + b.probability, information: a.information + b.information)
  }

  func completed(by completion: LevelTrie.Completion) -> Self {
    let p = completion.probability
    return Self(
      probability: probability * p, information: (information + probability * completion.bits) * p)
  }
}
