import Checkpoints
import Contracts
import Engine
import Evaluation
import Foundation
import Models
import NGrams
import Parallel
import Support
import Testing
import Tokenization

/// Tasks scored by runs with f-grams, whose rows are looked up.
@Suite struct DownstreamFGramTests {
  private static let (longest, minimum) = (4, 3)
  private let shop: DownstreamShop
  /// Tokens of context and continuation of every choice.
  private let texts: [[UInt32]]

  init() throws {
    let shop = try DownstreamShop()
    self.shop = shop
    let encoder = BytePairEncoder(shop.bytePairs, findsSpecialTokens: false)
    let file = try RequestFile(
      FileBytes.read(DownstreamShop.questions), source: DownstreamShop.questions)
    texts = file.documents.flatMap(\.choices).map {
      encoder.encode($0.context) + encoder.encode($0.continuation)
    }
  }

  /// The f-grams of the texts themselves, as stage discover leaves them.
  private func writeFGrams(_ name: String = "fgrams") throws -> StageConfiguration.Input {
    let configuration = StageConfiguration(
      stage: Stage.discover.rawValue, version: 1, parameters: ["name": .string(name)])
    let path = "\(shop.directory)/\(name)"
    try AtomicFile.makeDirectory(path)
    let discovery = FGramDiscovery(
      vocabulary: shop.vocabulary, longest: Self.longest, minimumCount: Self.minimum,
      memoryBytes: 1 << 20, directory: shop.directory)
    let pool = WorkerPool(threads: 1)
    let texts = texts
    let found = try discovery.run(pieces: 1, pool: pool) { _, sink in
      for text in texts { try sink.append(text.span) }
    }
    try DiscoveredGrams.write(
      found.levels, of: discovery, tokens: found.tokens, tokenizer: shop.tokenizer.id, to: path,
      configuration: configuration, pool: pool)
    return .init(id: configuration.id, path: path)
  }

  private func metadata(_ id: String) -> ConfigValue {
    [
      "kind": "text", "content": "fGrams", "longest": .integer(Self.longest), "size": 0, "order": 3,
      "fgrams": .string(id), "vocabulary": .integer(shop.vocabulary),
      "tokenizer": .string(shop.tokenizer.id), "labels": .integer(shop.vocabulary),
      "labelBytes": .array((0..<shop.vocabulary).map { _ in 1 }),
      "inputs": [["order": 1, "rows": .integer(shop.vocabulary)]],
    ]
  }

  /// - Parameter tables: whether tables of 2- and 3-grams stand beside the f-grams.
  private func model(tables: Bool) throws -> ModelConfiguration {
    let trunk = GPT2(TrunkSize(layers: 2, width: 16, heads: 2, context: DownstreamShop.context))
    let fGrams = FGrams(
      vocabulary: shop.vocabulary, longest: Self.longest, layers: 1, on: trunk)
    let layout = try OverEncodingLayout(
      vocabulary: shop.vocabulary, order: 3, slices: 1, rows: 500, width: 16, moduli: .coprime)
    return try ModelConfiguration(
      input: tables
        ? OverEncodedFGrams(
          fGrams: fGrams,
          overEncoding: OverEncoding(layout: layout, lookBack: .window, reduction: .sum))
        : fGrams,
      trunk: trunk, labels: shop.vocabulary)
  }

  private func weights(_ step: Int, tables: Bool) throws -> ParameterStore {
    let store = try model(tables: tables).makeParameters(moments: false)
    store.initialize(seed: UInt64(step))
    for slot in store.layout.slots where slot.shape.count > 1 {
      store.withMutableFloats(slot, of: .weights) { values in
        for i in values.indices { values[i] *= 10 }
      }
    }
    for table in store.tables {
      for i in table.weights.indices { table.weights[i] *= 10 }
    }
    return store
  }

  private func writeRun(
    _ fGrams: String, tables: Bool = false
  ) throws -> StageConfiguration.Input {
    var model: [String: ConfigValue] = [
      "architecture": "gpt2", "layers": 2, "width": 16, "heads": 2,
      "context": .integer(DownstreamShop.context), "tied": false,
      "inputs": [["order": 1, "rows": .integer(shop.vocabulary)]],
      "labels": .integer(shop.vocabulary),
      "fGrams": ["longest": .integer(Self.longest), "layers": 1],
    ]
    if tables {
      model["overEncoding"] = [
        "order": 3, "slices": 1, "rows": 500, "moduli": "coprime", "lookBack": "window",
        "reduction": "sum",
      ]
    }
    return try shop.writeRun(
      model, data: metadata(fGrams),
      parameters: try self.model(tables: tables).parameterCount
    ) { path in
      try [1, 2].map { step in
        let name = "weights-\(step).safetensors"
        let hash = try ParameterFile.write(
          weights(step, tables: tables), arrays: [.weights], to: path + "/" + name)
        return (step, name, hash)
      }
    }
  }

