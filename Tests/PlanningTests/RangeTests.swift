import Foundation
import Planning
import Support
import Testing

/// Every number of every setting: its range, and what happens far beyond it.
@Suite struct RangeTests {
  /// An experiment of one run whose variant says last what every setting is.
  struct Probe {
    let kind: String
    let project: TemporaryProject
    private let more: String

    /// - Parameter more: settings of the size, beside what makes one of them count.
    init(kind: String, more: String = "") throws {
      (self.kind, self.more) = (kind, more)
      project = try TemporaryProject()
      try writePreset(beside: "training.lanes")
    }

    /// - Parameter path: a setting that is to count.
    func writePreset(beside path: String) throws {
      try project.write(
        """
        \(kind == "text" ? "set" : "parts: [data/cfg3f-15, model/gpt2-4x16]\nset"):
          \(Self.settings[kind] ?? "{}")
        seeds: [1]
        sizes: [{name: s, set: {\(more)\(Self.companions(of: path))}}]
        jobs: 1

        """, to: kind == "text" ? "pipeline/text/presets/probe.yaml" : "pipeline/presets/probe.yaml"
      )
    }

    /// What makes a setting of f-grams or of further heads count; of the kinds of either a model has one
    /// at most.
    private static func companions(of path: String) -> String {
      if path.hasPrefix("discover.") || path.hasPrefix("model.fGrams.") || path == "map.size" {
        return "model: {fGrams: {longest: 3}, overEncoding: {order: 1}}, downstream: {tasks: []}"
      }
      if path == "tokenizer.growth" { return "tokenizer: {exponent: 1}" }
      let keys = path.split(separator: ".")
      guard path == "evaluation.drafts" || ["overDecoding", "mtp", "mtpDS"].contains(keys[1]) else {
        return ""
      }
      let kind = keys[1] == "drafts" ? "mtp" : keys[1]
      let heads = keys[keys.count - 1] == "heads" ? "" : "heads: 2, "
      return "model: {\(kind): {\(heads)weights: [0.5]}}"
    }

    /// Where every setting counts: snapshots by factors, tables in the model.
    static let settings = [
      "grammar": "{snapshots: {spacing: log}, training: {steps: 1000}}",
      "text": """
      {corpus: {file: pipeline/corpora/sample.yaml, heldoutShare: 0.1, otherShare: 1.0},
          tokenizer: {vocabulary: 512}, training: {steps: 200, batchSequences: 8},
          snapshots: {spacing: log, count: 3}, model: {overEncoding: {order: 2}},
          evaluation: {domains: [all]},
          downstream: {file: pipeline/tasks/sample.yaml, tasks: [piqa]}}
      """,
    ]

    /// Settings that count where the trunk has experts.
    static let ofExperts = [
      "model.experts", "model.topK", "model.expertWidth", "model.normalizeTopK",
      "model.balanceLoss", "model.zLoss",
    ]

    private static let figures = [
      "grammar": """
      kind: grammar
      title: A probe
      panels: [{name: left, variants: [v]}]
      drawing: pipeline/figure2.gnuplot
      """,
      "text": """
      kind: text
      title: A probe
      report: ablation
      baseline: v
      """,
    ]

    /// Plans with the setting at `path` put to a value as YAML spells it, where that setting, or another
    /// one, counts.
    func plan(_ path: String, _ value: String, beside other: String? = nil) throws -> Plan {
      try writePreset(beside: other ?? path)
      let keys = path.split(separator: ".")
      let layer =
        Self.ofExperts.contains(path)
        ? "{model: {architecture: olmoe, \(keys[1]): \(value)}}"
        : keys.map { "{\($0): " }.joined() + value + String(repeating: "}", count: keys.count)
      try project.write(
        "\(Self.figures[kind] ?? "")\nset: {}\nvariants: [{name: v, set: \(layer)}]\n",
        to: "pipeline/probe.yaml")
      let experiment = try Experiment(figure: "probe", preset: "probe", in: project.directory)
      let graph = try StageGraph(experiment, in: project.directory)
      return try Plan(
        graph, rates: Rates { _, _, _ in 1e10 }, cores: 2, in: project.directory)
    }

