import Foundation
import Reporting
import Support
import Testing

@Suite struct RedrawingTests {
  let files: TemporaryFigure
  let results: String
  private let environment = ConfigValue.object(
    Dictionary(
      uniqueKeysWithValues: EvidenceFile.environmentKeys.map { ($0, .string("another \($0)")) }))

  /// A figure that is reported and published, as tools/publish does it.
  init() throws {
    files = try TemporaryFigure()
    let (output, results) = ("\(files.directory)/report", "\(files.directory)/results")
    try AtomicFile.makeDirectory(output)
    try AtomicFile.makeDirectory(results)
    let configuration = try files.configuration()
    _ = try FigureReport.write(configuration, to: output)
    for ending in ["csv", "json", "svg"] {
      try AtomicFile.write(
        FileBytes.read("\(output)/figure2.\(ending)"), to: "\(results)/figure2.\(ending)")
    }
    try writeEvidence(of: configuration, in: output)
    var members = try EvidenceFile(directory: output).members
    members["parameters"] = configuration.parameters
    members["files"] = try StageIndex(directory: output).content["files"]
    try EvidenceFile.write(members, path: "\(results)/figure2.evidence.json")
    self.results = results
  }

  private var evidence: EvidenceFile {
    get throws { try EvidenceFile(path: "\(results)/figure2.evidence.json", remedy: "") }
  }

  private func redraw() throws -> Bool? {
    try Redrawing(figure: "figure2", in: results).run(environment: environment)
  }

  @Test func theSamePictureChangesNothing() throws {
    let before = try FileBytes.read("\(results)/figure2.evidence.json")
    #expect(try redraw() == false)
    #expect(try FileBytes.read("\(results)/figure2.evidence.json") == before)
  }

  @Test func anotherScriptDrawsAnotherPictureThatEvidenceVouchesFor() throws {
    let before = try evidence
    let old = try FileBytes.read("\(results)/figure2.svg")
    let script = "\(files.directory)/figure.gnuplot"
    try AtomicFile.write(
      String(decoding: FileBytes.read(script), as: UTF8.self).replacing("points", with: "lines"),
      to: script)
    #expect(try redraw() == true)
    let new = try FileBytes.read("\(results)/figure2.svg")
    #expect(new != old)
    let after = try evidence
    let vouched = after.vouchedFiles.first { $0.name == "figure2.svg" }
    #expect(vouched?.digest == SHA256.hex(of: new))
    // The record of what was published first stays, and the new one says who drew what.
    #expect(after["files"] == before["files"] && after.history == before.history)
    guard case .array(let redrawn)? = after["redrawn"], redrawn.count == 1 else {
      Issue.record("not one record")
      return
    }
    #expect(redrawn[0]["drawingDigest"] == .string(SHA256.hex(of: try FileBytes.read(script))))
    let csv = try FileBytes.read("\(results)/figure2.csv")
    #expect(redrawn[0]["sourceSHA256"] == .string(SHA256.hex(of: csv)))
    #expect(try after.environment(of: redrawn[0], remedy: "") == environment)
    #expect(try redraw() == false)
  }

  @Test func anAlteredCSVIsNotDrawn() throws {
    let csv = "\(results)/figure2.csv"
    try AtomicFile.write(
      String(decoding: FileBytes.read(csv), as: UTF8.self).replacing("0.26", with: "0.27"), to: csv)
    let error = #expect(throws: UserError.self) { try redraw() }
    #expect(error?.description.contains("figure2.csv: expected the file that") == true)
  }
}

/// Pictures are the same bytes with the same version of gnuplot.
@Suite(.enabled(if: CommittedPictures.areOfThisGnuplot, "drawn by another version of gnuplot"))
struct CommittedPictureTests {
  @Test func areWhatTheScriptsDrawOfTheCommittedResults() throws {
    for (path, figure) in try CommittedPictures.all() {
      let place = NSTemporaryDirectory() + "pictures-" + UUID().uuidString
      try AtomicFile.makeDirectory(place)
      defer { try? FileManager.default.removeItem(atPath: place) }
      let (csv, svg) = ("\(place)/\(figure.name).csv", "\(place)/\(figure.name).svg")
      try AtomicFile.write(FileBytes.read("\(path)/\(figure.name).csv"), to: csv)
      guard case .string(let script)? = figure.evidence.members["parameters"]?["drawing"] else {
        Issue.record("\(figure.name) names no script")
        continue
      }
      let drawing = try Drawing(script: "\(CommittedPictures.project)/\(script)")
      _ = try drawing.writeData(of: figure.table, beside: csv)
      try drawing.draw(csv: csv, svg: svg)
      #expect(
        try FileBytes.read(svg) == FileBytes.read("\(path)/\(figure.name).svg"),
        "\(path)/\(figure.name).svg: make pictures")
    }
  }
}

enum CommittedPictures {
  static let project = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path

  static func all() throws -> [(path: String, figure: PublishedFigure)] {
    try ["laptop", "laptop-bfloat16"].flatMap { preset in
      let path = "\(project)/results/\(preset)"
      return try ResultsFolder(path: path).figures.filter { $0.endings.contains("svg") }
        .map { (path, $0) }
    }
  }

  static let areOfThisGnuplot: Bool = {
    guard let own = Drawing.libraries["gnuplot"], let pictures = try? all(), !pictures.isEmpty
    else {
      return false
    }
    return pictures.allSatisfy { _, figure in
      var record = ConfigValue.object(figure.evidence.members)
      if case .array(let redrawn)? = record["redrawn"], let last = redrawn.last { record = last }
      let environment = try? figure.evidence.environment(of: record, remedy: "")
      return environment?["libraries"]?["gnuplot"] == .string(own)
    }
  }()
}
