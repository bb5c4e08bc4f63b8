import Glibc
import Grammar
import Parallel
import Support
import Synchronization
import Tokenization

/// What the grammar says about held-out sentences: the other side of every comparison with a model.
package struct Truth: Sendable {
  /// log P of each sentence in nats, exact.
  package let logP: [Double]
  /// True next-token probabilities of the first sentences; see `tokenTargets`.
  package let targets: [TokenTargets]

  /// - Parameters:
  ///   - targetSentences: how many sentences, from the first on, get targets.
  ///   - variant: whose tokens the targets speak about.
  /// - Throws: when the alphabet is not the grammar's, or a sentence is not in its language (a
  ///   held-out set of another grammar).
  package init(
    grammar: Grammar, sentences: [HeldOut.Sentence], targetSentences: Int, variant: Variant,
    pool: WorkerPool
  ) throws {
    guard variant.tokenizer.alphabet.values.map(Int.init) == Array(1...grammar.terminalCount) else {
      throw UserError(
        "terminals of the run's tokens",
        expected: "1...\(grammar.terminalCount) of \(grammar.name)",
        found: "\(variant.tokenizer.alphabet.values)",
        remedy: "Evaluate with the grammar that the run was trained on.")
    }
    let block = 64
    let blocks = (sentences.count + block - 1) / block
    let results = Mutex(
      [(logP: [Double], targets: [TokenTargets])](repeating: ([], []), count: blocks))
    try pool.forEach(0..<blocks) { _, task in
      var parser = Parser(grammar)
      var prefixes = PrefixParser(grammar)
      var logP: [Double] = []
      var targets: [TokenTargets] = []
      for i in task * block..<min(sentences.count, (task + 1) * block) {
        let log2P = parser.log2Probability(sentences[i].symbols)
        guard log2P > -.infinity else {
          throw UserError(
            "held-out sentence \(i)",
            expected: "a sentence of grammar \(grammar.name), root \(grammar.root)",
            found: "a string of \(sentences[i].symbols.count) symbols that is none",
            remedy: "Evaluate with the grammar and root of the held-out sample set.")
        }
        logP.append(log2P * log(2))
        if i < targetSentences {
          targets.append(
            tokenTargets(next: sentences[i].next, variant: variant, parser: &prefixes))
        }
      }
      let result = (logP, targets)
      results.withLock { $0[task] = result }
    }
    let all = results.withLock { $0 }
    logP = all.flatMap(\.logP)
    targets = all.flatMap(\.targets)
  }
}

/// P(next token | tokens so far) at every position of a sentence, by branching the prefix parser.
///
/// After the symbols u of whole n-grams: `P(w) = P(u w …)/P(u …)` for an n-gram w,
/// `P(w) = P(u w)/P(u …)` for a shorter gram (it is only written when the sentence ends with it),
/// `P(EOS) = P(u)/P(u …)`. After a shorter gram EOS is certain. For n = 1 these are the
/// distributions over characters and the end. Rows sum to 1.
///
/// - Parameters:
///   - next: (positions) the sentence's tokens, EOS included.
///   - parser: any state; left at the empty prefix.
/// - Returns: (positions, tokens).
package func tokenTargets(
  next: [UInt32], variant: Variant, parser: inout PrefixParser
) -> TokenTargets {
  let vocabulary = variant.tokenizer.vocabulary
  let positions = next.count
  var table = [Double](repeating: 0, count: positions * variant.tokens)
  parser.retract(to: 0)
  for t in 0..<positions {
    let base = t * variant.tokens
    if t > 0 {
      let digits = vocabulary.digits(of: Int(next[t - 1]))
      for digit in digits { parser.extend(variant.tokenizer.alphabet.values[digit]) }
      if digits.count < vocabulary.order {
        table[base + NGramVocabulary.eos] = 1
        continue
      }
    }
    table[base + NGramVocabulary.eos] = parser.endProbability ?? 0
    branch(1, depth: 1, code: 0, base, variant, &parser, &table)
  }
  parser.retract(to: 0)
  return TokenTargets(probabilities: table)
}

/// Fills the grams of `depth` and more symbols that continue the parser's prefix. `probability` and
/// `code` are those of the depth − 1 symbols since the last token.
private func branch(
  _ probability: Double, depth: Int, code: Int, _ base: Int, _ variant: Variant,
  _ parser: inout PrefixParser, _ table: inout [Double]
) {
  let vocabulary = variant.tokenizer.vocabulary
  guard let next = parser.distribution else { return }
  for digit in 0..<vocabulary.alphabet where next[digit] > 0 {
    let p = probability * next[digit]
    let gram = code * vocabulary.alphabet + digit
    if depth == vocabulary.order {
      table[base + vocabulary.firstID[depth] + gram] = p
      continue
    }
    parser.extend(variant.tokenizer.alphabet.values[digit])
    table[base + vocabulary.firstID[depth] + gram] = p * (parser.endProbability ?? 0)
    branch(p, depth: depth + 1, code: gram, base, variant, &parser, &table)
    parser.retract()
  }
}
