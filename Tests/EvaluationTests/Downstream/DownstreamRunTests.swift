import Checkpoints
import Contracts
import Engine
import Evaluation
import Foundation
import Models
import NGrams
import Parallel
import Shards
import Support
import Testing
import Tokenization

/// The stage "downstream" against definitions and peers.
@Suite struct DownstreamRunTests {
  let shop: DownstreamShop

  init() throws { shop = try DownstreamShop() }

  /// Every token of a continuation behind what the rule puts in front of it, through full distributions.
  private func slow(
    _ step: Int, rows: Int, lookBack: LookBack
  ) throws -> [(sum: Double, tokens: Int, cut: Int)] {
    let limit = DownstreamShop.context
    let engine = ScoringEngine(
      try shop.model(rows: rows), parameters: try shop.weights(step, rows: rows),
      laneCapacity: limit, threads: 1)
    let tables = try shop.layout(rows: rows)?.embedders ?? []
    let encoder = BytePairEncoder(shop.bytePairs, findsSpecialTokens: false)
    let V = shop.vocabulary
    let file = try RequestFile(
      FileBytes.read(DownstreamShop.questions), source: DownstreamShop.questions)
    return file.documents.flatMap(\.choices).map { choice in
      let context = encoder.encode(choice.context)
      let answer = encoder.encode(choice.continuation)
      let all = (context + answer).map(Int.init)
      let width = answer.count <= limit ? answer.count : limit / 2
      var sum = 0.0
      for t in answer.indices {
        let end = context.count + min((t / width + 1) * width, answer.count) - 1
        let start = max(0, end - limit)
        var lane = PackedLane(tables: 1 + tables.count)
        for row in start..<end {
          lane.appendRow(label: 0) { c in
            if c == 0 { return Int32(all[row]) }
            let gram = (0..<tables[c - 1].order).reversed().reduce(0) {
              $0 * V + (row - $1 >= (lookBack == .window ? start : 0) ? all[row - $1] : 0)
            }
            return Int32(gram % tables[c - 1].modulus)
          }
        }
        lane.endSegment()
        let scores = engine.logProbabilities([lane])[0]
        sum += Double(scores[(context.count + t - 1 - start) * V + Int(answer[t])])
      }
      return (sum, answer.count, max(0, context.count + answer.count - 1 - limit))
    }
  }

  /// Without tables, and with four of 50 or 5000 rows each. Some contexts are cut, and one continuation
  /// is longer than the model's context.
  @Test(
    arguments: [(0, .document), (50, .document), (5000, .document), (5000, .window)]
      as [(Int, LookBack)])
  func scoresAreThoseOfOneTokenAtATime(rows: Int, lookBack: LookBack) throws {
    defer { shop.remove() }
    let inputs = try [
      "run": shop.writeRun(rows: rows, lookBack: lookBack), "tokenizer": shop.tokenizer,
      "some": shop.task(),
    ]
    let scores = try shop.write(DownstreamRun(shop.configuration(inputs)), to: "out")
    #expect(scores.map(\.snapshot.step) == [1, 2])
    for score in scores {
      let found = score.tasks[0].scores.documents.flatMap(\.choices)
      let expected = try slow(score.snapshot.step, rows: rows, lookBack: lookBack)
      #expect(found.map(\.tokens) == expected.map(\.tokens))
      #expect(found.map(\.cut) == expected.map(\.cut))
      for (a, b) in zip(found, expected) { #expect(abs(a.logP - b.sum) < 1e-5 * -b.sum) }
      #expect(expected.contains { $0.cut > 0 } && expected.contains { $0.cut == 0 })
      #expect(expected.contains { $0.tokens > DownstreamShop.context })
    }
    // The index and the shards say the same.
    let last = scores[1].tasks[0].scores
    let index = try StageIndex(directory: "\(shop.directory)/out")
    guard case .array(let snapshots)? = index.content["metadata"]?["snapshots"] else {
      Issue.record("no snapshots")
      return
    }
    let task = snapshots[1]["tasks"]?["some"]
    #expect(task?["documents"] == 12 && task?["questions"] == 12 && task?["choices"] == 35)
    #expect(task?["acc"]?["value"] == .double(last.acc.value))
    #expect(task?["lenNormV1"]?["standing"] == .string(last.lenNormV1.standing.rawValue))
    #expect(task?["bitsPerByteV1"]?["value"] == .double(last.bitsPerByteV1.ratio))
    #expect(task?["metric"] == "lenNormV1" && task?["constant"] == nil)
    #expect(task?["cutDocuments"] != 0)
    let set = try ShardSet(directory: "\(shop.directory)/out/scores-some")
    let loaded = try set.load(threads: 1)
    #expect(
      set.columns.map(\.name)
        == ["document", "choice", "gold", "logP", "tokens", "characters", "bytes", "cut"])
    #expect(loaded.documents == 2)
    let range = loaded.rows(ofDocument: 1)
    func column(_ c: Int) -> [Double] { Array(loaded.buffer(c, as: Double.self)[range]) }
    #expect(column(3) == last.documents.flatMap(\.choices).map(\.logP))
    #expect(column(2).reduce(0, +) == 12)
    #expect(column(0).last == 11 && column(1).last == 3)
    // "le sont finis": a space, letters of one byte and é of two.
    #expect(zip(column(5), column(6)).contains { $0 < $1 })
  }

