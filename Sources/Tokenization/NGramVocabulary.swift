import Support

/// The width of stored ids.
package enum IDType: String, Sendable, CaseIterable {
  case u8, u16, u32

  /// Number of different ids the type can hold.
  package var capacity: Int {
    switch self {
    case .u8: 1 << 8
    case .u16: 1 << 16
    case .u32: 1 << 32
    }
  }

  /// The narrowest type that holds `count` ids 0..<count; throws when none does.
  package static func narrowest(for count: Int, of what: String) throws(UserError) -> IDType {
    for type in allCases where count <= type.capacity { return type }
    throw UserError(
      "\(what): overflows its id type", expected: "at most \(IDType.u32.capacity) ids",
      found: "\(count)", remedy: "Choose a lower order.")
  }
}

/// All i-grams, 1 ≤ i ≤ n, over an alphabet of A symbols, and two marks.
///
/// Ids: 0 = BOS, 1 = EOS, then the A 1-grams, the A² 2-grams, … each block in lexicographic order,
/// so that `id(s₁…sᵢ) = first(i) + Σ sⱼ A^(i−j)` with digits s in 0..<A and
/// `first(i) = 2 + A + … + A^(i−1)`. Size `2 + Σ_{i=1..n} Aⁱ` (paper, appendix B.2: the i-grams with
/// i < n stand for what is left of a document whose length is no multiple of n).
///
/// One vocabulary, three uses: tokens of the n-gram tokenizer, rows of the n-gram input table,
/// labels of the joint n-gram output.
package struct NGramVocabulary: Sendable, Equatable {
  package static let bos = 0
  package static let eos = 1

  /// A.
  package let alphabet: Int
  /// n.
  package let order: Int
  package let size: Int
  /// first(i) at index i, 1 ≤ i ≤ n; index 0 holds 0 and index n + 1 holds the size.
  package let firstID: [Int]
  /// Aⁱ at index i, 0 ≤ i ≤ n.
  package let power: [Int]

  /// Throws when n or A is below 1, or when the size does not fit into 32-bit ids.
  package init(alphabet: Int, order: Int) throws(UserError) {
    guard order >= 1 else {
      throw UserError(
        "order of an n-gram vocabulary", expected: "1 or more", found: "\(order)",
        remedy: "Set the order to 1, 2 or 3.")
    }
    guard alphabet >= 1 else {
      throw UserError(
        "alphabet of an n-gram vocabulary", expected: "at least 1 symbol", found: "\(alphabet)")
    }
    var firstID = [0, 2]
    var power = [1]
    for i in 0..<order {
      let (next, powerOverflow) = power[i].multipliedReportingOverflow(by: alphabet)
      let (end, sumOverflow) = firstID[i + 1].addingReportingOverflow(next)
      guard !powerOverflow, !sumOverflow, end <= IDType.u32.capacity else {
        throw UserError(
          "\(order)-gram vocabulary over \(alphabet) symbols: overflows its id type",
          expected: "at most \(IDType.u32.capacity) ids",
          found: "more from the \(i + 1)-grams on", remedy: "Choose an order of \(i) or less.")
      }
      power.append(next)
      firstID.append(end)
    }
    self.alphabet = alphabet
    self.order = order
    self.size = firstID[order + 1]
    self.firstID = firstID
    self.power = power
  }

  /// Id of a gram of 1…n digits. Precondition: length and digits in range.
  package func id(of digits: some Collection<Int>) -> Int {
    precondition((1...order).contains(digits.count), "gram length out of range")
    var code = 0
    for digit in digits {
      precondition((0..<alphabet).contains(digit), "digit out of range")
      code = code * alphabet + digit
    }
    return firstID[digits.count] + code
  }

  /// Number of symbols an id stands for; 0 for BOS and EOS. Precondition: id in 0..<size.
  package func length(of id: Int) -> Int {
    precondition((0..<size).contains(id), "id out of range")
    if id < 2 { return 0 }
    var length = 1
    while id >= firstID[length + 1] { length += 1 }
    return length
  }

  /// The digits an id stands for; none for BOS and EOS. Precondition: id in 0..<size.
  package func digits(of id: Int) -> [Int] {
    let length = length(of: id)
    let code = id - firstID[length]
    return (0..<length).map { code / power[length - 1 - $0] % alphabet }
  }

  /// First digit of an id, nil for BOS and EOS. Precondition: id in 0..<size.
  package func firstDigit(of id: Int) -> Int? {
    let length = length(of: id)
    return length == 0 ? nil : (id - firstID[length]) / power[length - 1]
  }

  /// The ids of the i-grams that begin with `digit`: A^(i−1) neighbours.
  package func block(startingWith digit: Int, length i: Int) -> Range<Int> {
    precondition((1...order).contains(i) && (0..<alphabet).contains(digit), "block out of range")
    let start = firstID[i] + digit * power[i - 1]
    return start..<start + power[i - 1]
  }

  /// The id as text: `<bos>`, `<eos>` or the gram in the terminals' own values.
  package func name(of id: Int, in alphabet: Alphabet) -> String {
    switch id {
    case Self.bos: "<bos>"
    case Self.eos: "<eos>"
    default: alphabet.text(digits(of: id))
    }
  }
}
