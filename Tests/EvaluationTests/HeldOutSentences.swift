import Evaluation
import Grammar
import Parallel
import Tokenization

/// Held-out sentences without files: tokenized and mapped here as the stages would.
extension HeldOut.Sentence {
  init(_ symbols: [UInt8], _ variant: Variant) throws {
    let tokens = try variant.tokenizer.encode(symbols)
    let rows = variant.mapper.tables.indices.map { table in
      var rows = [UInt32](repeating: 0, count: tokens.count - 1)
      var span = rows.mutableSpan
      variant.mapper.mapRows(table: table, tokens: tokens.span, into: &span)
      return rows
    }
    self.init(symbols: symbols, rows: rows, next: Array(tokens.dropFirst()))
  }
}

extension HeldOut {
  init(
    sentences: [[UInt8]], variant: Variant, positionsPerGroup: Int, context: Int
  ) throws {
    try self.init(
      sentences.map { try Sentence($0, variant) }, tables: variant.mapper.tables.count,
      positionsPerGroup: positionsPerGroup, context: context)
  }
}

extension Truth {
  init(
    grammar: Grammar, sentences: [[UInt8]], targetSentences: Int, variant: Variant,
    pool: WorkerPool
  ) throws {
    try self.init(
      grammar: grammar, sentences: sentences.map { try HeldOut.Sentence($0, variant) },
      targetSentences: targetSentences, variant: variant, pool: pool)
  }
}
