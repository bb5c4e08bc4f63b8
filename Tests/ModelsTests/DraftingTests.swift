import Engine
import Models
import Support
import Testing

/// Further heads that propose tokens, and passes that judge several at once.
@Suite struct DraftingTests {
  /// Row ids of the last of some tokens: the token, and for over-encoding rows that depend on the last
  /// three.
  private func inputs(_ model: ModelConfiguration, _ tokens: [Int32]) -> [Int32] {
    var result = [Int32(tokens.last ?? 0)]
    let code = tokens.suffix(3).reduce(7) { $0 * 31 + Int($1) }
    for rows in model.input.columnRows.dropFirst() { result.append(Int32(code % rows)) }
    return result
  }

  private func argmax(_ row: UnsafeBufferPointer<Float>, _ n: Int, _ V: Int) -> Int32 {
    Int32((0..<V).max { row[n * V + $0] < row[n * V + $1] } ?? 0)
  }

  private struct Sentence: Equatable {
    /// The first token, and those that were said.
    var tokens: [Int32]
    /// Log-probabilities of each row.
    var rows: [[Float]] = []
  }

  /// Sentences of so many rows, the likeliest token each time, one row a step.
  private func plain(
    _ model: ModelConfiguration, _ store: ParameterStore, lengths: [Int]
  ) -> [Sentence] {
    let V = model.labels
    let engine = DecodingEngine(model, parameters: store, capacity: lengths.count)
    var result = lengths.indices.map { Sentence(tokens: [Int32($0 % V)]) }
    var live = Array(lengths.indices)
    engine.reset(sequences: lengths.count)
    while !live.isEmpty {
      engine.step(
        inputs: live.flatMap { inputs(model, result[$0].tokens) }, tables: model.inputColumns
      ) { rows in
        for (n, sentence) in live.enumerated() {
          result[sentence].rows.append(Array(rows[n * V..<(n + 1) * V]))
          result[sentence].tokens.append(argmax(rows, n, V))
        }
      }
      let goesOn = live.map { result[$0].rows.count < lengths[$0] }
      engine.retain { goesOn[$0] }
      live = live.filter { result[$0].rows.count < lengths[$0] }
    }
    return result
  }

  /// The same with proposals; all of them, and those that were right.
  private func drafted(
    _ model: ModelConfiguration, _ store: ParameterStore, lengths: [Int], drafts: Int,
    capacity: Int, disturb: Bool = false
  ) -> (sentences: [Sentence], passes: Int, proposed: Int, accepted: Int) {
    let (V, G) = (model.labels, model.inputColumns)
    let engine = DraftingEngine(model, parameters: store, capacity: capacity, drafts: drafts)
    var result = lengths.indices.map { Sentence(tokens: [Int32($0 % V)]) }
    var proposals = lengths.map { _ in [Int32]() }
    var (live, waiting) = ([Int](), Array(lengths.indices))
    var (passes, proposed, accepted) = (0, 0, 0)
    engine.reset()
    while true {
      let more = min(capacity - live.count, waiting.count)
      engine.begin(sequences: more)
      live += waiting.prefix(more)
      waiting.removeFirst(more)
      if live.isEmpty { return (result, passes, proposed, accepted) }
      let counts = live.map { 1 + proposals[$0].count }
      let fed = live.flatMap { n in
        (0...proposals[n].count).flatMap {
          inputs(model, result[n].tokens + proposals[n].prefix($0))
        }
      }
      passes += 1
      let read = engine.verify(counts: counts, inputs: fed, tables: G) { rows in
        var first = 0
        return zip(live, counts).map { n, count in
          defer { first += count }
          for j in 0..<count {
            result[n].rows.append(Array(rows[(first + j) * V..<(first + j + 1) * V]))
            result[n].tokens.append(argmax(rows, first + j, V))
            if j < proposals[n].count {
              proposed += 1
              if proposals[n][j] == result[n].tokens.last { accepted += 1; continue }
            }
            return j + 1
          }
          return count
        }
      }
      engine.accept(read)
      let goesOn = live.map { result[$0].rows.count < lengths[$0] }
      engine.retain { goesOn[$0] }
      live = live.filter { result[$0].rows.count < lengths[$0] }
      for n in live { proposals[n] = [] }
      for head in 0..<drafts {
        let asked = live.indices.filter {
          let n = live[$0]
          return proposals[n].count == head && result[n].rows.count + head + 2 <= lengths[n]
        }
        if asked.isEmpty { break }
        engine.draft(
          head: head, of: asked,
          inputs: asked.flatMap { inputs(model, result[live[$0]].tokens + proposals[live[$0]]) },
          tables: G
        ) { rows in
          for (place, n) in asked.enumerated() {
            let token = argmax(rows, place, V)
            proposals[live[n]].append(
              disturb && (n + head) % 2 == 0 ? (token + 1) % Int32(V) : token)
          }
        }
      }
    }
  }

