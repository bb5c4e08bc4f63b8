import Foundation
import Reporting
import Support
import Testing

@Suite struct RejudgingTests {
  private static let environment = ConfigValue.object(
    Dictionary(
      uniqueKeysWithValues: EvidenceFile.environmentKeys.map { ($0, .string("another \($0)")) }))

  /// Publishes a report, as tools/publish does it.
  private func publish(
    _ configuration: StageConfiguration, name: String, endings: [String], in directory: String,
    parameters: ConfigValue? = nil
  ) throws -> String {
    let (output, results) = ("\(directory)/report", "\(directory)/results")
    try AtomicFile.makeDirectory(output)
    try AtomicFile.makeDirectory(results)
    _ = try FigureReport.write(configuration, to: output)
    for ending in endings {
      try AtomicFile.write(
        FileBytes.read("\(output)/\(name).\(ending)"), to: "\(results)/\(name).\(ending)")
    }
    try writeEvidence(of: configuration, in: output)
    var members = try EvidenceFile(directory: output).members
    members["parameters"] = parameters ?? configuration.parameters
    members["files"] = try StageIndex(directory: output).content["files"]
    try EvidenceFile.write(members, path: "\(results)/\(name).evidence.json")
    return results
  }

  private func rejudge(_ name: String, in results: String) throws -> [String] {
    try Rejudging(figure: name, in: results).run(environment: Self.environment)
  }

  /// What a report says is what its CSV says, whatever the kind.
  @Test(arguments: ["scalingLaw", "lossCurves", "ablation", "metrics"])
  func theReportIsWhatTheCSVSays(kind: String) throws {
    let runs = try TemporaryRuns()
    let configuration = try runs.configuration(
      kind: kind, comparisons: [["variant": "m1", "against": "base", "says": "better"]])
    let results = try publish(
      configuration, name: "figure", endings: ["csv", "json"] + (kind == "ablation" ? ["md"] : []),
      in: runs.directory)
    let before = try FileBytes.read("\(results)/figure.evidence.json")
    #expect(try rejudge("figure", in: results) == [])
    #expect(try FileBytes.read("\(results)/figure.evidence.json") == before)
  }

  /// Other rules leave another text, which the evidence vouches for beside the record of the report.
  @Test func otherRulesLeaveATrace() throws {
    let files = try TemporaryFigure()
    let configuration = try files.configuration()
    // A report of before kinds had names.
    var parameters = configuration.parameters
    if case .object(var members) = parameters {
      members["kind"] = nil
      parameters = .object(members)
    }
    let results = try publish(
      configuration, name: "figure2", endings: ["csv", "json"], in: files.directory,
      parameters: parameters)
    let right = try FileBytes.read("\(results)/figure2.json")
    #expect(try rejudge("figure2", in: results) == [])
    // As if the rules had been others: the ids of the runs are kept from it.
    try AtomicFile.write(
      String(decoding: right, as: UTF8.self).replacing("same direction", with: "reproduced"),
      to: "\(results)/figure2.json")
    let path = "\(results)/figure2.evidence.json"
    let old = try EvidenceFile(path: path, remedy: "")
    #expect(try rejudge("figure2", in: results) == ["figure2.json"])
    #expect(try FileBytes.read("\(results)/figure2.json") == right)
    let evidence = try EvidenceFile(path: path, remedy: "")
    #expect(evidence["files"] == old["files"] && evidence.history == old.history)
    let vouched = evidence.vouchedFiles.first { $0.name == "figure2.json" }
    #expect(vouched?.digest == SHA256.hex(of: right))
    guard case .array(let records)? = evidence["rejudged"], records.count == 1 else {
      Issue.record("not one record")
      return
    }
    #expect(try evidence.environment(of: records[0], remedy: "") == Self.environment)
    #expect(
      records[0]["sourceSHA256"]
        == .string(SHA256.hex(of: try FileBytes.read("\(results)/figure2.csv"))))
  }

  @Test func anAlteredCSVIsNotJudged() throws {
    let files = try TemporaryFigure()
    let results = try publish(
      files.configuration(), name: "figure2", endings: ["csv", "json"], in: files.directory)
    let csv = "\(results)/figure2.csv"
    try AtomicFile.write(
      String(decoding: FileBytes.read(csv), as: UTF8.self).replacing("0.26", with: "0.27"), to: csv)
    let error = #expect(throws: UserError.self) { try rejudge("figure2", in: results) }
    #expect(error?.description.contains("figure2.csv: expected the file that") == true)
  }

  /// What is committed is what the rules as they are now say of the committed CSVs.
  @Test(arguments: ["laptop", "laptop-bfloat16"])
  func committedVerdictsAreOfTheCommittedCSVs(preset: String) throws {
    let project = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().path
    let copy = NSTemporaryDirectory() + "rejudging-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: copy) }
    try FileManager.default.copyItem(atPath: "\(project)/results/\(preset)", toPath: copy)
    for figure in try ResultsFolder(path: copy).figures {
      #expect(try rejudge(figure.name, in: copy) == [], "make verdicts")
    }
  }
}
