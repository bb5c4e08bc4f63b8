import Contracts
import Support
import Testing

/// A configuration of every stage and kind.
enum Samples {
  static let train: ConfigValue = [
    "kind": "text", "model": ["architecture": "gpt2", "overEncoding": ["order": 2]],
    "optimizer": [
      "name": "adamw", "learningRate": 0.001, "beta1": 0.9, "beta2": 0.98, "epsilon": 1e-8,
      "weightDecay": 0.1, "clipNorm": 1.0,
      "tables": ["learningRateMultiplier": 0.5, "weightDecay": 0.0, "moments": "rowwise"],
    ],
    "schedule": ["kind": "linear", "warmupSteps": 5, "finalFraction": 0.1],
    "training": [
      "steps": 20, "batchSequences": 8, "lanes": 4, "checkpointEverySteps": 5, "logEverySteps": 2,
      "precision": "bfloat16",
    ],
    "snapshots": ["count": 3, "spacing": "log", "first": 4, "initial": true], "seed": 1,
    "dataSeed": 2,
  ]

  static let other: ConfigValue = [
    "kind": "grammar", "model": ["architecture": "gpt2"],
    "optimizer": [
      "name": "adamw", "learningRate": 0.001, "beta1": 0.9, "beta2": 0.98, "epsilon": 1e-8,
      "weightDecay": 0.1, "clipNorm": 0.0,
    ],
    "schedule": ["kind": "constant", "warmupSteps": 0],
    "training": [
      "epochs": 3, "batchSequences": 8, "lanes": 8, "checkpointEverySteps": 5, "logEverySteps": 2,
      "precision": "float32",
    ],
    "snapshots": ["steps": [1, 7], "initial": false], "seed": 9_223_372_036_854_775_807,
    "dataSeed": 0,
  ]

  static let sample: ConfigValue = [
    "grammar": "a.grammar", "grammarDigest": "ab", "root": 22, "seed": 1, "stream": "train",
    "documents": 100, "documentsPerShard": 10, "compressionLevel": 3,
  ]

  static let vocabulary: ConfigValue = [
    "vocabulary": 4096, "pattern": "gpt2", "specialTokens": ["<|endoftext|>"],
    "minimumCount": 2, "part": "train", "heldoutShare": 0.02, "split": "split", "splitSeed": 7,
  ]

  static let symbols: ConfigValue = ["kind": "grammar", "order": 3, "documentsPerShard": 10]

  static let text: ConfigValue = [
    "kind": "text", "part": "validation", "heldoutShare": 0.02, "split": "split", "splitSeed": 0,
    "element": "u16", "shardBytes": 4096, "endOfText": "<|endoftext|>",
  ]

  static let rows: ConfigValue = [
    "kind": "grammar", "inputOrders": [1, 3], "outputOrder": 1, "documentsPerShard": 10,
  ]

  static let ids: ConfigValue = [
    "kind": "text", "content": "ngramIDs", "order": 3, "documentsPerShard": 10,
  ]

  static let tables: ConfigValue = [
    "kind": "text", "content": "overEncoding", "order": 3, "orders": [3], "slices": 2,
    "rows": 700, "moduli": "coprime", "documentsPerShard": 10,
  ]

  static let matches: ConfigValue = [
    "kind": "text", "content": "fGrams", "longest": 4, "size": 0, "documentsPerShard": 10,
  ]

  static let discover: ConfigValue = ["longest": 5, "minimumCount": 5]

  static let count: ConfigValue = [
    "order": 4, "context": 64, "steps": 10, "batchSequences": 8, "dataSeed": 1, "stride": 32,
    "positions": 0,
  ]

  static let accuracy: ConfigValue = [
    "kind": "grammar", "grammar": "a.grammar", "grammarDigest": "ab", "root": 22, "samples": 10,
    "finalSamples": 20, "heldoutSentences": 30, "prefixSentences": 5, "seed": 1, "batch": 64,
    "maxLength": 100, "drafts": 2,
  ]

  static let loss: ConfigValue = [
    "kind": "text", "stride": 32, "batchPositions": 512, "positions": 0, "finalPositions": 1000,
    "onlyLast": true,
  ]

  static let downstream: ConfigValue = [
    "tasks": [["name": "piqa", "metric": "lenNorm"], ["name": "copa", "metric": "acc"]],
    "questions": 500, "seed": 3, "onlyLast": true,
  ]

  static let figure: ConfigValue = [
    "kind": "grammar", "figure": "figure2", "preset": "smoke", "title": "A title",
    "drawing": "a.gnuplot", "drawingDigest": "ab",
    "panels": [["name": "left", "variants": ["a", "b"]]], "sizes": ["s"], "seeds": [1, 2],
    "claims": [
      [
        "panel": "left", "variant": "a", "baseline": "b", "size": "s", "statement": "better",
        "row": "a vs b",
      ]
    ],
  ]