  @Test func threadsChangeNoByte() throws {
    defer { shop.remove() }
    let inputs = try [
      "run": shop.writeRun(rows: 50), "tokenizer": shop.tokenizer, "some": shop.task(),
    ]
    let identities = try [1, 2, 4].map { threads in
      _ = try shop.write(
        DownstreamRun(shop.configuration(inputs)), to: "out\(threads)", threads: threads)
      return try ["index.json", "scores-some/index.json", "scores-some/00000.shard"].map {
        try FileBytes.read("\(shop.directory)/out\(threads)/\($0)")
      }
    }
    #expect(identities[0] == identities[1])
    #expect(identities[0] == identities[2])
  }

  /// Ranks share the requests, of which some may have none, and rank 0 writes the bytes of one alone.
  @Test(arguments: [2, 3, 7])
  func ranksChangeNoByte(ranks: Int) throws {
    defer { shop.remove() }
    let inputs = try [
      "run": shop.writeRun(rows: 50), "tokenizer": shop.tokenizer, "some": shop.task(),
    ]
    let run = try DownstreamRun(shop.configuration(inputs))
    _ = try shop.write(run, to: "out1")
    try AtomicFile.makeDirectory("\(shop.directory)/out\(ranks)")
    let scores = try ThreadCommunicator.run(size: ranks) { rank in
      try run.write(to: "\(shop.directory)/out\(ranks)", threads: 1, ranks: rank) { _ in
        #expect(rank.decides)
      }.count
    }
    #expect(scores == [2] + [Int](repeating: 0, count: ranks - 1))
    let found = try ["out1", "out\(ranks)"].map { name in
      try ["index.json", "scores-some/index.json", "scores-some/00000.shard"].map {
        try FileBytes.read("\(shop.directory)/\(name)/\($0)")
      }
    }
    #expect(found[0] == found[1])
  }

  /// A question's scores do not depend on which others are drawn, and the last snapshot's not on whether
  /// the others are scored.
  @Test func aSampleHasTheBitsOfTheWhole() throws {
    defer { shop.remove() }
    let run = try shop.writeRun()
    let inputs = try [
      "run": run, "tokenizer": shop.tokenizer, "some": shop.task(), "other": shop.task(),
    ]
    let tasks: ConfigValue = [
      ["name": "other", "metric": "acc"], ["name": "some", "metric": "lenNorm"],
    ]
    let whole = try shop.write(
      DownstreamRun(shop.configuration(inputs, ["tasks": tasks])), to: "whole")
    let sample = try shop.write(
      DownstreamRun(
        shop.configuration(inputs, ["tasks": tasks, "questions": 5, "onlyLast": true])),
      to: "sample")
    #expect(sample.map(\.snapshot.step) == [2])
    #expect(sample[0].tasks.map(\.task.name) == ["other", "some"])
    for (i, task) in sample[0].tasks.enumerated() {
      #expect(task.scores.documents.count == 5)
      let all = whole[1].tasks[i].scores.documents
      #expect(task.scores.documents.allSatisfy(all.contains))
    }
    let drawn = sample[0].tasks.map { $0.scores.documents.map(\.id) }
    #expect(drawn[0] != drawn[1])
  }

  // MARK: - Pieces

  @Test(
    arguments: [
      (5, 3, 10, [ChoicePiece(rows: 0..<7, scored: 3)]),
      (5, 6, 10, [ChoicePiece(rows: 0..<10, scored: 6)]),
      (5, 7, 10, [ChoicePiece(rows: 1..<11, scored: 7)]),
      (1, 10, 10, [ChoicePiece(rows: 0..<10, scored: 10)]),
      (50, 10, 10, [ChoicePiece(rows: 49..<59, scored: 10)]),
      (
        3, 11, 10,
        [
          ChoicePiece(rows: 0..<7, scored: 5), ChoicePiece(rows: 2..<12, scored: 5),
          ChoicePiece(rows: 3..<13, scored: 1),
        ]
      ),
      (
        2, 3, 1,
        [
          ChoicePiece(rows: 1..<2, scored: 1), ChoicePiece(rows: 2..<3, scored: 1),
          ChoicePiece(rows: 3..<4, scored: 1),
        ]
      ),
    ] as [(Int, Int, Int, [ChoicePiece])])
  func piecesOfAChoice(context: Int, continuation: Int, limit: Int, pieces: [ChoicePiece]) {
    let found = ChoicePiece.cut(context: context, continuation: continuation, limit: limit)
    #expect(found == pieces)
    #expect(found.reduce(0) { $0 + $1.scored } == continuation)
    #expect(found.allSatisfy { $0.rows.count <= limit && $0.scored <= $0.rows.count })
  }

