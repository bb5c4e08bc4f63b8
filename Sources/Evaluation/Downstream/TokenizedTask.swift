import Contracts
import Engine
import NGrams
import Support
import Tokenization

/// A stretch of a choice that goes through the model by itself, and how much of it is scored.
package struct ChoicePiece: Sendable, Equatable {
  /// Rows that the model reads, at most its context, of those of context and continuation without the
  /// last token.
  package let rows: Range<Int>
  /// Of them the last ones, whose labels are scored.
  package let scored: Int

  package init(rows: Range<Int>, scored: Int) {
    self.rows = rows
    self.scored = scored
  }

  /// Cuts the query, context + continuation[:-1], from the left to `limit` rows: one piece, as OLMo does.
  /// A continuation of more tokens than `limit` is scored in pieces of half as many, each behind as much
  /// of what is before it as fits.
  ///
  /// - Parameters:
  ///   - context, continuation: tokens of each, at least one.
  package static func cut(context: Int, continuation: Int, limit: Int) -> [ChoicePiece] {
    precondition(context >= 1 && continuation >= 1 && limit >= 1, "tokens and rows for them")
    let width = continuation <= limit ? continuation : max(1, limit / 2)
    return stride(from: 0, to: continuation, by: width).map { first in
      let last = min(first + width, continuation)
      let end = context + last - 1
      return ChoicePiece(rows: max(0, end - limit)..<end, scored: last - first)
    }
  }
}

/// The documents of a task as a model reads them.
///
/// Context and continuation are tokenized each by itself, without special tokens: nothing stands in front
/// of a context, as nothing stands in front of a document that models are trained on. N-grams are those of
/// both together, and look back over a cut as they do over that of a window in training; f-grams never do.
struct TokenizedTask {
  /// What became of a choice.
  struct Choice: Sendable {
    /// Of the continuation.
    let tokens: Int
    /// Tokens of the context, or of a continuation longer than the model's context, that the model does
    /// not see together with the last one.
    let cut: Int
  }

  /// By document.
  let choices: [[Choice]]
  /// Pieces with the same beginning, of one document each.
  let requests: [ContinuationEngine.Request]
  /// By request and continuation: which choice of which document.
  let owners: [[(document: Int, choice: Int)]]

  /// - Parameters:
  ///   - rows: as the model reads them.
  ///   - context: rows of a query.
  ///   - task: for messages.
  /// - Throws: `UserError` for a text that the tokenizer has no token for.
  init(
    _ documents: [TaskDocument], encoder: BytePairEncoder, rows: inout TaskRows,
    context limit: Int, task: String
  ) throws {
    let tables = rows.width
    var choices: [[Choice]] = []
    var requests: [ContinuationEngine.Request] = []
    var owners: [[(document: Int, choice: Int)]] = []
    for (number, document) in documents.enumerated() {
      let firstOwn = requests.count
      var own: [Choice] = []
      for (c, choice) in document.choices.enumerated() {
        let context = encoder.encode(choice.context)
        let continuation = encoder.encode(choice.continuation)
        guard !context.isEmpty, !continuation.isEmpty else {
          throw UserError(
            "task '\(task)': document \(document.id), choice \(c)",
            expected: "a token of context and of continuation",
            found: "\(context.count) and \(continuation.count)",
            remedy: "The tokenizer has no token for these bytes; leave the task out.")
        }
        let tokens = context + continuation
        let whole = rows.looksBack ? rows.rows(of: tokens) : []
        own.append(
          Choice(
            tokens: continuation.count,
            cut: max(0, context.count + continuation.count - 1 - limit)))
        let pieces = ChoicePiece.cut(
          context: context.count, continuation: continuation.count, limit: limit)
        var scored = 0
        for piece in pieces {
          let (first, end) = (piece.rows.lowerBound, piece.rows.upperBound)
          let own =
            rows.looksBack
            ? Array(whole[first * tables..<end * tables])
            : rows.rows(of: Array(tokens[first...end]))
          let split = (piece.rows.count - piece.scored) * tables
          let beginning = Array(own[..<split])
          let piecewise = ContinuationEngine.Continuation(
            inputs: Array(own[split...]),
            labels: continuation[scored..<scored + piece.scored].map { Int32(bitPattern: $0) })
          scored += piece.scored
          let same = requests[firstOwn...].firstIndex { $0.beginning == beginning }
          if let same {
            requests[same].continuations.append(piecewise)
            owners[same].append((number, c))
          } else {
            requests.append(.init(beginning: beginning, continuations: [piecewise]))
            owners.append([(number, c)])
          }
        }
      }
      choices.append(own)
    }
    (self.choices, self.requests, self.owners) = (choices, requests, owners)
  }
}
