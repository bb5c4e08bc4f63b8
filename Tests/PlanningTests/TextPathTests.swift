import Contracts
import Foundation
import Models
import NGrams
import Planning
import Support
import Testing

/// Experiments over text, planned without a corpus: the temporary project has none.
@Suite struct TextPathTests {
  static let figures = ["scaling-law", "figure9", "table2", "table3", "table4"]
  static let presets = ["smoke", "laptop", "workstation", "paper"]
  let project: TemporaryProject
  let rates = Rates { rows, width, _ in Double(rows * width) * 1e6 }

  init() throws { project = try TemporaryProject() }

  func graph(_ figure: String = "scaling-law", _ preset: String = "laptop") throws -> StageGraph {
    try project.graph(figure, preset: preset)
  }

  func ids(_ graph: StageGraph) -> [Stage: Set<String>] {
    Dictionary(grouping: graph.nodes, by: \.stage).mapValues { Set($0.map(\.id)) }
  }

  func training(_ graph: StageGraph, _ variant: String) throws -> ConfigValue {
    let run = try #require(graph.experiment.runs.firstIndex { $0.variant == variant })
    return graph.nodes[graph.chains[run].train].configuration.parameters
  }

  @Test(arguments: figures, presets)
  func everythingIsPlannedBeforeThereIsACorpus(figure: String, preset: String) throws {
    let graph = try graph(figure, preset)
    let experiment = graph.experiment
    #expect(experiment.runs.count == experiment.variants.count * experiment.seeds.count)
    for (position, node) in graph.nodes.enumerated() {
      #expect(node.inputs.allSatisfy { $0 < position })
      #expect(node.configuration.id == node.id)
    }
    let plan = try Plan(graph, rates: rates, cores: 2, in: project.directory)
    #expect(plan.costs.allSatisfy { $0.seconds > 0 && $0.memoryBytes > 0 && $0.diskBytes > 0 })
    // At most one pass over the corpus.
    let model = CostModel(graph, rates: rates, threads: 1)
    for run in experiment.runs.indices { #expect(try model.size(of: run).epochs <= 1.05) }
    #expect(try plan.text().contains("windows"))
  }

  @Test func theChainOfStages() throws {
    let graph = try graph()
    let seeds = graph.experiment.seeds.count
    // One tokenizer; training part, held-out part and other domain; a run for each size and seed.
    #expect(
      ids(graph).mapValues(\.count)
        == [
          .vocabulary: 1, .tokenize: 3, .map: 3, .count: seeds, .train: 7 * seeds,
          .evaluate: 7 * seeds, .report: 1,
        ])
    let chain = graph.chains[0]
    let train = graph.nodes[chain.train].configuration
    #expect(train.inputs["data"]?.id == graph.nodes[chain.map].id)
    let tokens = try #require(graph.nodes[chain.map].configuration.inputs["tokens"])
    let tokenize = try #require(graph.nodes.first { $0.id == tokens.id }).configuration
    #expect(tokenize.parameters["part"] == "train")
    #expect(tokenize.inputs["corpus"]?.path == "data/corpus/default/train")
    let evaluate = graph.nodes[chain.evaluate].configuration
    #expect(evaluate.parameters["kind"] == "text")
    #expect(Set(evaluate.inputs.keys) == ["run", "heldout", "other"])
    #expect(Set(evaluate.inputs.values.map(\.id)).count == 3)
    // What reads text waits for it; nothing else does.
    for node in graph.nodes {
      let readsText = node.configuration.inputs["corpus"] != nil
      #expect(node.sources == (readsText ? ["data/corpus/default/digest"] : []))
    }
  }

  @Test func figuresShareRuns() throws {
    let law = try #require(ids(graph("scaling-law"))[.train])
    #expect(try ids(graph("figure9"))[.train] == law)
    for (figure, shared) in [("table2", 3), ("table3", 2), ("table4", 2)] {
      let seeds = try graph(figure).experiment.seeds.count
      let own = try #require(ids(graph(figure))[.train])
      #expect(own.intersection(law).count == shared * seeds, "\(figure)")
    }
    let k4 = try #require(ids(graph("table2"))[.train]).intersection(
      try #require(ids(graph("table3"))[.train]))
    #expect(try k4.count == 3 * graph("table3").experiment.seeds.count)
  }