  static let law: ConfigValue = [
    "kind": "text", "report": "scalingLaw", "figure": "f", "preset": "p", "title": "t",
    "size": "s", "baseline": "a", "seeds": [1], "stretch": 0.1,
    "variants": [
      [
        "name": "a", "description": "", "vocabulary": 10, "tokenRows": 10,
        "tables": [["order": 2, "slice": 0, "rows": 11, "width": 4]],
      ]
    ],
    "comparisons": [["variant": "a", "against": "a", "says": "worse"]],
    "paper": ["a": ["train_loss": 2.5]], "drawing": "a.gnuplot", "drawingDigest": "ab",
  ]

  static let all: [(Stage, ConfigValue)] = [
    (.sample, sample), (.vocabulary, vocabulary), (.tokenize, symbols), (.tokenize, text),
    (.discover, discover), (.map, rows), (.map, ids), (.map, tables), (.map, matches),
    (.count, count),
    (.import, ["kind": "text", "vocabulary": "tokenizer", "ignoredKeys": ["a"]]), (.train, train),
    (.train, other), (.materialize, ["precision": "bfloat16"]),
    (.evaluate, accuracy), (.evaluate, loss), (.downstream, downstream), (.report, figure),
    (.report, law),
  ]

  static func read(_ stage: Stage, _ value: ConfigValue) throws -> any StageParameters {
    let configuration = StageConfiguration(
      stage: stage.rawValue, version: stage.version, parameters: value, source: "x.json")
    switch stage {
    case .sample: return try SampleParameters(configuration)
    case .vocabulary: return try VocabularyParameters(configuration)
    case .tokenize: return try TokenizeParameters(configuration)
    case .discover: return try DiscoverParameters(configuration)
    case .map: return try MapParameters(configuration)
    case .count: return try CountParameters(configuration)
    case .import: return try ImportParameters(configuration)
    case .train: return try TrainParameters(configuration)
    case .materialize: return try MaterializeParameters(configuration)
    case .evaluate: return try EvaluateParameters(configuration)
    case .downstream: return try DownstreamParameters(configuration)
    case .report: return try ReportParameters(configuration)
    }
  }
}

@Suite struct ContractsTests {
  @Test func everyStageHasASample() {
    #expect(Set(Samples.all.map(\.0)) == Set(Stage.allCases))
    for stage in [Stage.tokenize, .map, .train, .evaluate, .report] {
      let kinds = Samples.all.filter { $0.0 == stage }.map { $0.1["kind"] }
      #expect(Set(kinds.map { $0?.canonicalJSON }) == ["\"grammar\"", "\"text\""])
    }
  }

  /// Value → parameters → value, and parameters → value → parameters.
  @Test(arguments: Samples.all)
  func whatIsWrittenIsRead(stage: Stage, value: ConfigValue) throws {
    let parameters = try Samples.read(stage, value)
    #expect(parameters.value == value)
    #expect(type(of: parameters).stage == stage)
    func again<P: StageParameters>(_ parameters: P) throws -> Bool {
      try Samples.read(stage, parameters.value) as? P == parameters
    }
    #expect(try again(parameters))
  }

