import Support

/// The terminals of a language as raw byte values, in ascending order; digit d stands for the
/// d-th of them.
package struct Alphabet: Sendable, Equatable {
  /// Raw values, strictly ascending.
  package let values: [UInt8]
  /// Raw value → digit; 255 for a value that is no terminal (an alphabet has at most 255 values).
  let digits: [UInt8]

  package var count: Int { values.count }

  /// Throws when the values are none, more than 255, or not strictly ascending.
  package init(_ values: [UInt8]) throws(UserError) {
    guard (1...255).contains(values.count) else {
      throw UserError(
        "alphabet of the tokenizer", expected: "1 to 255 terminals", found: "\(values.count)")
    }
    for (a, b) in zip(values, values.dropFirst()) where a >= b {
      throw UserError(
        "alphabet of the tokenizer", expected: "strictly ascending values",
        found: "\(b) after \(a)")
    }
    self.values = values
    var digits = [UInt8](repeating: 255, count: 256)
    for (digit, value) in values.enumerated() { digits[Int(value)] = UInt8(digit) }
    self.digits = digits
  }

  /// Digit of a raw value, nil when it is no terminal.
  package func digit(of value: UInt8) -> Int? {
    let digit = digits[Int(value)]
    return digit == 255 ? nil : Int(digit)
  }

  /// The values as text: digits run together when all are below 10, otherwise joined by dots.
  package func text(_ digits: some Sequence<Int>) -> String {
    let separator = (values.last ?? 0) < 10 ? "" : "."
    return digits.map { String(values[$0]) }.joined(separator: separator)
  }
}