  @Test func aParameterChangesOnlyWhatDependsOnIt() throws {
    let before = ids(try graph())
    try project.replace(
      "overEncoding: {deviation: 0.125}", by: "overEncoding: {deviation: 0.25}",
      in: "pipeline/text/presets/laptop.yaml")
    let rate = ids(try graph())
    for stage in [Stage.vocabulary, .tokenize, .map] { #expect(before[stage] == rate[stage]) }
    let runs = try graph().experiment.seeds.count
    // The baseline has no tables.
    #expect(before[.train]?.intersection(rate[.train] ?? []).count == runs)
    #expect(before[.report] != rate[.report])

    try project.replace(
      "digest: 7a79354a", by: "digest: 8a79354a", in: "pipeline/corpora/default.yaml")
    let corpus = ids(try graph())
    for stage in [Stage.vocabulary, .tokenize, .map, .train, .evaluate] {
      #expect(rate[stage]?.isDisjoint(with: corpus[stage] ?? []) == true)
    }
  }

  @Test func tablesOfVariants() throws {
    let table2 = try graph("table2")
    let baseline = try training(table2, "C-1")
    #expect(baseline["model"]?["overEncoding"] == nil)
    #expect(baseline["optimizer"]?["tables"] == nil)
    #expect(baseline["training"]?["precision"] == "float32")
    let plain = try #require(try training(table2, "C-2")["model"]?["overEncoding"])
    #expect(plain["rows"] == .integer(64 * 4096))
    #expect([plain["order"], plain["slices"]] == [2, 1])
    #expect(plain["moduli"] == "coprime")
    #expect([plain["orders"], plain["token"], plain["columns"]] == [[], true, 1.0])
    #expect(try training(table2, "C-2")["optimizer"]?["tables"] != nil)
    let narrow = try training(table2, "C-3")["model"]
    #expect(narrow?["overEncoding"]?["columns"] == 0.5)
    let table3 = try graph("table3")
    #expect(try training(table3, "2-gram")["model"]?["overEncoding"]?["token"] == false)
    #expect(try training(table3, "1+3-gram k=4")["model"]?["overEncoding"]?["orders"] == [3])
    let multiple = try training(try graph("table4"), "multiple")
    #expect(multiple["model"]?["overEncoding"]?["moduli"] == "paper")
  }

  @Test func theReportKnowsRowsAndThePaper() throws {
    let graph = try graph("table4")
    let report = graph.nodes[graph.report].configuration
    #expect(report.parameters["kind"] == "text" && report.parameters["report"] == "ablation")
    guard case .array(let variants)? = report.parameters["variants"] else {
      Issue.record("no variants")
      return
    }
    let rows = variants.map { variant -> ConfigValue? in
      guard case .array(let tables)? = variant["tables"] else { return nil }
      return tables.first?["rows"]
    }
    // Exactly 64 V, and the nearest modulus of the rule.
    #expect(rows == [nil, 262_144, 262_401])
    #expect(report.parameters["paper"]?["multiple"]?["train_loss"] == 2.702)
    #expect(
      report.inputs.count == 2 * graph.experiment.runs.count + graph.experiment.seeds.count)
    let law = try self.graph().nodes.last?.configuration.parameters
    #expect(law?["paper"]?["L = a - b*log10(V+m)"] == ["a": 2.6754, "b": 0.0256])
  }

  /// Beyond the baseline's time and their projections, 1,000 steps of 1,947 positions took 2 s with
  /// 64 V rows and 7.6 s with 256 V.
  @Test func tablesTakeWhatWasMeasured() throws {
    func seconds(rows: Int, steps: Int = 1000, slices: Int = 1) throws -> Double {
      let layout = try OverEncodingLayout(
        vocabulary: 4096, order: 2, slices: slices, rows: rows, width: 64, moduli: .coprime)
      return Double(steps)
        * rates.tableSeconds(OverEncoding(layout: layout), rows: 1947, steps: steps)
    }
    #expect(abs(try seconds(rows: 64 * 4096) - 2) < 0.3)
    #expect(abs(try seconds(rows: 256 * 4096) - 7.6) < 0.3)
    #expect(try seconds(rows: 4096) < 0.05)
    // Slices share the columns. Rows that never return cost no more than those that return late, and
    // in a short run little was skipped.
    #expect(abs(try seconds(rows: 64 * 4096, slices: 4) - seconds(rows: 64 * 4096)) < 0.01)
    #expect(try seconds(rows: 4096 * 4096) < 1.05 * seconds(rows: 256 * 4096))
    #expect(try seconds(rows: 256 * 4096, steps: 54) < 0.1 * 0.054 * 7.7)
    try writeMeasuredCorpus()
    let graph = try graph()
    let costs = try CostModel(graph, rates: rates, threads: 1).costs()
    func training(_ variant: String) throws -> Double {
      let run = try #require(graph.experiment.runs.firstIndex { $0.variant == variant })
      return costs[graph.chains[run].train].seconds
    }
    let added = try seconds(rows: 256 * 4096) - seconds(rows: 4096)
    #expect(abs(try training("m=256V") - training("m=1V") - added) < 0.2)
  }

