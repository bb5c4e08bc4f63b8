import Checkpoints
import Contracts
import DataStages
import Evaluation
import Foundation
import Grammar
import Models
import Parallel
import Shards
import Support
import Testing
import Tokenization

@Suite struct EvaluationRunTests {
  private func variant(_ tokenizer: Int, _ inputs: [Int], _ output: Int) throws -> Variant {
    try Variant(
      alphabet: Alphabet([1, 2, 3]), tokenizerOrder: tokenizer, inputOrders: inputs,
      outputOrder: output)
  }

  /// The whole stage, for each kind of variant: the same files with 1, 2 and 4 threads, and scores
  /// that can be computed again from them.
  @Test(arguments: [(1, [1], 1), (3, [1], 1), (1, [1, 3], 1), (1, [1], 3)])
  func wholeStage(tokenizer: Int, inputs: [Int], output: Int) throws {
    let shop = try GrammarWorkshop()
    defer { shop.remove() }
    let variant = try variant(tokenizer, inputs, output)
    let run = try shop.writeRun(variant)
    let heldout = try shop.writeHeldOut(variant)
    var indexes: Set<String> = []
    for threads in [1, 2, 4] {
      let evaluation = try shop.evaluation(run, heldout)
      let path = shop.directory + "/evaluate\(threads)"
      try AtomicFile.makeDirectory(path)
      var steps: [Int] = []
      let scores = try evaluation.write(to: path, threads: threads) {
        steps.append($0.snapshot.step)
      }
      #expect(steps == [1, 2] && scores.map(\.accuracy.samples) == [40, 70])
      #expect((scores[1].marginalAccuracy != nil) == (output > 1))
      indexes.insert(try String(contentsOfFile: path + "/index.json", encoding: .utf8))
    }
    #expect(indexes.count == 1)

    let path = shop.directory + "/evaluate2"
    let index = try StageIndex(directory: path)
    let snapshot = try #require(
      index.metadata["snapshots"].flatMap { value -> ConfigValue? in
        if case .array(let all) = value { return all.last }
        return nil
      })
    let set = try ShardSet(directory: path + "/scores")
    #expect(set.columns.map(\.name) == ["logP", "logQ1", "logQ2"])
    let columns = try set.load(threads: 1)
    let logP = Array(columns.buffer(0, as: Double.self))
    let logQ = Array(columns.buffer(2, as: Double.self))
    let sentences = try ShardSet(input: heldout.symbols).load(threads: 1)
    let characters = Double(sentences.documentOffsets[50])
    let loss = -logQ.reduce(0, +) / characters
    let excess = zip(logP, logQ).reduce(0) { $0 + $1.0 - $1.1 } / characters
    #expect(snapshot["natsPerCharacter"] == .double(loss))
    #expect(excess > 0)
    guard case .double(let written) = snapshot["excessNatsPerCharacter"] else {
      Issue.record("no excess")
      return
    }
    #expect(abs(written - excess) < 1e-12)
    // An untrained model is close to uniform over its labels, so far from the grammar.
    guard case .double(let kl) = snapshot["klPerCharacter"] else {
      Issue.record("no divergence")
      return
    }
    #expect(kl > 0.1)

