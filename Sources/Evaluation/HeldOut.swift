import Glibc
import Support

/// Held-out sentences as one variant reads them, cut into groups that are scored one at a time.
///
/// The cut depends on the sentences and `positionsPerGroup` only, so neither threads nor snapshots
/// change what a group computes.
package struct HeldOut: Sendable {
  /// One sentence as the stages have sampled, tokenized and mapped it.
  package struct Sentence: Sendable, Equatable {
    /// Raw terminal values, marks not counted.
    package let symbols: [UInt8]
    /// Per table (positions) row ids.
    package let rows: [[UInt32]]
    /// (positions) the token that follows each position; the last one is EOS.
    package let next: [UInt32]

    package init(symbols: [UInt8], rows: [[UInt32]], next: [UInt32]) {
      self.symbols = symbols
      self.rows = rows
      self.next = next
    }
  }

  package struct Group: Sendable {
    /// Index of the group's first sentence.
    package let first: Int
    /// Per table (N) row ids, sentences end to end.
    package let rows: [[UInt32]]
    /// (sentences + 1) first position of each sentence, then N.
    package let offsets: [Int]
    /// (N) the token that follows each position.
    package let next: [UInt32]
  }

  package let groups: [Group]
  /// Symbols of each sentence, marks not counted.
  package let characters: [Int]

  /// - Parameter tables: how many input tables the sentences have rows of.
  /// - Throws: for no sentence, or one longer than the context.
  package init(
    _ sentences: [Sentence], tables: Int, positionsPerGroup: Int, context: Int
  ) throws(UserError) {
    guard !sentences.isEmpty else {
      throw UserError("held-out sentences", expected: "at least 1", found: "0")
    }
    var groups: [Group] = []
    var first = 0
    var rows = [[UInt32]](repeating: [], count: tables)
    var offsets = [0]
    var next: [UInt32] = []
    for (i, sentence) in sentences.enumerated() {
      let positions = sentence.next.count
      guard positions <= context else {
        throw UserError(
          "held-out sentence \(i)", expected: "at most \(context) positions (the model's context)",
          found: "\(positions)", remedy: "Train with a larger context.")
      }
      if next.count + positions > positionsPerGroup && !next.isEmpty {
        groups.append(Group(first: first, rows: rows, offsets: offsets, next: next))
        first = i
        rows = [[UInt32]](repeating: [], count: tables)
        offsets = [0]
        next = []
      }
      for g in 0..<tables { rows[g] += sentence.rows[g] }
      next += sentence.next
      offsets.append(next.count)
    }
    groups.append(Group(first: first, rows: rows, offsets: offsets, next: next))
    self.groups = groups
    characters = sentences.map(\.symbols.count)
  }

  /// The most positions and sentences of any group.
  package var largest: (positions: Int, sentences: Int) {
    (
      groups.reduce(0) { max($0, $1.next.count) },
      groups.reduce(0) { max($0, $1.offsets.count - 1) }
    )
  }
}

/// True next-token probabilities at every position of one sentence: (positions, tokens), row-major.
package struct TokenTargets: Sendable, Equatable {
  package let probabilities: [Double]

  package init(probabilities: [Double]) { self.probabilities = probabilities }
}

/// What scoring a group gives.
package struct GroupScore: Sendable, Equatable {
  /// log Q of each sentence, EOS included, in nats.
  package let logQ: [Double]
  /// Σ over positions of KL(P‖Q) for each sentence that has targets, in nats.
  package let divergence: [Double]
}

extension HeldOut.Group {
  /// Scores the group's sentences with a model.
  ///
  /// `log Q(sentence) = Σ_t log Q(token_{t+1} | tokens ≤ t)`: by the chain rule over characters for
  /// 1-gram tokens (a joint output first marginalised to its first symbol), over grams for an n-gram
  /// tokenizer. There log Q is that of the string's own tokens: a model may reach the same string
  /// through shorter grams too, which could only add to its probability.
  /// `KL_t = Σ_a P(a)(log P(a) − log Q(a))` over the next tokens with P(a) > 0; it is infinite where Q
  /// gives such a token nothing. Sums in order of positions and tokens, in Double.
  ///
  /// - Parameters:
  ///   - targets: of the sentences of the whole set from the first on; may cover only some.
  ///   - logProbabilities: scratch, grown as needed.
  package func score(
    variant: Variant, session: any LabelSession, targets: [TokenTargets],
    logProbabilities: inout [Float]
  ) throws -> GroupScore {
    let labels = variant.labels
    let tokens = variant.tokens
    let positions = next.count
    if logProbabilities.count < positions * labels {
      logProbabilities = [Float](repeating: 0, count: positions * labels)
    }
    try session.score(rows: rows, offsets: offsets, into: &logProbabilities)
    var logQ: [Double] = []
    var divergence: [Double] = []
    var distribution = [Double](repeating: 0, count: tokens)
    for k in 0..<offsets.count - 1 {
      let target = first + k < targets.count ? targets[first + k].probabilities : nil
      var sum = 0.0
      var kl = 0.0
      for t in offsets[k]..<offsets[k + 1] {
        var span = distribution.mutableSpan
        variant.tokenLogProbabilities(
          logProbabilities.span.extracting(t * labels..<(t + 1) * labels), into: &span)
        sum += distribution[Int(next[t])]
        if let target {
          let row = (t - offsets[k]) * tokens
          for a in 0..<tokens where target[row + a] > 0 {
            kl += target[row + a] * (log(target[row + a]) - distribution[a])
          }
        }
      }
      logQ.append(sum)
      if target != nil { divergence.append(kl) }
    }
    return GroupScore(logQ: logQ, divergence: divergence)
  }
}
