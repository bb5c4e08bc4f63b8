import Checkpoints
import Contracts
import DataStages
import Evaluation
import Foundation
import Grammar
import Models
import Shards
import Support

private let grammarText = """
  root: 9
  terminals: 1..3

  9 -> 6 7 | 7 6

  6 -> 4 5 | 5 4 4
  7 -> 5 5 | 4 4 5

  4 -> 1 3 | 1 2
  5 -> 2 | 3 1 2 | 2 2 1

  """

/// A directory with a grammar, held-out sentences and a finished training run, made by hand.
struct GrammarWorkshop {
  let directory = NSTemporaryDirectory() + "evaluation-\(UUID().uuidString)"
  let grammar: Grammar
  var grammarPath: String { directory + "/small.txt" }
  let digest = SHA256.hex(of: grammarText)

  init() throws {
    try AtomicFile.makeDirectory(directory)
    grammar = try Grammar(parsing: grammarText, source: "small")
    try AtomicFile.write(grammarText, to: grammarPath)
  }

  func remove() { try? FileManager.default.removeItem(atPath: directory) }

  /// Held-out sentences: what was sampled, and what was mapped of it.
  struct HeldOutInputs {
    var symbols: StageConfiguration.Input
    var mapped: StageConfiguration.Input
  }

  func writeHeldOut(
    _ variant: Variant, root: Int = 9, documents: Int = 60, seed: UInt64 = 3
  ) throws -> HeldOutInputs {
    let symbols = try writeSymbols(root: root, documents: documents, seed: seed)
    return HeldOutInputs(symbols: symbols, mapped: try map(symbols, variant))
  }

  /// Runs the stages tokenize and map.
  private func map(
    _ symbols: StageConfiguration.Input, _ variant: Variant
  ) throws -> StageConfiguration.Input {
    func run(
      _ stage: String, _ parameters: ConfigValue, _ input: (String, StageConfiguration.Input),
      _ body: (StageConfiguration, String) throws -> Void
    ) throws -> StageConfiguration.Input {
      let configuration = StageConfiguration(
        stage: stage, version: 1, parameters: parameters, inputs: [input.0: input.1])
      let output = "\(directory)/\(stage)-\(configuration.id)"
      try AtomicFile.makeDirectory(output)
      try body(configuration, output)
      return .init(id: configuration.id, path: output)
    }
    let tokens = try run(
      "tokenize",
      [
        "kind": "grammar", "order": .integer(variant.tokenizer.vocabulary.order),
        "documentsPerShard": 25,
      ], ("symbols", symbols)
    ) { _ = try TokenizeStage.run($0, output: $1, threads: 1, isQuiet: true) }
    return try run(
      "map",
      [
        "kind": "grammar", "inputOrders": .array(variant.mapper.tables.map { .integer($0.order) }),
        "outputOrder": .integer(variant.mapper.outputOrder), "documentsPerShard": 35,
      ], ("tokens", tokens)
    ) { _ = try MapStage.run($0, output: $1, threads: 1) }
  }

  func writeSymbols(
    root: Int, documents: Int, seed: UInt64, stream: String = "heldout"
  ) throws -> StageConfiguration.Input {
    let configuration = StageConfiguration(
      stage: "sample", version: 1,
      parameters: [
        "root": .integer(root), "stream": .string(stream), "documents": .integer(documents),
        "seed": .integer(Int(seed)),
      ])
    let path = "\(directory)/\(stream)-\(configuration.id)"
    try AtomicFile.makeDirectory(path)
    let writer = try ShardSetWriter(
      directory: path, element: .u8, columns: [Column("symbol", cardinality: 4)],
      configuration: configuration)
    let sampler = SentenceSampler(grammar, seed: seed, stream: stream)
    try writer.writeShards(count: 2, threads: 1) { shard, sink in
      for i in shard * documents / 2..<(shard + 1) * documents / 2 {
        var bytes: [UInt8] = []
        sampler.appendSentence(UInt64(i), to: &bytes)
        try sink.append(document: bytes)
      }
    }
    try writer.finish(metadata: [
      "grammarDigest": .string(digest), "root": .integer(root), "terminals": [1, 2, 3],
      "stream": .string(stream),
    ])
    return StageConfiguration.Input(id: configuration.id, path: path)
  }

