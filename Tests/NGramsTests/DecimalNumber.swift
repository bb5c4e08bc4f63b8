/// A natural number as decimal digits, lowest first: slow arithmetic of any size for the tests.
struct DecimalNumber {
  private var digits: [Int] = []

  init(_ value: Int) {
    var value = value
    while value > 0 {
      digits.append(value % 10)
      value /= 10
    }
  }

  /// self · factor + summand, for a factor and a summand below 2³².
  func timesPlus(_ factor: Int, _ summand: Int) -> DecimalNumber {
    var result = DecimalNumber(0)
    var carry = summand
    for digit in digits {
      carry += digit * factor
      result.digits.append(carry % 10)
      carry /= 10
    }
    while carry > 0 {
      result.digits.append(carry % 10)
      carry /= 10
    }
    return result
  }

  /// Long division by a divisor below 2³²: the remainder.
  func remainder(_ divisor: Int) -> Int {
    digits.reversed().reduce(0) { ($0 * 10 + $1) % divisor }
  }

  var text: String { digits.isEmpty ? "0" : digits.reversed().map(String.init).joined() }

  /// Σ_{j < order} x_{t−j} Vʲ, with 0 before the start: by Horner's rule from the oldest token.
  static func gram(_ tokens: [UInt32], _ t: Int, order: Int, vocabulary: Int) -> DecimalNumber {
    (0..<order).reversed().reduce(DecimalNumber(0)) { sum, j in
      sum.timesPlus(vocabulary, t - j >= 0 ? Int(tokens[t - j]) : 0)
    }
  }
}