  /// The sizes of corpus and held-out part that the two measurements were made with.
  private func writeMeasuredCorpus() throws {
    let path = "pipeline/corpora/default.yaml"
    try project.replace("bytes: 144140522", by: "bytes: 45560552", in: path)
    try project.replace("documents: 414942", by: "documents: 89722", in: path)
    try project.replace(
      "heldoutShare: 0.005", by: "heldoutShare: 0.02", in: "pipeline/text/presets/laptop.yaml")
  }

  /// One of the 21 evaluations of `make scaling-law` took 5.0 CPU seconds, load and all.
  @Test func scoringTakesWhatWasMeasured() throws {
    try writeMeasuredCorpus()
    let graph = try graph()
    let costs = try CostModel(graph, rates: Rates { _, _, _ in 110.2e9 }, threads: 1).costs()
    let run = try #require(graph.experiment.runs.firstIndex { $0.variant == "baseline" })
    let planned = costs[graph.chains[run].evaluate].seconds
    #expect(abs(planned / 5 - 1) < 0.15, "\(planned)")
  }

  @Test func anotherTrunkHasOtherKeys() throws {
    try project.write(
      "set: {model: {architecture: gpt2, layers: 2, width: 32, heads: 2, context: 64}}\n",
      to: "pipeline/model/other.yaml")
    try project.write(
      "parts: [model/other]\nset: {evaluation: {stride: 64}}\nseeds: [1]\nsizes: [{name: s}]\njobs: 1\n",
      to: "pipeline/text/presets/other.yaml")
    let model = try training(graph("scaling-law", "other"), "baseline")["model"]
    #expect(
      model == [
        "architecture": "gpt2", "layers": 2, "width": 32, "heads": 2, "context": 64, "tied": false,
        "deviation": 0.0,
      ])
  }

  @Test func unknownTrunksAreRefused() throws {
    try project.write(
      "set: {model: {architecture: gpt3}}\nseeds: [1]\nsizes: [{name: s}]\njobs: 1\n",
      to: "pipeline/text/presets/other.yaml")
    let error = #expect(throws: UserError.self) { try graph("scaling-law", "other") }
    #expect(
      error?.description.contains(
        "pipeline/text/presets/other.yaml: model.architecture: expected one of gpt2, olmo2, olmoe, found"
          + " \"gpt3\"") == true, "\(error?.description ?? "no error")")
  }

  @Test(arguments: [
    ("rows: 0.25V", "rows: 0.25W", "model.overEncoding.rows: expected a number of rows"),
    ("rows: 0.25V", "rows: 0V", "model.overEncoding.rows: expected a number of rows"),
    (
      "rows: 0.25V", "rows: 0.25V, columns: 0.01",
      "model.overEncoding.columns: expected a share that gives whole"
    ),
    ("rows: 0.25V", "row: 0.25V", "Did you mean 'model.overEncoding.rows'?"),
    ("baseline: baseline", "baseline: base", "Did you mean 'baseline'?"),
    ("report: scalingLaw", "report: scaling", "scalingLaw, lossCurves, ablation"),
    ("item: figure5", "item: figure6", "expected at least one row, found none"),
    ("kind: text", "kind: texts", "one of grammar, text"),
    ("kind: text\n", "", "kind: expected one of grammar, text, found no such key"),
    ("drawing: pipeline/scaling-law.gnuplot", "", "drawing: expected a gnuplot script"),
    (
      "kind: text\n", "kind: text\nspacings: [{from: baseline, middle: baseline, to: baseline}]\n",
      "spacings: expected none: only a table judges them"
    ),
    (
      "kind: text\n",
      "kind: text\ncomparisons: [{variant: baseline, against: baseline, says: better}]\n",
      "comparisons: expected none: scalingLaw judges none, found 1. Of the reports ablation, "
        + "vocabularies, metrics do."
    ),
  ])
  func badFigures(old: String, new: String, message: String) throws {
    try project.replace(old, by: new, in: "pipeline/scaling-law.yaml")
    let error = #expect(throws: UserError.self) { try graph() }
    #expect(error?.description.contains(message) == true, "\(error?.description ?? "no error")")
  }

  /// What messages of training advise can be written in a preset as it stands there.
  @Test(arguments: [
    "model.overEncoding.rows", "optimizer.tables.moments", "optimizer.learningRate",
    "training.precision", "training.batchSequences", "schedule.warmupSteps", "model.context",
  ])
  func adviceIsASetting(path: String) throws {
    #expect(try graph().experiment.runs[0].settings.value(path) != nil)
  }

  /// A variant is of the preset's first size, or of the one that it names.
  @Test func aVariantNamesItsSize() throws {
    try project.write(
      "set: {}\nseeds: [1]\nsizes: [{name: a}, {name: b, set: {model: {width: 32}}}]\njobs: 1\n",
      to: "pipeline/text/presets/two.yaml")
    #expect(try graph("table4", "two").experiment.runs.map(\.size) == ["a", "a", "a"])
    func figure(_ size: String, _ more: String = "") throws -> StageGraph {
      try project.write(
        """
        kind: text
        title: Sizes
        report: ablation
        set: {}
        baseline: first
        variants: [{name: first}, {name: second, size: \(size)}]
        comparisons: [{variant: second, against: first, says: worse}]
        \(more)
        """, to: "pipeline/sizes.yaml")
      return try self.graph("sizes", "two")
    }
    let graph = try figure("b")
    #expect(graph.experiment.runs.map(\.name) == ["first/a/1", "second/b/1"])
    #expect(try training(graph, "second")["model"]?["width"] == 32)
    let report = graph.nodes[graph.report].configuration
    guard case .text(let parameters) = try ReportParameters(report) else {
      Issue.record("no report over text")
      return
    }
    #expect(parameters.size == "a" && parameters.variants.map(\.size) == [nil, "b"])
    #expect(
      Set(["first", "second"].map { "train/" + parameters.run(of: $0, seed: 1) })
        .isSubset(of: Set(report.inputs.keys)))
    let error = #expect(throws: UserError.self) { try figure("c") }
    #expect(error?.description.contains("size: expected a size of") == true)
    for (spacing, message) in [
      (
        "{from: first, middle: second, to: first}", "spacings: expected three variants, each with a"
      ),
      (
        "{from: first, middle: third, to: first}", "spacings: expected variants among first, second"
      ),
    ] {
      let error = #expect(throws: UserError.self) { try figure("b", "spacings: [\(spacing)]") }
      #expect(error?.description.contains(message) == true, "\(error?.description ?? "none")")
    }
  }

  @Test func textOfTheProjectIsLookedAt() throws {
    let path = "pipeline/corpora/sample.yaml"
    let facts = try CorpusFacts(path: path, in: project.directory)
    #expect(facts.made == nil)
    #expect(facts.train.documents > 100 && facts.other.documents > 10)
    #expect(facts.train.bytes > facts.train.documents)
    let before = ids(try graph("table4", "smoke"))
    let other = (0..<200).map { "{\"text\": \"other \($0)\"}\n" }.joined()
    try project.write(other, to: "data/texts/treasury.jsonl")
    #expect(try ids(graph("table4", "smoke"))[.vocabulary] != before[.vocabulary])
  }

  @Test func domainsArePinned() throws {
    let facts = try CorpusFacts(path: "pipeline/corpora/default.yaml", in: project.directory)
    #expect(
      facts.domains.count >= 8 && facts.domains.map(\.name) == facts.domains.map(\.name).sorted())
    let essays = try #require(facts.domains.first { $0.name == "essays" }).part
    #expect(essays.path == "data/corpus/default/domains/essays.jsonl" && essays.id.count == 12)
    #expect(facts.domains.allSatisfy { (300_000...2_000_000).contains($0.part.bytes) })
    #expect(Set(facts.domains.map(\.part.id)).count == facts.domains.count)
    let none = try CorpusFacts(path: "pipeline/corpora/paper.yaml", in: project.directory)
    #expect(none.domains.isEmpty)
  }

  @Test(arguments: [
    ("  essays:", "  Essays:", "domains.Essays: expected a name"),
    ("  essays:", "  other:", "domains.other: expected a name"),
    ("essays.jsonl\n    digest: 9", "essays.jsonl\n    digest: g", "domains.essays.digest"),
    ("essays.jsonl\n", "essays.jsonl\n    share: 1\n", "share"),
  ])
  func badDomains(old: String, new: String, words: String) throws {
    try project.replace(old, by: new, in: "pipeline/corpora/default.yaml")
    let error = #expect(throws: UserError.self) {
      try CorpusFacts(path: "pipeline/corpora/default.yaml", in: project.directory)
    }
    #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
  }

  @Test(arguments: [("digest: 7a79354a", "digest: 7A79354A"), ("bytes: 144140522", "bytes: 0")])
  func badCorpora(old: String, new: String) throws {
    try project.replace(old, by: new, in: "pipeline/corpora/default.yaml")
    let error = #expect(throws: UserError.self) { try graph() }
    #expect(error?.description.contains("pipeline/corpora/default.yaml: train.") == true)
  }

  @Test func rulesOfSeveralFiguresCanBeReadTogether() throws {
    for figure in ["scaling-law", "table2"] {
      let graph = try graph(figure)
      let text = MakeRules(graph).text(order: Array(graph.nodes.indices))
      let lines = text.split(separator: "\n")
      for node in graph.nodes {
        #expect(lines.count { $0 == "ifndef planned/\(node.index)" } == 1)
      }
      #expect(text.contains(figure == "table2" ? "csv json md)" : "csv json svg)"))
    }
  }
}