  /// The kind is never left out, and no other word says it.
  @Test(arguments: Samples.all)
  func noKeyHasADefault(stage: Stage, value: ConfigValue) throws {
    guard case .object(let members) = value else { return }
    let optional = [
      "drafts", "endOfText", "maxLength", "orders",
    ]
    for key in members.keys where !optional.contains(key) {
      var fewer = members
      fewer[key] = nil
      #expect(throws: UserError.self, "\(stage) without \(key)") {
        _ = try Samples.read(stage, .object(fewer))
      }
    }
    var more = members
    more["unknown"] = 1
    let error = #expect(throws: UserError.self) { _ = try Samples.read(stage, .object(more)) }
    #expect(error?.description.contains("unknown") == true)
  }

  // MARK: - Ranges

  /// Every key of `parameters` that has a range, by path, with the values just outside.
  static func ranges(
    _ parameters: any Parameters, below path: String = ""
  ) -> [(path: String, outside: [ConfigValue])] {
    if let keyed = parameters as? any KeyedParameters {
      return keyed.keys.flatMap { name, key -> [(path: String, outside: [ConfigValue])] in
        let own = path + name
        let isList = key.written.map { if case .array = $0 { true } else { false } } ?? false
        return (key.outside.isEmpty ? [] : [(own, key.outside)])
          + key.nested.enumerated().flatMap {
            ranges($0.element, below: own + (isList ? "[\($0.offset)]." : "."))
          }
      }
    }
    return Mirror(reflecting: parameters).children.flatMap { child in
      (child.value as? any Parameters).map { ranges($0, below: path) } ?? []
    }
  }

  /// `value` with another value at a path such as "variants[0].tables[0].rows".
  static func changed(
    _ value: ConfigValue, at path: [String], to new: ConfigValue
  ) -> ConfigValue {
    guard let first = path.first else { return new }
    let rest = Array(path.dropFirst())
    switch value {
    case .object(var members):
      members[first] = changed(members[first] ?? .null, at: rest, to: new)
      return .object(members)
    case .array(var values):
      guard let index = Int(first) else { return value }
      values[index] = changed(values[index], at: rest, to: new)
      return .array(values)
    default: return new
    }
  }

  @Test(arguments: Samples.all)
  func aNumberOutOfRangeIsOneMessage(stage: Stage, value: ConfigValue) throws {
    let ranges = Self.ranges(try Samples.read(stage, value))
    #expect(ranges.isEmpty == [.import, .materialize].contains(stage))
    for (path, outside) in ranges {
      let keys = path.split { ".[]".contains($0) }.map(String.init)
      for bad in outside + [.string("nan"), .double(.nan), .double(.infinity)] {
        let changed = Self.changed(value, at: keys, to: bad)
        let error = #expect(throws: UserError.self, "\(stage) \(path) \(bad)") {
          _ = try Samples.read(stage, changed)
        }
        let text = try #require(error).description
        #expect(text.contains("x.json: parameters.\(path): expected"), "\(text)")
        #expect(!text.contains("\n"))
      }
    }
  }

  /// No extreme of a number traps, alone or through what is made of it.
  @Test(arguments: Samples.all)
  func extremesAreReadOrRefused(stage: Stage, value: ConfigValue) throws {
    for (path, _) in Self.ranges(try Samples.read(stage, value)) {
      let keys = path.split { ".[]".contains($0) }.map(String.init)
      let extremes: [ConfigValue] = [
        .integer(.max), .integer(.min), 0, -1, 1, .double(.greatestFiniteMagnitude),
        .double(-.greatestFiniteMagnitude), .double(.leastNonzeroMagnitude), [], [.integer(.max)],
        .null,
      ]
      for extreme in extremes {
        do {
          let parameters = try Samples.read(stage, Self.changed(value, at: keys, to: extreme))
          #expect(parameters.value["kind"] == value["kind"])
        } catch {
          #expect(error is UserError, "\(path) \(extreme): \(error)")
        }
      }
    }
  }

  // MARK: - Across keys

  @Test(
    arguments: [
      ("schedule.warmupSteps", 20, "below 20, the steps of the run"),
      ("snapshots.first", 21, "at most 20"),
      ("training.lanes", 3, "power of two of at most 8"),
      ("training.lanes", 16, "Set lanes to 8."),
      ("training.epochs", 2, "exactly one of steps and epochs, found both"),
      ("schedule.kind", "constant", "no such key with kind constant"),
      ("snapshots.spacing", "linear", "snapshots.first"),
      ("model.labels", 5, "comes from the map set"),
    ] as [(String, ConfigValue, String)])
  func contradictions(path: String, value: ConfigValue, message: String) throws {
    let keys = path.split(separator: ".").map(String.init)
    let error = #expect(throws: UserError.self) {
      _ = try Samples.read(.train, Self.changed(Samples.train, at: keys, to: value))
    }
    #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
  }

  @Test(
    arguments: [
      ("tasks", [], "tasks: expected one or more tasks, all different, found []"),
      ("tasks.1.name", "piqa", "all different, found [\"piqa\", \"piqa\"]"),
      ("tasks.1.name", "run", "tasks[1].name: expected letters, digits, - and _"),
      ("tasks.0.name", "a/b", "found 'a/b'"),
      ("tasks.0.metric", "f1", "tasks[0].metric: expected one of acc, lenNorm"),
    ] as [(String, ConfigValue, String)])
  func tasksHaveNamesOfTheirOwn(path: String, value: ConfigValue, message: String) throws {
    let keys = path.split(separator: ".").map(String.init)
    let error = #expect(throws: UserError.self) {
      _ = try Samples.read(.downstream, Self.changed(Samples.downstream, at: keys, to: value))
    }
    #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
  }

  @Test func tablesGoWithTheirContent() throws {
    let map: ConfigValue = [
      "kind": "text", "content": "ngramIDs", "order": 3, "documentsPerShard": 10, "rows": 5,
    ]
    let error = #expect(throws: UserError.self) { _ = try Samples.read(.map, map) }
    #expect(error?.description.contains("rows: expected no such key with content ngramIDs") == true)
  }

  /// N-grams may stand beside f-grams, by their order alone.
  @Test func fGramsMayHaveAnOrder() throws {
    guard case .object(var map) = Samples.matches else { return }
    map["order"] = 3
    _ = try Samples.read(.map, .object(map))
    for (key, value) in [("order", 1), ("order", 65), ("rows", 5)] as [(String, ConfigValue)] {
      var wrong = map
      wrong[key] = value
      let error = #expect(throws: UserError.self) { _ = try Samples.read(.map, .object(wrong)) }
      #expect(error?.description.contains(key) == true)
    }
  }
}
