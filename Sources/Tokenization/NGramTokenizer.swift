import Support

/// Character n-gram tokenizer: BOS, greedy n-grams left to right, one tail gram of length
/// (symbols mod n) if that is not 0, EOS.
package struct NGramTokenizer: Sendable, Equatable {
  package let alphabet: Alphabet
  package let vocabulary: NGramVocabulary

  package init(alphabet: Alphabet, order: Int) throws(UserError) {
    self.alphabet = alphabet
    vocabulary = try NGramVocabulary(alphabet: alphabet.count, order: order)
  }

  /// Tokens of a document of `symbols` symbols: 2 + ⌈symbols/n⌉.
  package func tokenCount(symbols: Int) -> Int {
    2 + (symbols + vocabulary.order - 1) / vocabulary.order
  }

  /// Writes the tokens of one document into the front of `tokens` and returns their number.
  ///
  /// - Parameters:
  ///   - symbols: (S) raw terminal values; an empty document is BOS EOS.
  ///   - tokens: room for at least `tokenCount(symbols: S)` ids; T must hold the vocabulary.
  /// - Throws: at a symbol that is no terminal; then `tokens` holds garbage.
  /// Complexity: O(S), no allocation.
  @specialized(where T == UInt8)
  @specialized(where T == UInt16)
  @specialized(where T == UInt32)
  package func encode<T: FixedWidthInteger & UnsignedInteger>(
    _ symbols: Span<UInt8>, into tokens: inout MutableSpan<T>
  ) throws(UserError) -> Int {
    let count = tokenCount(symbols: symbols.count)
    precondition(tokens.count >= count, "no room for the tokens")
    precondition(vocabulary.size - 1 <= T.max, "id type too narrow for the vocabulary")
    let digits = alphabet.digits.span
    let n = vocabulary.order
    let radix = UInt32(truncatingIfNeeded: vocabulary.alphabet)
    let first = UInt32(truncatingIfNeeded: vocabulary.firstID[n])
    let whole = symbols.count / n
    var all: UInt8 = 0
    tokens[0] = T(truncatingIfNeeded: NGramVocabulary.bos)
    if n == 1 {
      for i in 0..<whole {
        let digit = digits[Int(symbols[i])]
        all |= digit &+ 1 == 0 ? 1 : 0
        tokens[i + 1] = T(truncatingIfNeeded: first &+ UInt32(digit))
      }
    } else {
      var s = 0
      for i in 0..<whole {
        var code: UInt32 = 0
        for _ in 0..<n {
          let digit = digits[Int(symbols[s])]
          all |= digit &+ 1 == 0 ? 1 : 0
          code = code &* radix &+ UInt32(digit)
          s += 1
        }
        tokens[i + 1] = T(truncatingIfNeeded: first &+ code)
      }
      let tail = symbols.count - s
      if tail > 0 {
        var code: UInt32 = 0
        while s < symbols.count {
          let digit = digits[Int(symbols[s])]
          all |= digit &+ 1 == 0 ? 1 : 0
          code = code &* radix &+ UInt32(digit)
          s += 1
        }
        let tailFirst = UInt32(truncatingIfNeeded: vocabulary.firstID[tail])
        tokens[whole + 1] = T(truncatingIfNeeded: tailFirst &+ code)
      }
    }
    tokens[count - 1] = T(truncatingIfNeeded: NGramVocabulary.eos)
    if all != 0 { throw foreignSymbol(in: symbols) }
    return count
  }

  /// The tokens of one document as an array; see `encode(_:into:)`.
  package func encode(_ symbols: [UInt8]) throws(UserError) -> [UInt32] {
    var tokens = [UInt32](repeating: 0, count: tokenCount(symbols: symbols.count))
    var span = tokens.mutableSpan
    _ = try encode(symbols.span, into: &span)
    return tokens
  }

  /// The symbols of one document.
  ///
  /// The tokens must be exactly what `encode` writes: BOS, whole n-grams, at most one shorter gram,
  /// EOS. Anything else throws, naming the position.
  package func decode(_ tokens: [UInt32]) throws(UserError) -> [UInt8] {
    let eos = UInt32(NGramVocabulary.eos)
    let bos = UInt32(NGramVocabulary.bos)
    guard tokens.count >= 2, tokens[0] == bos, tokens[tokens.count - 1] == eos else {
      throw UserError(
        "tokens of a document", expected: "BOS (\(bos)) … EOS (\(eos))",
        found: "\(tokens.prefix(1)) … \(tokens.suffix(1))")
    }
    var symbols: [UInt8] = []
    for t in 1..<tokens.count - 1 {
      let id = Int(tokens[t])
      guard id < vocabulary.size else {
        throw UserError(
          "token \(t) of a document", expected: "an id below \(vocabulary.size)", found: "\(id)")
      }
      let digits = vocabulary.digits(of: id)
      guard digits.count == vocabulary.order || (digits.count > 0 && t == tokens.count - 2) else {
        throw UserError(
          "token \(t) of a document",
          expected: "a \(vocabulary.order)-gram (a shorter one only right before EOS)",
          found: vocabulary.name(of: id, in: alphabet))
      }
      for digit in digits { symbols.append(alphabet.values[digit]) }
    }
    return symbols
  }

  private func foreignSymbol(in symbols: Span<UInt8>) -> UserError {
    for i in symbols.indices where alphabet.digit(of: symbols[i]) == nil {
      return UserError(
        "symbol \(i) of a document",
        expected: "one of \(alphabet.values.map(String.init).joined(separator: ", "))",
        found: "\(symbols[i])",
        remedy: "Check that the samples come from the grammar the tokenizer was made for.")
    }
    preconditionFailure("called without a foreign symbol")
  }
}