    let samples = try ShardSet(directory: path + "/samples").load(threads: 1)
    let judgement = try ShardSet(directory: path + "/judgement").load(threads: 1)
    let endings = judgement.integers(column: 0, rows: 0..<70)
    let correct = judgement.integers(column: 1, rows: 0..<70)
    var parser = Parser(shop.grammar)
    for i in 0..<70 {
      let sentence = samples.integers(column: 0, rows: samples.rows(ofDocument: i)).map {
        UInt8($0)
      }
      #expect((correct[i] == 1) == (endings[i] == 0 && parser.contains(sentence)))
    }
    #expect(snapshot["accurate"] == .integer(correct.reduce(0, +)))
  }

  /// Ranks share the sentences, and rank 0 writes the bytes of one alone.
  @Test(arguments: [(3, [1], 1), (1, [1], 3)], [2, 3, 5])
  func ranksChangeNoByte(of kind: (tokenizer: Int, inputs: [Int], output: Int), ranks: Int) throws {
    let shop = try GrammarWorkshop()
    defer { shop.remove() }
    let variant = try variant(kind.tokenizer, kind.inputs, kind.output)
    let evaluation = try shop.evaluation(
      shop.writeRun(variant), shop.writeHeldOut(variant))
    let paths = ["alone", "shared"].map { "\(shop.directory)/\($0)" }
    for path in paths { try AtomicFile.makeDirectory(path) }
    _ = try evaluation.write(to: paths[0], threads: 2) { _ in }
    let scores = try ThreadCommunicator.run(size: ranks) { rank in
      try evaluation.write(to: paths[1], threads: 1, ranks: rank) { _ in
        precondition(rank.decides, "rank 0 tells")
      }.count
    }
    #expect(scores == [2] + [Int](repeating: 0, count: ranks - 1))
    let bytes = try paths.map { try FileBytes.read("\($0)/index.json") }
    #expect(bytes[0] == bytes[1])
  }

  @Test func ranksDoNotShareADevice() throws {
    let shop = try GrammarWorkshop()
    defer { shop.remove() }
    let variant = try variant(1, [1], 1)
    let evaluation = try shop.evaluation(
      shop.writeRun(variant), shop.writeHeldOut(variant), ["device": "cuda"])
    let output = shop.directory
    let error = #expect(throws: UserError.self) {
      _ = try ThreadCommunicator.run(size: 2) { rank in
        try evaluation.write(to: output, threads: 1, ranks: rank) { _ in }.count
      }
    }
    #expect(error?.description.contains("expected one process") == true, "\(error as Any)")
  }

  /// Step by step with caches and all at once give the same distributions, and companions do not
  /// change them.
  @Test(arguments: [(1, [1], 1), (3, [1], 1), (1, [1, 2, 3], 1), (1, [3], 3)])
  func incrementalEqualsBatch(tokenizer: Int, inputs: [Int], output: Int) throws {
    let shop = try GrammarWorkshop()
    defer { shop.remove() }
    let variant = try variant(tokenizer, inputs, output)
    let run = try shop.writeRun(variant)
    let model = EngineModel(try shop.modelConfiguration(variant))
    try model.load(run.path + "/weights-1.safetensors")
    let sampler = SentenceSampler(shop.grammar, seed: 8, stream: "x")
    let sentences = (0..<9).map { i -> [UInt8] in
      var bytes: [UInt8] = []
      sampler.appendSentence(UInt64(i), to: &bytes)
      return bytes
    }
    let heldOut = try HeldOut(
      sentences: sentences, variant: variant, positionsPerGroup: 10_000, context: model.context)
    let group = heldOut.groups[0]
    let V = variant.labels
    let session = model.makeSession(rows: group.next.count, sequences: 9)
    var whole = [Float](repeating: 0, count: group.next.count * V)
    try session.score(rows: group.rows, offsets: group.offsets, into: &whole)
    var stepped = [Float](repeating: 0, count: 9 * V)
    try session.restart(sequences: 9)
    var live = Array(0..<9)
    var position = 0
    while true {
      let slots = (0..<9).filter { group.offsets[$0] + position < group.offsets[$0 + 1] }
      if slots.isEmpty { break }
      let rows = group.rows.map { column in slots.map { column[group.offsets[$0] + position] } }
      try session.retain { slots.contains(live[$0]) }
      live = slots
      try session.advance(rows: rows, into: &stepped)
      for (n, slot) in slots.enumerated() {
        let base = (group.offsets[slot] + position) * V
        for k in 0..<V { #expect(abs(stepped[n * V + k] - whole[base + k]) < 1e-4) }
      }
      position += 1
    }
    #expect(position == (0..<9).map { group.offsets[$0 + 1] - group.offsets[$0] }.max())
  }

  /// Sentence i of a real model is the same in any company: alone, in groups, in one batch.
  @Test(arguments: [(3, [1], 1), (1, [1, 3], 1), (1, [1], 3)])
  func sentencesDoNotSeeEachOther(tokenizer: Int, inputs: [Int], output: Int) throws {
    let shop = try GrammarWorkshop()
    defer { shop.remove() }
    let variant = try variant(tokenizer, inputs, output)
    let run = try shop.writeRun(variant)
    let model = EngineModel(try shop.modelConfiguration(variant))
    try model.load(run.path + "/weights-2.safetensors")
    let pool = WorkerPool(threads: 2)
    let sessions = try WorkerSessions(model, threads: 2, rows: 1, sequences: 50)
    func sentences(batch: Int) throws -> [GeneratedSentence] {
      try #require(
        try generateAll(
          50, batch: batch, seed: 6, variant: variant, sessions: sessions,
          limits: GenerationLimits(symbols: 20, positions: model.context), draw: .label,
          pool: pool))
    }
    let alone = try sentences(batch: 1)
    #expect(Set(alone.map(\.symbols)).count > 10)
    #expect(try sentences(batch: 7) == alone)
    #expect(try sentences(batch: 50) == alone)
  }

  /// Strings that the training stream has are left out, by comparing them one by one; wrong ones stay.
  @Test(arguments: [30, 150]) func unseenStringsAreScoredApart(documents: Int) throws {
    let shop = try GrammarWorkshop()
    defer { shop.remove() }
    let variant = try variant(1, [1], 1)
    let (run, heldout) = (try shop.writeRun(variant), try shop.writeHeldOut(variant))
    let trained = try shop.writeSymbols(root: 9, documents: documents, seed: 3, stream: "train")
    let path = shop.directory + "/out"
    try AtomicFile.makeDirectory(path)
    let scores = try shop.evaluation(run, heldout, trained: trained).write(to: path, threads: 2) {
      _ in
    }
    #expect(scores[0].unseen == nil)
    let unseen = try #require(scores[1].unseen)
    func strings(_ set: ShardSet, _ count: Int) throws -> [[UInt8]] {
      let loaded = try set.load(threads: 1)
      return (0..<count).map { i in
        loaded.integers(column: 0, rows: loaded.rows(ofDocument: i)).map { UInt8($0) }
      }
    }
    let known = Set(try strings(ShardSet(input: trained), documents))
    let held = try strings(ShardSet(input: heldout.symbols), 50)
    let isKnown = held.map(known.contains)
    let some = isKnown.count { $0 }
    #expect(some > 0 && some < 50)
    #expect(unseen.heldoutShare == Double(50 - some) / 50 && unseen.excess.count == 50 - some)
    let logs = try ShardSet(directory: path + "/scores").load(threads: 1)
    let (logP, logQ) = (logs.buffer(0, as: Double.self), logs.buffer(2, as: Double.self))
    var (excess, characters) = (0.0, 0)
    for i in 0..<50 where !isKnown[i] {
      excess += logP[i] - logQ[i]
      characters += held[i].count
    }
    #expect(abs(unseen.excess.ratio - excess / Double(characters)) < 1e-12)
    let samples = try strings(ShardSet(directory: path + "/samples"), 70)
    let judgement = try ShardSet(directory: path + "/judgement").load(threads: 1)
    let correct = judgement.integers(column: 1, rows: 0..<70)
    let own = samples.indices.filter { correct[$0] == 0 || !known.contains(samples[$0]) }
    #expect(unseen.accuracy.samples == own.count)
    #expect(unseen.accuracy.correct == own.reduce(0) { $0 + Int(correct[$1]) })
    guard case .array(let snapshots)? = try StageIndex(directory: path).metadata["snapshots"] else {
      Issue.record("no snapshots")
      return
    }
    #expect(snapshots[0]["unseen"] == nil)
    #expect(snapshots[1]["unseen"]?["heldoutShare"] == .double(unseen.heldoutShare))
    #expect(snapshots[1]["unseen"]?["accurate"] == .integer(unseen.accuracy.correct))
  }

  @Test func anotherTrainingStreamIsRefused() throws {
    let shop = try GrammarWorkshop()
    defer { shop.remove() }
    let variant = try variant(1, [1], 1)
    let (run, heldout) = (try shop.writeRun(variant), try shop.writeHeldOut(variant))
    for trained in [
      heldout.symbols, try shop.writeSymbols(root: 6, documents: 9, seed: 3, stream: "train"),
    ] {
      let error = #expect(throws: UserError.self) {
        _ = try shop.evaluation(run, heldout, trained: trained)
      }
      #expect(
        error?.description.contains("training sentences: expected stream train of root 9") == true)
    }
  }

  @Test func refusals() throws {
    let shop = try GrammarWorkshop()
    defer { shop.remove() }
    let variant = try variant(1, [1], 1)
    let run = try shop.writeRun(variant)
    let heldout = try shop.writeHeldOut(variant)
    func message(_ body: () throws -> Void) -> String {
      (#expect(throws: UserError.self) { try body() })?.description ?? ""
    }
    let otherRoot = try shop.writeHeldOut(variant, root: 6)
    #expect(message { _ = try shop.evaluation(run, otherRoot) }.contains("another grammar"))
    #expect(
      message { _ = try shop.evaluation(run, heldout, ["root": 6]) }.contains("another grammar"))
    let wrong: ConfigValue = .string(String(repeating: "0", count: 64))
    #expect(
      message { _ = try shop.evaluation(run, heldout, ["grammarDigest": wrong]) }.contains(
        "SHA-256"))
    #expect(
      message { _ = try shop.evaluation(run, heldout, ["heldoutSentences": 61]) }.contains("61"))
    #expect(
      message { _ = try shop.evaluation(run, heldout, ["prefixSentences": 51]) }.contains("51"))
    #expect(message { _ = try shop.evaluation(run, heldout, ["sampels": 5]) }.contains("samples"))
    #expect(message { _ = try shop.evaluation(heldout.symbols, heldout) }.contains("train"))

    let foreign = try shop.writeRun(variant, savedWidth: 32)
    let text = message {
      _ = try shop.evaluation(foreign, heldout).write(to: shop.directory + "/out", threads: 1) {
        _ in
      }
    }
    #expect(text.contains("tensor") && text.contains("shape"))
    #expect(!FileBytes.exists(shop.directory + "/out/index.json"))

    let file = run.path + "/weights-2.safetensors"
    var bytes = try FileBytes.read(file)
    bytes[bytes.count - 1] ^= 1
    try AtomicFile.write(bytes, to: file)
    #expect(
      message {
        _ = try shop.evaluation(run, heldout).write(to: shop.directory + "/out", threads: 1) { _ in
        }
      }.contains("SHA-256"))
  }

  /// What is scored must be the run's own reading of what was sampled.
  @Test func heldOutSentencesMustBelongTogether() throws {
    let shop = try GrammarWorkshop()
    defer { shop.remove() }
    let variant = try variant(1, [1], 3)
    let run = try shop.writeRun(variant)
    let heldout = try shop.writeHeldOut(variant)
    func message(_ change: (inout GrammarWorkshop.HeldOutInputs) throws -> Void) throws -> String {
      var changed = heldout
      try change(&changed)
      return
        (#expect(throws: UserError.self) {
          let path = shop.directory + "/out"
          try AtomicFile.makeDirectory(path)
          _ = try shop.evaluation(run, changed).write(to: path, threads: 1) { _ in }
        })?.description ?? ""
    }
    #expect(
      try message { $0.mapped = $0.symbols }.contains(
        "expected a map set, found a set of stage 'sample'"))
    for (tokenizer, inputs, output) in [(3, [1], 1), (1, [2], 3), (1, [1], 2)] {
      let other = try self.variant(tokenizer, inputs, output)
      let text = try message { $0.mapped = try shop.writeHeldOut(other).mapped }
      #expect(
        text.contains(
          "expected 1-gram tokens of 3 symbols, input orders [1], output order 3, found "
            + "\(tokenizer)-gram tokens of 3 symbols, input orders \(inputs), output order \(output)"
        ),
        "\(text)")
    }
    #expect(
      try message { $0.mapped = try shop.writeHeldOut(variant, documents: 58).mapped }.contains(
        "expected 60 sentences, found 58"))
    #expect(
      try message { $0.mapped = try shop.writeHeldOut(variant, seed: 4).mapped }.contains(
        "Give as input 'symbols' the sample set that 'heldout' was made from."))
  }
}
