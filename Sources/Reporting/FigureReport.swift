import Support

/// What a kind of report writes: its texts, its picture, and its lines for people.
struct ReportFiles {
  let name: String
  /// Contents by the ending behind the figure's name, in the order in which they are written.
  let texts: [(ending: String, text: String)]
  /// Draws `<name>.svg` from `<name>.csv`.
  let drawing: Drawing?
  let summaries: [String]
  /// Measured columns that belong beside the CSV but are not identity.
  let evidence: String?
}

/// Stage "report": scores in, `<figure>.csv`, `<figure>.json` and a picture or table out.
package enum FigureReport {
  package static let version = 1
  package static let evidenceFile = "evidence.csv"

  /// Writes the files and, last, the index.
  ///
  /// - Returns: one line per claim.
  /// - Throws: `UserError` for missing or mismatched runs and for gnuplot's failures.
  package static func write(_ configuration: StageConfiguration, to output: String) throws
    -> [String]
  {
    let files = try files(configuration)
    var names: [String] = []
    for (ending, text) in files.texts {
      names.append("\(files.name)\(ending)")
      try AtomicFile.write(text, to: "\(output)/\(names[names.count - 1])")
    }
    if let drawing = files.drawing {
      names.append("\(files.name).svg")
      try drawing.draw(
        csv: "\(output)/\(files.name).csv", svg: "\(output)/\(names[names.count - 1])")
    }
    if let evidence = files.evidence {
      try AtomicFile.write(evidence, to: "\(output)/\(evidenceFile)")
    }
    try StageIndex.write(
      to: output, configuration: configuration,
      content: ["files": try StageIndex.describe(files: names, in: output)])
    return files.summaries
  }

  private static func files(_ configuration: StageConfiguration) throws -> ReportFiles {
    // A figure over grammars has no kind.
    guard configuration.parameters["kind"] != nil else {
      let figure = try Figure(configuration)
      return ReportFiles(
        name: figure.parameters.figure,
        texts: [(".csv", figure.csv), (".json", figure.json.prettyJSON)],
        drawing: Drawing(
          script: figure.parameters.drawing, digest: figure.parameters.drawingDigest),
        summaries: figure.judgedClaims.map(\.summary), evidence: nil)
    }
    let figure = try TextFigure(configuration)
    let parameters = figure.parameters
    switch parameters.kind {
    case .scalingLaw:
      let law = try ScalingLaw(figure)
      return ReportFiles(
        name: parameters.figure,
        texts: [
          (".csv", law.csv), ("-fit.csv", law.fitCSV), (".json", law.json.prettyJSON),
        ],
        drawing: parameters.drawing, summaries: law.summaries, evidence: figure.stepTimeRatios)
    case .lossCurves:
      let curves = LossCurves(figure)
      return ReportFiles(
        name: parameters.figure,
        texts: [(".csv", curves.csv), (".json", curves.json.prettyJSON)],
        drawing: parameters.drawing, summaries: curves.summaries, evidence: nil)
    case .ablation:
      let table = Ablation(figure)
      return ReportFiles(
        name: parameters.figure,
        texts: [
          (".csv", table.csv), (".json", table.json.prettyJSON), (".md", table.markdown),
        ],
        drawing: nil, summaries: table.summaries, evidence: figure.stepTimeRatios)
    }
  }

  /// What the evidence files of the figure's evaluations and training runs say, by stage: seconds,
  /// and the host facts they agree on. Missing files are left out: evidence is no input.
  package static func evidence(_ configuration: StageConfiguration) -> ConfigValue {
    var stages: [String: [ConfigValue]] = [:]
    for name in configuration.inputs.keys.sorted() {
      guard let input = configuration.inputs[name] else { continue }
      append(input.path, to: &stages)
      // Reports over text have their training runs among the inputs.
      guard configuration.parameters["kind"] == nil,
        let index = try? StageIndex(directory: input.path), let train = index.inputs["run"]
      else { continue }
      append("data/train/\(train)", to: &stages)
    }
    return .object(stages.mapValues(summary))
  }

  private static func append(_ directory: String, to stages: inout [String: [ConfigValue]]) {
    guard let value = try? ConfigValue.load(path: directory + "/evidence.json"),
      case .string(let stage)? = value["stage"]
    else { return }
    stages[stage, default: []].append(value)
  }

  private static func summary(_ values: [ConfigValue]) -> ConfigValue {
    var members: [String: ConfigValue] = ["count": .integer(values.count)]
    for key in ["wallSeconds", "cpuSeconds"] {
      let numbers = values.compactMap { value -> Double? in
        if case .double(let number)? = value[key] { number } else { nil }
      }
      members[key] = .double(numbers.reduce(0, +))
    }
    for key in ["cpu", "kernel", "swift", "product", "buildFeatures", "threads"] {
      guard let first = values.first?[key] else { continue }
      members[key] = values.allSatisfy { $0[key] == first } ? first : "differs between runs"
    }
    members["facts"] = .array(values.compactMap { $0["facts"] })
    return .object(members)
  }
}
