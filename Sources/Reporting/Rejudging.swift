import Contracts
import Foundation
import Support

/// Judges a published figure again, from its published CSV and by the rules as they are now: a better rule
/// needs no run, and no cache.
///
/// The evidence beside the figure keeps its record of the report that was published, and gets a member
/// `rejudged` that vouches for the new texts and says what judged, when, and from which bytes.
package struct Rejudging: Sendable {
  private let vouched: VouchedFigure
  private var figure: String { vouched.name }
  private var folder: String { vouched.folder }
  private var evidence: EvidenceFile { vouched.evidence }

  /// - Throws: `UserError` when the evidence is missing or altered.
  package init(figure: String, in folder: String) throws {
    vouched = try VouchedFigure(figure, in: folder)
  }

  /// Judges, and writes the texts and the evidence if they say something else.
  ///
  /// - Parameter environment: of this process, as evidence describes it.
  /// - Returns: names of the files that are others now.
  /// - Throws: `UserError` when the CSV is not the one that was published, or has not what its figure needs.
  package func run(environment: ConfigValue) throws -> [String] {
    let (csv, bytes, source) = try vouched.csv()
    let texts = try judged(PublishedTable(bytes, source: csv)).texts.filter { $0.ending != ".csv" }
    var records: [ConfigValue] = []
    var changed: [String] = []
    let key = EvidenceFile.key(of: environment)
    for (ending, text) in texts {
      let name = figure + ending
      let content = Array(text.utf8)
      records.append([
        "name": .string(name), "sha256": .string(SHA256.hex(of: content)),
        "bytes": .integer(content.count), "source": .string("\(figure).csv"),
        "sourceSHA256": .string(source), "environment": .string(key),
        "finished": .string(ISO8601DateFormatter().string(from: Date())),
      ])
      let path = "\(folder)/\(name)"
      if try !FileBytes.exists(path) || FileBytes.read(path) != content { changed.append(name) }
    }
    if changed.isEmpty { return [] }
    var members = evidence.members
    members["environments"] = .object(evidence.environments.merging([key: environment]) { $1 })
    members["rejudged"] = .array(records)
    for (ending, text) in texts { try AtomicFile.write(text, to: "\(folder)/\(figure)\(ending)") }
    try EvidenceFile.write(members, path: evidence.path)
    return changed
  }

  private func judged(_ table: PublishedTable) throws -> ReportFiles {
    let path = "\(folder)/\(figure).json"
    let published = try ConfigValue.parse(json: FileBytes.read(path), source: path)
    var ids: [String: [String: String]] = ["evaluate": [:], "train": [:]]
    for run in published["runs"]?.items ?? [] {
      guard let name = run["name"]?.text else { continue }
      for stage in ["evaluate", "train"] { ids[stage]?[name] = run[stage]?.text }
    }
    let (trains, evaluates) = (ids["train"] ?? [:], ids["evaluate"] ?? [:])
    switch try parameters {
    case .grammar(let parameters):
      var models: [String: ConfigValue] = [:]
      for curve in published["curves"]?.items ?? [] {
        models["\(curve["model"]?.text ?? "")/\(curve["size"]?.text ?? "")"] =
          curve["configuration"]
      }
      var origins: [String: Figure.Origin] = [:]
      for variant in parameters.variants {
        for size in parameters.sizes {
          for seed in parameters.seeds {
            let name = runName(variant: variant, size: size, seed: seed)
            origins[name] = Figure.Origin(
              evaluate: evaluates[name] ?? "", train: trains[name] ?? "",
              model: models["\(variant)/\(size)"] ?? .object([:]))
          }
        }
      }
      return FigureReport.files(try Figure(parameters, table, origins: origins), csv: "")
    case .text(let parameters) where parameters.report.isCensus:
      return try CensusReport.census(parameters, table).files(csv: "")
    case .text(let parameters):
      return try FigureReport.files(
        TextFigure(parameters, table, trains: trains, evaluates: evaluates), csv: "",
        evidence: nil)
    }
  }

  /// Those of the report. Reports that were written before kinds of data had a name call the kind of a
  /// report over text `kind`, and that of one over grammars nothing.
  private var parameters: ReportParameters {
    get throws {
      var members = evidence["parameters"]?.members ?? [:]
      if let report = members["kind"], TextReport(rawValue: report.text ?? "") != nil {
        members["report"] = report
        members["kind"] = .string(DataKind.text.rawValue)
      }
      if members["kind"] == nil { members["kind"] = .string(DataKind.grammar.rawValue) }
      return try ReportParameters(
        StageConfiguration(
          stage: Stage.report.rawValue, version: Stage.report.version, parameters: .object(members),
          source: "\(evidence.path): parameters"))
    }
  }
}