  // MARK: - Bad input

  private func refusal(
    _ inputs: [String: StageConfiguration.Input], _ changes: [String: ConfigValue] = [:]
  ) throws -> String {
    let configuration = try shop.configuration(inputs, changes)
    let error = #expect(throws: UserError.self) { _ = try DownstreamRun(configuration) }
    return error?.description ?? ""
  }

  @Test func whatDoesNotFitIsOneMessage() throws {
    defer { shop.remove() }
    let run = try shop.writeRun()
    let inputs = try ["run": run, "tokenizer": shop.tokenizer, "some": shop.task()]
    var changed = inputs
    changed["some"] = nil
    #expect(try refusal(changed).contains("some"))
    changed = inputs
    changed["other"] = inputs["some"]
    #expect(
      try refusal(changed).contains(
        "inputs.other: expected fgrams, run, some, tokenizer, found 'other'"))
    changed = inputs
    changed["some"] = .init(id: "0123456789ab", path: DownstreamShop.questions)
    #expect(try refusal(changed).contains("other requests than the configuration's"))
    // The same model over tokens of another tokenizer.
    changed = inputs
    changed["run"] = try shop.writeRun(data: shop.metadata(tokenizer: "feedfacecafe"))
    #expect(
      try refusal(changed).contains("inputs.tokenizer: expected feedfacecafe with 320 tokens"))
    // Labels of a grammar's symbols are no text.
    changed["run"] = try shop.writeRun(data: ["inputs": []])
    #expect(try refusal(changed).contains("only a run over text can score them"))
    changed["run"] = .init(id: run.id, path: shop.directory + "/nowhere")
    #expect(try refusal(changed).contains("nowhere"))
    #expect(try refusal(inputs, ["tasks": []]).contains("one or more tasks"))
    #expect(try refusal(inputs, ["questions": -1]).contains("questions: expected an integer"))
  }

  // MARK: - Peers

  /// transformers, scored by OLMo's own code and by lm-evaluation-harness:
  /// Tests/Peers/downstream_peer.py.
  @Test func agreesWithTheReferences() throws {
    defer { shop.remove() }
    let expected = try ConfigValue.load(json: DownstreamShop.fixture("expected.json"))
    guard case .object(let model)? = expected["model"], case .array(let sums)? = expected["logP"]
    else {
      Issue.record("no model")
      return
    }
    let run = try shop.writeRun(model, data: shop.metadata(), parameters: 1) { path in
      let bytes = try FileBytes.read(DownstreamShop.fixture("weights.safetensors"))
      try AtomicFile.write(bytes, to: path + "/weights.safetensors")
      return [(1, "weights.safetensors", SHA256.hex(of: bytes))]
    }
    let inputs = try ["run": run, "tokenizer": shop.tokenizer, "some": shop.task()]
    let scores = try shop.write(DownstreamRun(shop.configuration(inputs)), to: "out")[0]
      .tasks[0].scores
    let choices = scores.documents.flatMap(\.choices)
    try #require(choices.count == sums.count)
    for (choice, sum) in zip(choices, sums) {
      guard case .double(let sum) = sum else {
        Issue.record("\(sum)")
        return
      }
      #expect(abs(choice.logP - sum) < 1e-4)
    }
    #expect(choices.contains { $0.cut > 0 })
    for (name, value) in [
      ("acc_v1", scores.acc.value), ("acc_v2", scores.acc.value),
      ("len_norm_v1", scores.lenNormV1.value), ("len_norm_v2", scores.lenNormV2.value),
      ("bpb_v1", scores.bitsPerByteV1.ratio), ("bpb_v2", scores.bitsPerByteV2.ratio),
    ] {
      guard case .double(let found)? = expected["olmo"]?[name] else {
        Issue.record("no \(name)")
        return
      }
      #expect(abs(value - found) < 1e-4, "\(name): \(value) for \(found)")
    }
    for (name, value) in [("acc", scores.acc.value), ("acc_norm", scores.lenNormV1.value)] {
      guard case .double(let found)? = expected["harness"]?[name] else {
        Issue.record("no \(name)")
        return
      }
      #expect(abs(value - found) < 1e-9, "\(name): \(value) for \(found)")
    }
  }
}
