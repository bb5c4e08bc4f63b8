import Contracts
import Glibc
import NGrams
import Support
import Tokenization

/// How a model reads and writes sentences: base tokenizer, input tables, output labels.
package struct Variant: Sendable, Equatable {
  package let tokenizer: NGramTokenizer
  package let mapper: RowMapper

  /// What one sampled label means for the sentence under way.
  package enum Outcome: Sendable, Equatable {
    /// The sentence ends.
    case end
    /// No sentence goes on like this (BOS).
    case malformed
    /// The token to append; for a joint n-gram label that of its first symbol.
    case token(UInt32)
  }

  package init(
    alphabet: Alphabet, tokenizerOrder: Int, inputOrders: [Int], outputOrder: Int
  ) throws(UserError) {
    tokenizer = try NGramTokenizer(alphabet: alphabet, order: tokenizerOrder)
    mapper = try RowMapper(
      base: tokenizer.vocabulary, inputOrders: inputOrders, outputOrder: outputOrder)
  }

  /// The variant that a map set's metadata describes.
  ///
  /// - Throws: when a member is missing or does not follow from the others (tables, labels).
  package init(mapMetadata: ConfigValue, source: String) throws {
    var reader = try ConfigReader(mapMetadata, source: source)
    let kind = try reader.string("kind")
    guard kind == DataKind.grammar.rawValue else {
      throw UserError(
        "\(source): kind of the map set", expected: "'\(DataKind.grammar.rawValue)'",
        found: "'\(kind)'",
        remedy: "Evaluate against a grammar needs a run on n-gram tokens.")
    }
    let terminals = try reader.ints("terminals").map { value in
      guard let byte = UInt8(exactly: value) else {
        throw UserError("\(source): terminals", expected: "values of 0 to 255", found: "\(value)")
      }
      return byte
    }
    var inputOrders: [Int] = []
    var rows: [Int] = []
    for var input in try reader.objects("inputs") {
      inputOrders.append(try input.int("order"))
      rows.append(try input.int("rows"))
    }
    try self.init(
      alphabet: Alphabet(terminals), tokenizerOrder: reader.int("tokenizerOrder"),
      inputOrders: inputOrders, outputOrder: reader.int("outputOrder"))
    let labels = try reader.int("labels")
    guard rows == mapper.tables.map(\.rows), labels == mapper.labels else {
      throw UserError(
        "\(source): tables and labels",
        expected: "\(mapper.tables.map(\.rows)) and \(mapper.labels)",
        found: "\(rows) and \(labels)", remedy: "Map the tokens again.")
    }
  }

  /// Number of label classes of the model's output.
  package var labels: Int { mapper.labels }

  /// Number of tokens, marks included: what `tokenLogProbabilities` is a distribution over.
  package var tokens: Int { mapper.tokenVocabulary }

  /// Whether the output is a joint n-gram with n > 1.
  package var isJoint: Bool { mapper.outputOrder > 1 }

  /// The meaning of a sampled label.
  package func outcome(ofLabel label: Int) -> Outcome {
    switch label {
    case NGramVocabulary.bos: return .malformed
    case NGramVocabulary.eos: return .end
    default:
      guard isJoint, let joint = mapper.joint, let digit = joint.firstDigit(of: label) else {
        return .token(UInt32(label))
      }
      return .token(UInt32(2 + digit))
    }
  }

  /// log-probability of every next token from one row of the labels', in Double.
  ///
  /// Rounding to Float leaves a row's probabilities summing to 1 up to 2⁻²⁴ of each; that sum is divided
  /// by, so that the result is a distribution, and a divergence from it no less than 0. For a joint
  /// output the probability of a token is the sum over all labels that begin with it:
  /// `Q(a) = Σ_{w = a…} Q(w)`, `Q(end) = Q(EOS)`. Sums in label order, each block relative to its own
  /// largest term, so nothing underflows.
  ///
  /// - Parameters:
  ///   - logProbabilities: (labels)
  ///   - result: (≥ tokens), overwritten in front.
  package func tokenLogProbabilities(
    _ logProbabilities: Span<Float>, into result: inout MutableSpan<Double>
  ) {
    precondition(logProbabilities.count == labels && result.count >= tokens, "shape")
    let whole = logSumExp(logProbabilities, 0..<labels)
    guard isJoint, let joint = mapper.joint else {
      for k in 0..<labels { result[k] = Double(logProbabilities[k]) - whole }
      return
    }
    for mark in [NGramVocabulary.bos, NGramVocabulary.eos] {
      result[mark] = Double(logProbabilities[mark]) - whole
    }
    for digit in 0..<joint.alphabet {
      var parts = -Double.infinity
      for length in 1...joint.order {
        let block = logSumExp(
          logProbabilities, joint.block(startingWith: digit, length: length))
        parts = logAddExp(parts, block)
      }
      result[2 + digit] = parts - whole
    }
  }
}

/// log Σ_{k ∈ range} e^{x_k}, in Double, summed in order; −∞ for an empty range.
func logSumExp(_ x: Span<Float>, _ range: Range<Int>) -> Double {
  var top = -Float.infinity
  for k in range { top = max(top, x[k]) }
  if top == -.infinity { return -.infinity }
  var sum = 0.0
  for k in range { sum += exp(Double(x[k]) - Double(top)) }
  return Double(top) + log(sum)
}

/// log(eᵃ + eᵇ).
func logAddExp(_ a: Double, _ b: Double) -> Double {
  if a == -.infinity { return b }
  if b == -.infinity { return a }
  return max(a, b) + log1p(exp(-abs(a - b)))
}
