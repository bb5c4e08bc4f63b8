import NGrams
import Parallel
import Support
import Synchronization

/// What became of the tokens that further heads proposed.
package struct DraftCounts: Sendable, Equatable {
  /// Forward passes of sentences, each of which says at least one token.
  package var passes = 0
  /// Tokens said, ends of sentences included.
  package var tokens = 0
  /// By head, the one on the token 2 ahead first: proposals that were judged or stood behind one that was
  /// wrong, and those that were what the model says.
  package var proposed: [Int]
  package var accepted: [Int]

  package init(drafts: Int) {
    proposed = Array(repeating: 0, count: drafts)
    accepted = proposed
  }

  /// Tokens that a pass said, on average; 0 without passes.
  package var tokensPerPass: Double { passes == 0 ? 0 : Double(tokens) / Double(passes) }

  package static func += (a: inout Self, b: Self) {
    a.passes += b.passes
    a.tokens += b.tokens
    for i in a.proposed.indices {
      a.proposed[i] += b.proposed[i]
      a.accepted[i] += b.accepted[i]
    }
  }

  /// The form in the index of an evaluation.
  var value: ConfigValue {
    [
      "passes": .integer(passes), "tokens": .integer(tokens),
      "tokensPerPass": .double(tokensPerPass),
      "proposed": .array(proposed.map { .integer($0) }),
      "accepted": .array(accepted.map { .integer($0) }),
    ]
  }
}

extension Generation {
  /// The sentences that `run` generates, bit for bit, with fewer forward passes: further heads propose
  /// tokens, and one pass judges them.
  ///
  /// The uniform number of a step picks the token that is said from the model's distribution, as it does
  /// in `run`, and picks the proposal from a further head's distribution before. A proposal is right when
  /// both are the same token; so a step says the same token whatever is proposed, and no distribution is
  /// changed, where rejection sampling would keep the distribution and change the sentences. Of two
  /// distributions that are equal, equal tokens are picked.
  ///
  /// Source: Gloeckle et al. 2024, §3; the common random number in place of the rejection step of
  /// Leviathan et al. 2023, "Fast inference from transformers via speculative decoding".
  package func run(
    drafting session: any DraftingSession, batch: Int, next: () -> Int?,
    deliver: (_ index: Int, GeneratedSentence) -> Void
  ) throws -> DraftCounts {
    let fresh = IncrementalMapper(variant.mapper)
    var counts = DraftCounts(drafts: session.drafts)
    var logProbabilities: [Float] = []
    var weights = weights
    var live: [Live] = []
    try session.restart()
    while true {
      let before = live.count
      fill(&live, batch: batch, fresh, next: next, deliver: deliver)
      if live.count > before { try session.begin(sequences: live.count - before) }
      if live.isEmpty { return counts }
      let fed = live.map { 1 + $0.drafts.count }
      var rows: [UInt32] = []
      for sentence in live {
        var mapper = sentence.mapper
        for token in [sentence.token] + sentence.drafts { mapper.push(token, rows: &rows) }
      }
      try session.verify(rows: rows, counts: fed, into: &logProbabilities)
      var first = 0
      var read: [Int] = []
      for n in live.indices {
        read.append(
          judge(
            &live[n], logProbabilities.span, from: first, &weights, counting: &counts))
        first += fed[n]
      }
      try session.accept(read)
      if live.contains(where: { $0.ending != nil }) {
        try session.retain { live[$0].ending == nil }
        leave(&live, deliver: deliver)
      }
      try propose(session, &live, &logProbabilities, &weights)
    }
  }

  /// Says the tokens of a sentence behind those that it was fed, as long as these are right.
  ///
  /// - Returns: how many of them the model has read.
  private func judge(
    _ sentence: inout Live, _ logProbabilities: Span<Float>, from first: Int,
    _ weights: inout [Double], counting counts: inout DraftCounts
  ) -> Int {
    let drafts = sentence.drafts
    for i in drafts.indices { counts.proposed[i] += 1 }
    counts.passes += 1
    for read in 0...drafts.count {
      sentence.mapper.push(sentence.token)
      let u = sentence.stream.uniform()
      extend(&sentence, by: outcome(logProbabilities, row: first + read, u, &weights))
      counts.tokens += 1
      guard sentence.ending == nil, read < drafts.count, sentence.token == drafts[read] else {
        return read + 1
      }
      counts.accepted[read] += 1
    }
    return drafts.count + 1
  }

  /// Lets each head propose a token behind the one before; a sentence for which one proposes an end gets
  /// no more, nor does one that has no positions left for them.
  private func propose(
    _ session: any DraftingSession, _ live: inout [Live], _ logProbabilities: inout [Float],
    _ weights: inout [Double]
  ) throws {
    for n in live.indices { live[n].drafts.removeAll(keepingCapacity: true) }
    var ahead = live.map { (mapper: $0.mapper, stream: $0.stream) }
    for head in 0..<session.drafts {
      let asked = live.indices.filter {
        live[$0].drafts.count == head && live[$0].positions + head + 2 <= limits.positions
      }
      if asked.isEmpty { return }
      var rows: [UInt32] = []
      for n in asked {
        ahead[n].mapper.push(head == 0 ? live[n].token : live[n].drafts[head - 1], rows: &rows)
      }
      try session.draft(head: head, of: asked, rows: rows, into: &logProbabilities)
      for (row, n) in asked.enumerated() {
        let u = ahead[n].stream.uniform()
        if case .token(let token) = outcome(logProbabilities.span, row: row, u, &weights) {
          live[n].drafts.append(token)
        }
      }
    }
  }
}

extension IncrementalMapper {
  /// Appends a token, and its row in each table to `rows`.
  fileprivate mutating func push(_ token: UInt32, rows: inout [UInt32]) {
    push(token)
    for table in mapper.tables.indices { rows.append(row(of: table)) }
  }
}

/// The drafting sessions of all workers of a pool.
// Unchecked: a session is used by one worker at a time.
package struct DraftingSessions: @unchecked Sendable {
  let sessions: [any DraftingSession]

  package init(_ sessions: [any DraftingSession]) { self.sessions = sessions }
}

/// `generateAll` with proposals: the same sentences, and what became of the proposals.
package func generateAll(
  _ count: Int, batch: Int, seed: UInt64, variant: Variant, drafting sessions: DraftingSessions,
  limits: GenerationLimits, draw: Draw, pool: WorkerPool
) throws -> (sentences: [GeneratedSentence], counts: DraftCounts) {
  let results = Mutex([GeneratedSentence?](repeating: nil, count: count))
  let totals = Mutex(DraftCounts(drafts: sessions.sessions.first?.drafts ?? 0))
  let upcoming = Atomic<Int>(0)
  let generation = Generation(seed: seed, variant: variant, limits: limits, draw: draw)
  try pool.forEach(0..<pool.threads) { worker, _ in
    let counts = try generation.run(
      drafting: sessions.sessions[worker], batch: batch,
      next: {
        let index = upcoming.wrappingAdd(1, ordering: .relaxed).oldValue
        return index < count ? index : nil
      }, deliver: { index, sentence in results.withLock { $0[index] = sentence } })
    totals.withLock { $0 += counts }
  }
  return (results.withLock { $0.compactMap { $0 } }, totals.withLock { $0 })
}
