import Contracts
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
  package static let evidenceFile = "evidence.csv"

  /// Writes the files and, last, the index.
  ///
  /// - Returns: one line per claim.
  /// - Throws: `UserError` for missing or mismatched runs and for gnuplot's failures.
  package static func write(_ configuration: StageConfiguration, to output: String) throws
    -> [String]
  {
    try requireEvidence(configuration)
    let files = try files(configuration)
    var names: [String] = []
    for (ending, text) in files.texts {
      names.append("\(files.name)\(ending)")
      try AtomicFile.write(text, to: "\(output)/\(names[names.count - 1])")
    }
    if let drawing = files.drawing {
      let csv = "\(output)/\(files.name).csv"
      let table = try PublishedTable(FileBytes.read(csv), source: csv)
      names += try drawing.writeData(of: table, beside: csv)
      names.append("\(files.name).svg")
      try drawing.draw(csv: csv, svg: "\(output)/\(files.name).svg")
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
    switch try ReportParameters(configuration) {
    case .grammar(let parameters):
      let figure = try Figure(configuration, parameters)
      return files(figure, csv: figure.csv)
    case .text(let parameters) where parameters.report.isCensus:
      let csv = try CensusReport.csv(configuration, parameters)
      return try CensusReport.census(
        parameters, PublishedTable(Array(csv.utf8), source: "\(parameters.figure).csv")
      ).files(csv: csv)
    case .text(let parameters):
      let figure = try TextFigure(configuration, parameters)
      let csv = try figure.csv
      let table = try PublishedTable(Array(csv.utf8), source: "\(parameters.figure).csv")
      let ids = { (id: KeyPath<TextRun, String>) in
        Dictionary(
          uniqueKeysWithValues: figure.runs.joined().map {
            (parameters.run(of: $0.variant, seed: $0.seed), $0[keyPath: id])
          })
      }
      // Judged as anyone can who has the CSV.
      return try files(
        TextFigure(
          parameters, table, trains: ids(\.trainID), evaluates: ids(\.evaluateID)),
        csv: csv, evidence: parameters.report.isCurves ? nil : figure.timeRatios)
    }
  }

  static func files(_ figure: Figure, csv: String) -> ReportFiles {
    ReportFiles(
      name: figure.parameters.figure,
      texts: [(".csv", csv), (".json", figure.json.prettyJSON)],
      drawing: Drawing(script: figure.parameters.drawing, digest: figure.parameters.drawingDigest),
      summaries: figure.judgedClaims.map(\.summary), evidence: nil)
  }

  static func files(
    _ figure: TextFigure, csv: String, evidence: String?
  ) throws -> ReportFiles {
    let parameters = figure.parameters
    let drawing = parameters.drawing.map {
      Drawing(script: $0, digest: parameters.drawingDigest ?? "")
    }
    let json: ConfigValue
    let summaries: [String]
    var texts: [(ending: String, text: String)] = []
    switch parameters.report {
    case .scalingLaw:
      let law = try ScalingLaw(figure)
      (json, summaries) = (law.json, law.summaries)
    case .lossCurves:
      let curves = LossCurves(figure)
      (json, summaries) = (curves.json, curves.summaries)
    case .ablation, .vocabularies:
      let table = Ablation(figure)
      (json, summaries) = (table.json, table.summaries)
      texts = [(".md", table.markdown)]
    case .metrics:
      let metrics = Metrics(figure)
      (json, summaries) = (metrics.json, metrics.summaries)
      if drawing == nil { texts = [(".md", metrics.markdown)] }
    case .discovery, .updates: preconditionFailure("a census has no runs")
    }
    return ReportFiles(
      name: parameters.figure, texts: [(".csv", csv), (".json", json.prettyJSON)] + texts,
      drawing: drawing, summaries: summaries, evidence: evidence)
  }

  /// Checks that every evaluation of the figure, and every training run it scores, is recorded with
  /// the environment it was made in.
  ///
  /// - Throws: `UserError` naming the first record that is missing, altered or incomplete.
  static func requireEvidence(_ configuration: StageConfiguration) throws {
    for name in configuration.inputs.keys.sorted() {
      let input = try configuration.input(name)
      let evidence = try EvidenceFile(directory: input.path, id: input.id)
      let index = try StageIndex(directory: input.path)
      guard let train = index.inputs["run"] else { continue }
      let made = "data/train/\(train)"
      // A run whose own evidence is whole need not be trained again.
      let isKnown = (try? EvidenceFile(directory: made, id: train)) != nil
      let remedy =
        "Run: rm -r \(input.path)\(isKnown ? "" : " " + made) && make \(input.path)/index.json"
      guard let record = evidence.history.first(where: { $0["id"] == .string(train) }) else {
        throw UserError(
          "\(evidence.path): history", expected: "the training run \(train)", found: "no record",
          remedy: remedy)
      }
      _ = try evidence.environment(of: record, remedy: remedy)
    }
  }

  /// What is published with other bytes than the index lists: the CSV with the measured columns beside
  /// it. Null where there are none.
  package static func published(from output: String) throws -> ConfigValue {
    let evidence = "\(output)/\(evidenceFile)"
    guard FileBytes.exists(evidence) else { return .null }
    let index = try StageIndex(directory: output)
    guard case .array(let files)? = index.content["files"],
      case .string(let name)? = files.first?["name"]
    else { return .null }
    let lines = try [FileBytes.read("\(output)/\(name)"), FileBytes.read(evidence)].map {
      ByteLines($0).map { String(decoding: $0, as: UTF8.self) }
    }
    let joined = zip(lines[0], lines[1]).map { "\($0),\($1)\n" }.joined()
    return [["name": .string(name), "sha256": .string(SHA256.hex(of: joined))]]
  }

  /// Seconds of the figure's evaluations and training runs, by stage. How each of them was made stands
  /// in the history of the report's evidence.
  package static func seconds(_ configuration: StageConfiguration) throws -> ConfigValue {
    var records: [String: ConfigValue] = [:]
    for input in configuration.inputs.values {
      let evidence = try EvidenceFile(directory: input.path, id: input.id)
      records[input.id] = .object(evidence.members)
      for record in evidence.history where record["stage"] == .string(Stage.train.rawValue) {
        if case .string(let id)? = record["id"] { records[id] = record }
      }
    }
    var sums: [String: Double] = [:]
    for (_, record) in records.sorted(by: { $0.key < $1.key }) {
      guard case .string(let stage)? = record["stage"],
        case .double(let seconds)? = record["wallSeconds"]
      else { continue }
      sums[stage, default: 0] += seconds
    }
    return .object(sums.mapValues(ConfigValue.double))
  }
}