    /// The settings that are numbers or lists of them, from the defaults.
    var numbers: [String] {
      get throws {
        let folder = project.directory + "/pipeline" + (kind == "text" ? "/text" : "")
        let settings = try Settings(
          defaults: ConfigValue.load(path: folder + "/defaults.yaml"), origin: "defaults")
        return settings.entries.filter { _, entry in
          switch entry.value {
          case .integer, .double, .array: true
          default: false
          }
        }.keys.sorted()
      }
    }
  }

  static let common: [String: [String]] = [
    "optimizer.learningRate": ["-1.0e-9", "1.1e+30"],
    "optimizer.beta1": ["-0.1", "1.0"],
    "optimizer.beta2": ["-0.1", "1.0"],
    "optimizer.epsilon": ["0.0", "1.1"],
    "optimizer.weightDecay": ["-0.1", "1000001.0"],
    "optimizer.clipNorm": ["-0.1", "1.1e+30"],
    "schedule.warmupSteps": ["-1", "1000000001", "1000"],
    "schedule.finalFraction": ["-0.1", "1.1"],
    "training.steps": ["0", "1000000001", "100*"],
    "training.batchSequences": ["0", "1048577", "3*"],
    "training.lanes": ["0", "4097", "3", "4096"],
    "training.checkpointEverySteps": ["0", "1000000001"],
    "training.logEverySteps": ["0", "1000000001"],
    "snapshots.count": ["0", "100001"],
    "snapshots.first": ["0", "1000000001", "1001"],
    "model.layers": ["0", "1001"],
    "model.width": ["0", "1000001", "13*"],
    "model.heads": ["0", "100001", "3*"],
    "model.deviation": ["-0.1", "10.5"],
    "model.overDecoding.heads": ["0", "65", "3*"],
    "model.overDecoding.weights": ["[]", "[-1.0]", "[1001.0]", "[0.5, 0.5]"],
    "model.overDecoding.rank": ["-1", "1000001", "1000*"],
    "model.mtp.heads": ["0", "65", "3*"],
    "model.mtp.weights": ["[]", "[-1.0]", "[1001.0]", "[0.5, 0.5]"],
    "model.mtpDS.heads": ["0", "65", "3*"],
    "model.mtpDS.weights": ["[]", "[-1.0]", "[1001.0]", "[0.5, 0.5]"],
  ]