  func modelConfiguration(
    _ variant: Variant, width: Int = 16, heads: (any FurtherHeads)? = nil
  ) throws -> ModelConfiguration {
    try ModelConfiguration(
      input: TableSum(variant.mapper.tables.map { .init(order: $0.order, rows: $0.rows) }),
      trunk: GPT2(TrunkSize(layers: 2, width: width, heads: 2, context: 24)),
      outputs: [NextToken(labels: variant.labels)] + (heads.map { [$0] } ?? []))
  }

  /// - Parameters:
  ///   - savedWidth: width of the model whose weights are saved.
  ///   - heads: further heads, and what the index says of them.
  func writeRun(
    _ variant: Variant, savedWidth: Int = 16,
    heads: (heads: any FurtherHeads, value: ConfigValue)? = nil
  ) throws -> StageConfiguration.Input {
    let configuration = StageConfiguration(
      stage: "train", version: 1,
      parameters: [
        "kind": "grammar", "labels": .integer(variant.labels),
        "heads": heads.map(\.value) ?? .null,
      ])
    let path =
      directory + "/run\(variant.labels)-\(savedWidth)"
      + (heads.map { type(of: $0.heads).key } ?? "")
    try AtomicFile.makeDirectory(path)
    let model = try modelConfiguration(variant, heads: heads?.heads)
    let snapshots = try [1, 2].map { step -> ConfigValue in
      let store = try modelConfiguration(variant, width: savedWidth, heads: heads?.heads)
        .makeParameters(moments: false)
      store.initialize(seed: UInt64(step))
      let name = "weights-\(step).safetensors"
      let hash = try ParameterFile.write(store, arrays: [.weights], to: path + "/" + name)
      return TrainingRunIndex.Snapshot(
        step: step, file: name, sha256: hash, kind: .grammar, sequences: 8 * step, rows: 80 * step,
        symbols: 70 * step
      ).value
    }
    let inputs = model.inputs.map { input -> ConfigValue in
      ["order": .integer(input.order), "rows": .integer(input.rows)]
    }
    var members: [String: ConfigValue] = [
      "architecture": "gpt2", "layers": 2, "width": 16, "heads": 2, "context": 24,
      "tied": false, "inputs": .array(inputs), "labels": .integer(model.labels),
    ]
    if let heads { members[type(of: heads.heads).key] = heads.value }
    try StageIndex.write(
      to: path, configuration: configuration,
      content: [
        "model": .object(members),
        "data": [
          "kind": "grammar", "terminals": [1, 2, 3],
          "tokenizerOrder": .integer(variant.tokenizer.vocabulary.order),
          "inputs": .array(inputs), "outputOrder": .integer(variant.mapper.outputOrder),
          "labels": .integer(variant.labels),
        ],
        "parameterCount": .integer(model.parameterCount), "steps": 2, "sentences": 16,
        "rows": 160, "characters": 140, "finalLoss": 1.5, "seed": 7, "dataSeed": 7,
        "snapshots": .array(snapshots),
      ])
    return StageConfiguration.Input(id: configuration.id, path: path)
  }

  func evaluation(
    _ run: StageConfiguration.Input, _ heldout: HeldOutInputs,
    _ changes: [String: ConfigValue] = [:], trained: StageConfiguration.Input? = nil
  ) throws -> EvaluationRun {
    var parameters: [String: ConfigValue] = [
      "kind": "grammar", "grammar": .string(grammarPath), "grammarDigest": .string(digest),
      "root": 9, "samples": 40,
      "finalSamples": 70, "heldoutSentences": 50, "prefixSentences": 10, "seed": 5, "batch": 16,
    ]
    parameters.merge(changes) { $1 }
    var inputs = ["run": run, "heldout": heldout.mapped, "symbols": heldout.symbols]
    inputs["trained"] = trained
    let configuration = StageConfiguration(
      stage: "evaluate", version: 1, parameters: .object(parameters), inputs: inputs)
    guard case .grammar(let read) = try EvaluateParameters(configuration) else {
      preconditionFailure("the kind is grammar")
    }
    return try EvaluationRun(configuration, read)
  }
}