  private static let cases: [(trunk: any Trunk.Type, heads: Int, isOverEncoded: Bool)] =
    [GPT2.self, OLMo2.self].flatMap { trunk in
      furtherHeads().indices.map { (trunk, $0, $0 % 2 == 0) }
    }

  /// What is said, and the bits behind it, are those of plain decoding, whatever is proposed, in any
  /// company, up to the last position of the context.
  @Test(arguments: cases.indices, [20, 32])
  func sentencesAreThoseOfPlainDecoding(number: Int, width: Int) throws {
    let (trunk, heads, isOverEncoded) = Self.cases[number]
    let model = try furtherModel(
      trunk, furtherHeads()[heads], isOverEncoded: isOverEncoded, width: width,
      attentionHeads: width == 20 ? 5 : 2)
    let store = model.makeParameters(moments: false)
    store.initialize(seed: 2)
    let lengths = [40, 5, 1, 17, 2, 39, 33]
    let expected = plain(model, store, lengths: lengths)
    let most = furtherHeads()[heads].weights.count
    for (drafts, capacity, disturb) in [
      (1, 7, false), (most, 7, false), (most, 3, true), (most, 1, true),
    ] {
      let result = drafted(
        model, store, lengths: lengths, drafts: drafts, capacity: capacity, disturb: disturb)
      #expect(result.sentences == expected)
      #expect(result.proposed > 0)
    }
  }

  /// A model that has learned what comes next says several tokens a pass.
  @Test(arguments: furtherHeads().indices)
  func whatIsLearnedIsProposed(heads: Int) throws {
    let heads = furtherHeads()[heads]
    let model = try furtherModel(OLMo2.self, heads)
    let engine = TrainingEngine(model, seed: 5, lanes: 1, laneCapacity: 600, threads: 1)
    var lane = PackedLane(
      tables: 1, ahead: Array(model.labelsAhead.dropFirst()))
    // Token t + 1 is 3·t + 1 modulo 14, a permutation of its values.
    for start in 0..<14 {
      var token = start
      for _ in 0..<24 {
        let next = (3 * token + 1) % 14
        lane.appendRow(label: Int32(next)) { _ in Int32(token) }
        token = next
      }
      lane.endSegment()
    }
    for _ in 0..<120 { _ = try engine.step([lane], learningRate: 1e-2, optimizer: .init()) }
    let lengths = [24, 20, 17]
    let expected = plain(model, engine.parameters, lengths: lengths)
    let result = drafted(
      model, engine.parameters, lengths: lengths, drafts: heads.weights.count, capacity: 3)
    #expect(result.sentences == expected)
    #expect(
      Double(result.accepted) > 0.9 * Double(result.proposed),
      "\(result.accepted) of \(result.proposed)")
    #expect(result.passes <= 24 / (heads.weights.count + 1) + 3)
  }

  /// The heads' log-probabilities, given the tokens of a sentence, are those of the reference model; also
  /// behind proposals that were wrong.
  @Test(arguments: headFixtures, [false, true])
  func headsAgreeWithTheReference(fixture: String, misled: Bool) throws {
    let golden = try Golden(fixture)
    let model = golden.configuration
    let heads = try #require(model.furtherHeads)
    let store = model.makeParameters(moments: false)
    try golden.load(into: store)
    let (V, G, drafts) = (model.labels, model.inputColumns, heads.weights.count)
    let engine = DraftingEngine(model, parameters: store, capacity: 1, drafts: drafts)
    var found = heads.labelsAhead.map { _ in [Float]() }
    for sentence in golden.sentences {
      let T = sentence.labels.count
      func ids(_ row: Int) -> [Int32] { sentence.inputs.map { $0[row] } }
      engine.reset()
      engine.begin(sequences: 1)
      for row in 0..<T {
        // Wrong rows behind the right one, where there is room, are not kept.
        let wrong = misled && row + drafts < T ? drafts : 0
        engine.verify(
          counts: [1 + wrong], inputs: ids(row) + (0..<wrong).flatMap { _ in ids(0) }, tables: G
        ) { _ in }
        engine.accept([1])
        for head in 0..<drafts where row + head + 1 < T {
          engine.draft(head: head, of: [0], inputs: ids(row + head + 1), tables: G) {
            found[head] += Array($0)
          }
        }
      }
    }
    for (head, ahead) in heads.labelsAhead.enumerated() {
      let expected = try golden.array("logProbabilities", "ahead\(ahead)")
      let scale = expected.reduce(0) { max($0, abs($1)) }
      try #require(expected.count == found[head].count && expected.count % V == 0)
      for (a, b) in zip(found[head], expected) where abs(a - b) > 3e-4 * scale {
        Issue.record("head \(ahead): \(a) for \(b)")
        return
      }
    }
  }
}
