import Foundation

/// Exact statistics of a grammar, from the bottom up over its levels.
extension Grammar {
  /// Shortest and longest sentence, in symbols.
  package var lengthRange: ClosedRange<Int> {
    let shortest = fold(terminal: 1) { (alternatives: [Int]) in alternatives.min() ?? 0 }
    let longest = fold(terminal: 1) { (alternatives: [Int]) in alternatives.max() ?? 0 }
    return shortest...longest
  }

  /// Mean sentence length in symbols.
  package var meanLength: Double {
    fold(terminal: 1.0) { $0.reduce(0, +) / Double($0.count) }
  }

  /// Entropy of a derivation in bits: H(X) = log2 |alternatives| + mean over them of Σ H(child).
  ///
  /// At least the entropy of a sentence; they differ by the mean entropy of a sentence's derivations.
  package var derivationEntropyBits: Double {
    fold(terminal: 0.0) { log2(Double($0.count)) + $0.reduce(0, +) / Double($0.count) }
  }

  /// The probability of every sentence length: index = length, count = longest + 1. Sums to 1.
  ///
  /// Polynomial products level by level; complexity O(productions · longest²).
  package var lengthDistribution: [Double] {
    var distributions: [Int: [Double]] = [:]
    for symbol in symbols {
      var total: [Double] = []
      let weight = 1 / Double(symbol.alternatives.count)
      for alternative in symbol.alternatives {
        let product = alternative.reduce([1.0]) { convolve($0, distributions[$1] ?? [0, 1]) }
        if product.count > total.count {
          total += [Double](repeating: 0, count: product.count - total.count)
        }
        for i in product.indices { total[i] += weight * product[i] }
      }
      distributions[symbol.id] = total
    }
    return distributions[root] ?? []
  }

  /// Bits per symbol by which the parsers scale probabilities, so that none underflows: the mean.
  var scaleBitsPerSymbol: Double { derivationEntropyBits / meanLength }

  /// How far log2 P(derivation) + `scaleBitsPerSymbol` · length can be from 0, for any derivation.
  var logScaleDeviation: Double {
    let scale = scaleBitsPerSymbol
    let low = fold(terminal: scale) { (sums: [Double]) in
      (sums.min() ?? 0) - log2(Double(sums.count))
    }
    let high = fold(terminal: scale) { (sums: [Double]) in
      (sums.max() ?? 0) - log2(Double(sums.count))
    }
    return max(-low, high)
  }

  /// Bits of room that the parsers leave of Double's range, for sums over ambiguous derivations.
  static let maximalDeviation = 900.0

  /// Folds the grammar: the value of a symbol is `combine` of the sums of its alternatives.
  private func fold<Value: AdditiveArithmetic>(
    terminal: Value, _ combine: ([Value]) -> Value
  ) -> Value {
    var values: [Int: Value] = [:]
    for symbol in symbols {
      values[symbol.id] = combine(
        symbol.alternatives.map { alternative in
          alternative.reduce(Value.zero) { $0 + (values[$1] ?? terminal) }
        })
    }
    return values[root] ?? terminal
  }

  private func convolve(_ a: [Double], _ b: [Double]) -> [Double] {
    var product = [Double](repeating: 0, count: a.count + b.count - 1)
    for i in a.indices where a[i] != 0 {
      for j in b.indices { product[i + j] += a[i] * b[j] }
    }
    return product
  }
}

/// An estimate from independent samples.
package struct Estimate: Sendable, Equatable {
  package let value: Double
  /// The standard error: the samples' standard deviation over √count.
  package let standardError: Double
  package let count: Int

  /// Mean and standard error of `samples`.
  /// - Precondition: at least two samples.
  package init(samples: [Double]) {
    precondition(samples.count > 1, "an estimate needs at least two samples")
    let mean = samples.reduce(0, +) / Double(samples.count)
    let squares = samples.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    value = mean
    standardError = (squares / Double(samples.count - 1) / Double(samples.count)).squareRoot()
    count = samples.count
  }

  package init(value: Double, standardError: Double, count: Int) {
    self.value = value
    self.standardError = standardError
    self.count = count
  }
}

/// The entropy of a grammar's sentences and what follows from it.
package struct StringEntropy: Sendable {
  /// Entropy of a sentence in bits.
  package let bits: Estimate
  /// Share of sampled sentences with more than one derivation.
  package let ambiguousShare: Double
  package let meanLength: Double

  /// Estimates H(sentence) = H(derivation) − E[H(derivation | sentence)] from `samples` sampled
  /// sentences.
  ///
  /// H(derivation) is exact and H(derivation | sentence) is computed exactly for each sample, so the
  /// only noise is that of the small ambiguity term: the error is tens of times below that of
  /// −mean log2 P(sentence), whose noise is that of the sentence's length, and 0 for an unambiguous
  /// grammar.
  /// - Precondition: samples > 1.
  package init(_ grammar: Grammar, samples: Int = 2_000, seed: UInt64 = 1) {
    let sampler = SentenceSampler(grammar, seed: seed, stream: "entropy")
    var parser = Parser(grammar)
    var sentence: [UInt8] = []
    var ambiguities: [Double] = []
    var ambiguous = 0
    for index in 0..<samples {
      sentence.removeAll(keepingCapacity: true)
      sampler.appendSentence(UInt64(index), to: &sentence)
      ambiguities.append(parser.derivationEntropyBits(sentence.span))
      if parser.derivationCount(sentence.span).value > 1 { ambiguous += 1 }
    }
    let loss = Estimate(samples: ambiguities)
    bits = Estimate(
      value: grammar.derivationEntropyBits - loss.value, standardError: loss.standardError,
      count: samples)
    ambiguousShare = Double(ambiguous) / Double(samples)
    meanLength = grammar.meanLength
  }

  /// The least mean loss in nats per symbol: H · ln 2 / E[length].
  package var floorPerSymbol: Double { bits.value * log(2) / meanLength }

  /// The least mean loss in nats per token when the end of a sentence is a token too.
  package var floorPerToken: Double { bits.value * log(2) / (meanLength + 1) }
}