  /// Every token of a continuation by the f-gram model itself, behind what the rule puts in front of it.
  private func slow(_ step: Int, tables: Bool) throws -> [Double] {
    let limit = DownstreamShop.context
    var counts: [[UInt32]: Int] = [:]
    for text in texts {
      for length in 2...Self.longest {
        for first in stride(from: 0, through: text.count - length, by: 1) {
          counts[Array(text[first..<first + length]), default: 0] += 1
        }
      }
    }
    let model = try model(tables: tables)
    let mapper = model.overEncoding.map { OverEncodingMapper($0.layout) }
    let engine = ScoringEngine(
      model, parameters: try weights(step, tables: tables), laneCapacity: limit, threads: 1)
    let encoder = BytePairEncoder(shop.bytePairs, findsSpecialTokens: false)
    let file = try RequestFile(
      FileBytes.read(DownstreamShop.questions), source: DownstreamShop.questions)
    return file.documents.flatMap(\.choices).map { choice in
      let context = encoder.encode(choice.context)
      let answer = encoder.encode(choice.continuation)
      let all = context + answer
      let width = answer.count <= limit ? answer.count : limit / 2
      return answer.indices.reduce(0.0) { sum, t in
        let end = context.count + min((t / width + 1) * width, answer.count) - 1
        let start = max(0, end - limit)
        var lane = model.makeLane()
        let rows = mapper.map { self.rows(of: Array(all[start...end]), $0) } ?? []
        for row in start..<end {
          let match =
            (2...Self.longest).last {
              row + 1 - $0 >= start
                && counts[Array(all[row + 1 - $0...row]), default: 0] >= Self.minimum
            } ?? 1
          lane.appendRow(label: 0) {
            $0 == 0 ? Int32(all[row]) : $0 == 1 ? Int32(match) : rows[$0 - 2][row - start]
          }
        }
        lane.endSegment()
        let scores = engine.logProbabilities([lane])[0]
        return sum
          + Double(scores[(context.count + t - 1 - start) * shop.vocabulary + Int(answer[t])])
      }
    }
  }

  /// By table the rows of all tokens but the last.
  private func rows(of tokens: [UInt32], _ mapper: OverEncodingMapper) -> [[Int32]] {
    mapper.layout.embedders.indices.map { e in
      var sums = [UInt64](repeating: 0, count: tokens.count - 1)
      var rows = [UInt32](repeating: 0, count: tokens.count - 1)
      var sumSpan = sums.mutableSpan
      var rowSpan = rows.mutableSpan
      mapper.mapRows(embedder: e, tokens: tokens.span, sums: &sumSpan, into: &rowSpan)
      return rows.map { Int32($0) }
    }
  }

  @Test(arguments: [false, true])
  func scoresAreThoseOfTheFGramModel(tables: Bool) throws {
    defer { shop.remove() }
    let fGrams = try writeFGrams()
    let inputs = try [
      "run": writeRun(fGrams.id, tables: tables), "tokenizer": shop.tokenizer, "fgrams": fGrams,
      "some": shop.task(),
    ]
    let scores = try shop.write(DownstreamRun(shop.configuration(inputs), threads: 2), to: "out")
    for score in scores {
      let found = score.tasks[0].scores.documents.flatMap(\.choices).map(\.logP)
      let expected = try slow(score.snapshot.step, tables: tables)
      #expect(found.count == expected.count)
      for (a, b) in zip(found, expected) { #expect(abs(a - b) < 1e-5 * abs(b)) }
    }
    let one = try shop.write(
      DownstreamRun(shop.configuration(inputs)), to: "one", threads: 1)
    for (a, b) in zip(scores, one) {
      #expect(
        a.tasks[0].scores.documents.flatMap(\.choices).map(\.logP)
          == b.tasks[0].scores.documents.flatMap(\.choices).map(\.logP))
    }
  }

  @Test func fGramsAreTheRunsOrNone() throws {
    defer { shop.remove() }
    let fGrams = try writeFGrams()
    func failure(_ inputs: [String: StageConfiguration.Input]) throws -> String {
      var inputs = inputs
      inputs["tokenizer"] = shop.tokenizer
      inputs["some"] = try shop.task()
      let error = #expect(throws: UserError.self) {
        try DownstreamRun(shop.configuration(inputs))
      }
      return error?.description ?? ""
    }
    #expect(try failure(["run": writeRun(fGrams.id)]).contains("fgrams"))
    #expect(
      try failure(["run": writeRun("cafecafecafe"), "fgrams": fGrams]).contains(
        "inputs.fgrams: expected f-grams of longest 4, size 0, of cafecafecafe, and n-gram ids up to "
          + "order 3, the run's, found"))
    #expect(
      try failure(["run": shop.writeRun(), "fgrams": fGrams]).contains(
        "expected no such input: the run has no f-grams"))
  }
}