  /// Settings by kind, each with values that are out of its range or, with a star, do not go together
  /// with another setting, which may be the one that the message names.
  static let bad: [String: [String: [String]]] = [
    "grammar": common.merging([
      "data.root": ["0", "100000", "3"],
      "data.trainDocuments": ["0", "1099511627777", "63"],
      "data.heldoutDocuments": ["0", "1099511627777", "999"],
      "data.documentsPerShard": ["0", "1073741825"],
      "data.compressionLevel": ["0", "23"],
      "tokenizer.order": ["0", "65", "64"],
      "map.inputOrders": ["[0]", "[65]", "[]", "[1, 1]", "[64]", "[1.5]"],
      "map.outputOrder": ["0", "65", "64"],
      "model.context": ["-1", "10000001", "5"],
      "evaluation.samples": ["0", "1073741825"],
      "evaluation.finalSamples": ["0", "1073741825"],
      "evaluation.heldoutSentences": ["0", "1073741825", "99*"],
      "evaluation.prefixSentences": ["-1", "1073741825", "1001"],
      "evaluation.batch": ["0", "65537"],
      "evaluation.drafts": ["-1", "64", "2"],
    ]) { $1 },
    "text": common.merging([
      "corpus.heldoutShare": ["-0.1", "1.1", "0.0", "1.0", "1.0e-9"],
      "corpus.otherShare": ["-0.1", "1.1", "0.0", "1.0e-9"],
      "corpus.splitSeed": ["-1"],
      "corpus.shardBytes": ["0", "1099511627777"],
      "tokenizer.vocabulary": ["1", "16777217", "256"],
      "tokenizer.minimumCount": ["0"],
      "tokenizer.growth": ["1", "1025"],
      "tokenizer.exponent": ["-1", "17", "9"],
      "map.order": ["1", "65", "64"],
      "map.documentsPerShard": ["0", "1073741825"],
      "model.context": ["0", "10000001", "127*"],
      "model.hiddenWidth": ["-1", "10000001"],
      "model.ropeTheta": ["0.0*", "-1.0*"],
      "model.normEpsilon": ["0.0*", "-1.0*"],
      "model.experts": ["0", "65537", "7*"],
      "model.topK": ["0", "65537", "65*"],
      "model.expertWidth": ["-1", "10000001"],
      "model.balanceLoss": ["-0.1", "1001.0"],
      "model.zLoss": ["-0.1", "1001.0"],
      "discover.longest": ["1", "9"],
      "discover.minimumCount": ["0", "-1"],
      "discover.share": ["0.0", "1.5"],
      "map.size": ["-1", "1099511627777"],
      "model.fGrams.longest": ["0", "9"],
      "model.fGrams.layers": ["-1", "1001"],
      "model.fGrams.heads": ["-1", "3", "100001"],
      "model.overEncoding.order": ["0", "65", "64*"],
      "model.overEncoding.slices": ["0", "1025", "3*"],
      "model.overEncoding.orders": ["[1]*", "[3]*", "[2, 2]*"],
      "model.overEncoding.columns": ["0.0", "-0.5", "1.1", "0.01"],
      "model.overEncoding.deviation": ["-0.1", "1001.0"],
      "optimizer.tables.learningRateMultiplier": ["-0.1", "1.1e+9"],
      "optimizer.tables.weightDecay": ["-0.1", "1000001.0"],
      "training.steps": ["0", "1000000001", "100*", "20000"],
      "schedule.warmupSteps": ["-1", "1000000001", "200"],
      "snapshots.first": ["0", "1000000001", "201"],
      "evaluation.stride": ["0", "10000001", "129"],
      "evaluation.batchPositions": ["0", "16777217"],
      "evaluation.positions": ["-1", "1125899906842625"],
      "evaluation.finalPositions": ["-1", "1125899906842625"],
      "evaluation.domains": ["[1]", "[none]", "[all, documentation]"],
      "evaluation.domainBytes": ["-1", "1125899906842625", "1"],
      "counting.order": ["0", "9"],
      "downstream.tasks": ["[1]", "[none]", "[copa, copa]"],
      "downstream.questions": ["-1", "1099511627777"],
      "downstream.seed": ["-1"],
      "corpus.groupWords": ["-1", "1001"],
      "corpus.blockBytes": ["-1", "63"],
      "report.stretch": ["0.0", "1.1", "-0.1"],
    ]) { $1 },
  ]

