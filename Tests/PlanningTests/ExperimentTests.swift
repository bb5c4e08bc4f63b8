import Contracts
import Planning
import Support
import Testing

@Suite struct ExperimentTests {
  /// Sizes are drawn over the same sentences: a small model that sees more of them is another experiment.
  @Test(arguments: ["smoke", "laptop", "evening", "workstation", "paper"])
  func sizesOfAPresetSeeTheSameSentences(preset: String) throws {
    let project = try TemporaryProject()
    let experiment = try Experiment(figure: "figure2", preset: preset, in: project.directory)
    #expect(experiment.sizes == ["large", "small"])
    let sentences = Set(
      try experiment.runs.map { run in
        try ["training.steps", "training.batchSequences"].map {
          try #require(run.settings.value($0)).canonicalJSON
        }
      })
    #expect(sentences.count == 1)
    let snapshots = Set(experiment.runs.map { $0.settings.value("snapshots.count")?.canonicalJSON })
    #expect(snapshots.count == 1)
  }

  @Test(arguments: ["smoke", "laptop", "workstation", "paper"])
  func everyPresetExpands(preset: String) throws {
    let project = try TemporaryProject()
    let experiment = try Experiment(figure: "figure2", preset: preset, in: project.directory)
    #expect(experiment.sizes == ["large", "small"])
    #expect(
      experiment.variants == ["1-gram", "3-gram tokenizer", "3-gram input", "3-gram output"])
    #expect(experiment.runs.count == 8 * experiment.seeds.count)
    #expect(Set(experiment.runs.map(\.name)).count == experiment.runs.count)
    let claims = try #require(experiment.subject as? GrammarFigure).claims
    #expect(claims.count == 6)
    let claim = try #require(claims.first)
    #expect(claim.row == "3-gram tokenizer 85M vs 1-gram 85M")
    #expect(
      [claim.panel, claim.variant, claim.baseline] == ["left", "3-gram tokenizer", "1-gram"])
    #expect(claim.size == "large" && claim.statement == .better)
    // The comparison is fair only if all variants of a size take the same sentences a step.
    for size in experiment.sizes {
      let runs = experiment.runs.filter { $0.size == size }
      let keys = ["training.steps", "training.batchSequences", "data.trainDocuments"]
      for key in keys + ["optimizer.learningRate", "model.width", "model.layers"] {
        #expect(Set(runs.map { $0.settings.value(key)?.canonicalJSON }).count == 1)
      }
    }
  }

  @Test func everyResultScaleHasAtLeastThreeSeeds() throws {
    let project = try TemporaryProject()
    for preset in ["laptop", "workstation", "paper"] {
      let experiment = try Experiment(figure: "figure2", preset: preset, in: project.directory)
      #expect(experiment.seeds.count >= 3)
    }
  }

  @Test func originsOfSettings() throws {
    let project = try TemporaryProject()
    try project.write(tinyPreset, to: "pipeline/presets/tiny.yaml")
    let experiment = try Experiment(figure: "figure2", preset: "tiny", in: project.directory)
    let settings = try experiment.run("3-gram input/small/2").settings
    let origins = settings.entries.mapValues(\.origin)
    #expect(origins["map.inputOrders"] == "pipeline/figure2.yaml (3-gram input)")
    #expect(origins["training.steps"] == "pipeline/presets/tiny.yaml (small)")
    #expect(origins["optimizer.learningRate"] == "pipeline/presets/tiny.yaml")
    #expect(origins["model.width"] == "pipeline/model/gpt2-4x16.yaml")
    #expect(origins["training.batchSequences"] == "pipeline/defaults.yaml")
  }

  /// What a file of claims says is the paper's, but where the figure says whose.
  @Test func claimsMayBeOurs() throws {
    let project = try TemporaryProject()
    func sources() throws -> [StatementSource?] {
      let experiment = try Experiment(figure: "figure2", preset: "smoke", in: project.directory)
      return try #require(experiment.subject as? GrammarFigure).claims.map(\.by)
    }
    #expect(try sources().allSatisfy { $0 == nil })
    let figure = "pipeline/figure2.yaml"
    try project.replace("claims:", by: "by: ours\nclaims:", in: figure)
    #expect(try !sources().isEmpty && sources().allSatisfy { $0 == .ours })
    try project.replace("by: ours", by: "by: mine", in: figure)
    let error = #expect(throws: UserError.self) { _ = try sources() }
    #expect(error?.description.hasPrefix("\(figure): by: expected one of ours") == true)
  }

  /// A size has settings for trunks of an architecture, over which the figure's stand.
  @Test func settingsOfAnArchitecture() throws {
    let project = try TemporaryProject()
    let preset = "pipeline/text/presets/smoke.yaml"
    let size = try #require(
      Experiment(figure: "table1", preset: "smoke", in: project.directory).runs.first?.size)
    try project.replace(
      "  - name: \(size)\n",
      by:
        "  - name: \(size)\n    architectures: {olmoe: {optimizer: {learningRate: 0.75}, model: {topK: 3}}}\n",
      in: preset)
    func entries(_ figure: String) throws -> [String: Settings.Entry] {
      let runs = try Experiment(figure: figure, preset: "smoke", in: project.directory).runs
      return try #require(runs.first { $0.size == size }).settings.entries
    }
    let mixture = try entries("table1")
    #expect(mixture["optimizer.learningRate"]?.value == 0.75)
    #expect(
      mixture["optimizer.learningRate"]?.origin == "\(preset) (\(size)): architectures: olmoe")
    #expect(
      mixture["model.topK"]?.value == 4 && mixture["model.topK"]?.origin == "pipeline/table1.yaml")
    #expect(try entries("figure1")["optimizer.learningRate"]?.value != 0.75)
    // A figure's factor is of that, once.
    try project.replace(
      "set:\n", by: "set:\n  optimizer: {learningRate: 0.5x}\n", in: "pipeline/table1.yaml")
    #expect(try entries("table1")["optimizer.learningRate"]?.value == 0.375)

    try project.replace("architectures: {olmoe:", by: "architectures: {olmo:", in: preset)
    let error = #expect(throws: UserError.self) { _ = try entries("table1") }
    #expect(
      error?.description.contains(
        "architectures.olmo: unknown key: expected one of gpt2, olmo2, olmoe")
        == true, "\(error?.description ?? "")")

    try project.replace(
      "architectures: {olmo:", by: "architectures: {olmoe: {model: {architecture: gpt2}}, gpt2:",
      in: preset)
    let circle = #expect(throws: UserError.self) { _ = try entries("table1") }
    #expect(
      circle?.description.contains(
        "architectures.olmoe.model.architecture: expected settings of such trunks, found")
        == true, "\(circle?.description ?? "")")
  }

  /// One figure may have more seeds than its preset; the runs that it has already are the same.
  @Test func seedsOfOneFigure() throws {
    let project = try TemporaryProject()
    func ids(_ figure: String) throws -> [String] {
      try project.graph(figure, preset: "smoke").nodes.filter { $0.stage == .train }.map(\.id)
    }
    let (before, other) = try (ids("table1"), ids("table4"))
    try project.replace(
      "jobs: cores", by: "figures: {table1: {seeds: [1, 2, 7]}}\njobs: cores",
      in: "pipeline/text/presets/smoke.yaml")
    let after = try ids("table1")
    #expect(2 * after.count == 3 * before.count && Set(before).isSubset(of: after))
    #expect(try ids("table4") == other)
  }

  /// The stages before training are shared with the preset; only training, and what comes after it,
  /// is another run.
  @Test func aPresetMayEndInAPrecision() throws {
    let project = try TemporaryProject()
    func graph(_ preset: String) throws -> StageGraph {
      try project.graph("figure2", preset: preset)
    }
    let (plain, rounded, single) = (
      try graph("smoke"), try graph("smoke-bfloat16"), try graph("smoke-float32")
    )
    for (chain, roundedChain) in zip(plain.chains, rounded.chains) {
      #expect(chain.data == roundedChain.data)
      let (run, roundedRun) = (plain.nodes[chain.train], rounded.nodes[roundedChain.train])
      #expect(run.configuration.parameters["training"]?["precision"] == "float32")
      #expect(roundedRun.configuration.parameters["training"]?["precision"] == "bfloat16")
      #expect(run.id != roundedRun.id)
    }
    #expect(
      plain.nodes.filter { $0.stage != .report }.map(\.id) == single.nodes.dropLast().map(\.id))
    #expect(MakeRules(rounded).results == "results/smoke-bfloat16")
    #expect(MakeRules(rounded).path == "data/plan/smoke-bfloat16/figure2.mk")
    let settings = try rounded.experiment.run("3-gram input/small/2").settings
    #expect(settings.entries["training.precision"]?.origin == "preset smoke-bfloat16")
    #expect(throws: UserError.self) {
      try Experiment(figure: "figure2", preset: "smoke-float16", in: project.directory)
    }
    let device = try graph("smoke-bfloat16-torch-cpu")
    for (chain, deviceChain) in zip(rounded.chains, device.chains) {
      #expect(chain.data == deviceChain.data)
      let (run, other) = (rounded.nodes[chain.train], device.nodes[deviceChain.train])
      #expect(run.configuration.parameters["training"]?["device"] == nil)
      #expect(other.configuration.parameters["training"]?["device"] == "torch-cpu")
      #expect(other.configuration.parameters["training"]?["precision"] == "bfloat16")
      #expect(run.id != other.id)
    }
    #expect(throws: UserError.self) {
      try Experiment(figure: "figure2", preset: "smoke-cuda-bfloat16", in: project.directory)
    }
    try project.replace(
      "logEverySteps: 10}", by: "logEverySteps: 10, precision: half}",
      in: "pipeline/presets/smoke.yaml")
    #expect(throws: UserError.self) { try graph("smoke") }
  }

  @Test func unknownNamesAreAnsweredWithTheNearest() throws {
    let project = try TemporaryProject()
    let preset = #expect(throws: UserError.self) {
      try Experiment(figure: "figure2", preset: "labtop", in: project.directory)
    }
    #expect(preset?.remedy == "Did you mean 'laptop'?")
    let figure = #expect(throws: UserError.self) {
      try Experiment(figure: "figure3", preset: "smoke", in: project.directory)
    }
    #expect(figure?.description.contains("expected one of figure1, figure10") == true)
    let experiment = try Experiment(figure: "figure2", preset: "smoke", in: project.directory)
    let run = #expect(throws: UserError.self) { try experiment.run("3-gram input/large/3") }
    #expect(run?.remedy == "Did you mean '3-gram input/large/1'?")
  }

  @Test(arguments: [
    ("learningRate: 0.002", "learningrate: 0.002", "Did you mean 'optimizer.learningRate'?"),
    ("seeds: [1, 2]", "seeds: [1, 1]", "expected different names, found '1' twice"),
    ("seeds: [1, 2]", "seeds: []", "expected at least one, found none"),
    ("jobs: cores", "jobs: all", "expected 'cores' or 1...1024"),
    ("jobs: cores", "job: cores", "expected 'cores' or a number, found no such key"),
    ("parts: [model/gpt2-4x16]", "parts: [model/gpt2-4x17]", "Did you mean 'gpt2-4x16'?"),
    ("name: small", "name: 'small,'", "expected letters, digits"),
  ])
  func badPresets(old: String, new: String, message: String) throws {
    let project = try TemporaryProject()
    try project.write(tinyPreset, to: "pipeline/presets/tiny.yaml")
    try project.replace(old, by: new, in: "pipeline/presets/tiny.yaml")
    let error = #expect(throws: UserError.self) {
      try Experiment(figure: "figure2", preset: "tiny", in: project.directory)
    }
    #expect(error?.description.contains(message) == true, "\(error?.description ?? "no error")")
    #expect(error?.description.contains("tiny.yaml") == true)
  }

  @Test(arguments: [
    ("variants: [1-gram, 3-gram tokenizer]", "variants: [1-gram, 3-gram token]", "3-gram token"),
    ("paperSizes: {large: 85M, small: 2.4M}", "paperSizes: {large: 80M, small: 2.4M}", "85M"),
    ("title:", "tilte:", "title"),
    ("kind: grammar\n", "", "figure2.yaml: kind: expected one of grammar, text, found no such key"),
  ])
  func badFigures(old: String, new: String, message: String) throws {
    let project = try TemporaryProject()
    try project.replace(old, by: new, in: "pipeline/figure2.yaml")
    let error = #expect(throws: UserError.self) {
      try Experiment(figure: "figure2", preset: "smoke", in: project.directory)
    }
    #expect(error?.description.contains(message) == true, "\(error?.description ?? "no error")")
  }
}
