import Support

/// Stage "report": scores in, `<figure>.csv`, `<figure>.json` and `<figure>.svg` out.
package enum FigureReport {
  package static let version = 1

  /// Writes the three files and, last, the index.
  ///
  /// - Returns: one line per claim.
  /// - Throws: `UserError` for missing or mismatched runs and for gnuplot's failures.
  package static func write(_ configuration: StageConfiguration, to output: String) throws
    -> [String]
  {
    let figure = try Figure(configuration)
    let name = figure.parameters.figure
    let files = ["csv", "json", "svg"].map { "\(name).\($0)" }
    try AtomicFile.write(figure.csv, to: "\(output)/\(files[0])")
    try AtomicFile.write(figure.json.prettyJSON, to: "\(output)/\(files[1])")
    try Drawing(script: figure.parameters.drawing, digest: figure.parameters.drawingDigest)
      .draw(csv: "\(output)/\(files[0])", svg: "\(output)/\(files[2])")
    try StageIndex.write(
      to: output, configuration: configuration,
      content: ["files": try StageIndex.describe(files: files, in: output)])
    return figure.judgedClaims.map(\.summary)
  }

  /// What the evidence files of the figure's evaluations and training runs say, by stage: seconds,
  /// and the host facts they agree on. Missing files are left out: evidence is no input.
  package static func evidence(_ configuration: StageConfiguration) -> ConfigValue {
    var stages: [String: [ConfigValue]] = [:]
    for name in configuration.inputs.keys.sorted() {
      guard let input = configuration.inputs[name] else { continue }
      append(input.path, to: &stages)
      guard let index = try? StageIndex(directory: input.path), let train = index.inputs["run"]
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