  @Test(arguments: ["grammar", "text"])
  func everyNumberHasARange(kind: String) throws {
    let probe = try Probe(kind: kind)
    let table = try #require(Self.bad[kind])
    #expect(try Set(probe.numbers) == Set(table.keys))
    _ = try probe.plan("training.lanes", "4")
    for (path, values) in table.sorted(by: { $0.key < $1.key }) {
      // YAML has no numbers that are none: they are texts, and refused as such.
      for value in values + [".nan", ".inf", "nan", "1.0e+999"] {
        let error = #expect(throws: UserError.self, "\(path): \(value)") {
          _ = try probe.plan(path, value.replacingOccurrences(of: "*", with: ""))
        }
        let text = error?.description ?? ""
        let place =
          value.hasSuffix("*")
          ? "pipeline/"
          : "pipeline/probe.yaml" + (value == "1.0e+999" ? ":" : " (v): \(path): ")
        #expect(text.hasPrefix(place) && !text.contains("\n"), "\(path) = \(value): \(text)")
      }
    }
  }

  /// The values that trapped before, and every setting at the ends of what a number can be.
  @Test(arguments: ["grammar", "text"])
  func extremesArePlannedOrRefused(kind: String) throws {
    let probe = try Probe(kind: kind)
    let integers = [String(Int.max), String(Int.min), "0", "-1", "1", "2147483648", "4294967296"]
    let doubles = ["1.7976931348623157e+308", "-1.0e+308", "5.0e-324", "0.0", "-0.0", "1.0", "0.5"]
    for path in try probe.numbers + (kind == "text" ? ["model.overEncoding.rows"] : []) {
      let lists = ["[]", "[\(Int.max)]", "[\(Int.min), 0]", "[1, 2, 64]"]
      let texts = ["\"\(Int.max)\"", "\"\(Int.max)V\"", "nanV", "infV", "-1V", "1.0e300V", "V"]
      for value in integers + doubles + lists + texts {
        do {
          let plan = try probe.plan(path, value)
          #expect(plan.costs.allSatisfy { $0.seconds.isFinite && $0.memoryBytes.isFinite })
          #expect(try !plan.text().isEmpty)
        } catch {
          let text = (error as? UserError)?.description ?? ""
          #expect(text.contains("pipeline/") && !text.contains("\n"), "\(path) \(value): \(error)")
        }
      }
    }
  }

  /// A setting that no stage reads would be a setting that is not used: each has a value that makes
  /// other outputs.
  @Test(arguments: ["grammar", "text"])
  func everySettingCounts(kind: String) throws {
    let probe = try Probe(kind: kind)
    let words = [
      "olmo2", "gpt2", "linear", "constant", "log", "bfloat16", "rowwise", "coprime", "paper",
      "sum", "cl100k", "32V", "<|other|>", "pipeline/corpora/default.yaml",
      "data/grammars/cfg3b.grammar", "true", "false", "[1, 2]", "[2]", "own", "shared",
      "embeddingFirst", "hiddenFirst", "beforeNorm", "afterNorm",
      "norm", "scaledNorm", "torch-cpu", "document", "pipeline/tasks/default.yaml", "[copa]", "[]",
    ]
    let settings = try probe.plan("training.lanes", "4").graph.experiment.runs[0]
    for (path, entry) in settings.settings.entries.sorted(by: { $0.key < $1.key }) {
      // There is but one optimizer.
      if path == "optimizer.name" { continue }
      let values =
        switch entry.value {
        case .integer(let value):
          [value + 1, value - 1, value * 2, value / 2, 500].map(String.init)
        case .double(let value): [value / 2, value * 0.9, 0.5, 1].map { "\($0)" }
        default: words
        }
      let base =
        Probe.ofExperts.contains(path)
        ? try probe.plan(path, entry.value.canonicalJSON)
        : try probe.plan("training.lanes", "4", beside: path)
      let known = base.graph.nodes[base.graph.report].id
      let counts = values.contains { value in
        guard let plan = try? probe.plan(path, value) else { return false }
        return plan.graph.nodes[plan.graph.report].id != known
      }
      #expect(counts, "\(path) changes nothing")
    }
  }

  @Test func ordersThatMultiplyBeyondIds() throws {
    let probe = try Probe(kind: "grammar", more: "tokenizer: {order: 3}")
    let error = #expect(throws: UserError.self) { _ = try probe.plan("map.inputOrders", "[12]") }
    #expect(
      error?.description.contains(
        "map.inputOrders: exact 12-gram input table over 41 tokens: overflows its id")
        == true, "\(error?.description ?? "")")
  }

  // MARK: - What the report would find when everything is trained

  @Test(arguments: [
    (
      "pipeline/scaling-law.yaml", "rows: 4V}", "rows: 4V}}, training: {steps: 20}, map: {order: 2",
      "figure9", "training.steps: expected 40, as in variant 'baseline'"
    ),
    (
      "pipeline/text/presets/smoke.yaml", "logEverySteps: 2", "logEverySteps: 5", "figure9",
      "training.logEverySteps: expected at most 4"
    ),
    (
      "pipeline/scaling-law.yaml", "rows: 0.25V", "rows: 1V", "scaling-law",
      "expected at least four sizes of the input vocabulary, all different"
    ),
    (
      "pipeline/figure2.yaml", "map: {outputOrder: 3}",
      "map: {outputOrder: 3}, snapshots: {count: 2}", "figure2",
      "snapshots.count: expected 3, as in variant '1-gram'"
    ),
  ])
  func runsThatCannotBeCompared(
    file: String, old: String, new: String, figure: String, message: String
  ) throws {
    let project = try TemporaryProject()
    func plan() throws {
      _ = try StageGraph(
        Experiment(figure: figure, preset: "smoke", in: project.directory), in: project.directory)
    }
    try plan()
    try project.replace(old, by: new, in: file)
    let error = #expect(throws: UserError.self) { try plan() }
    #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
  }
}
