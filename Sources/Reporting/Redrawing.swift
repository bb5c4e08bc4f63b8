import Foundation
import Support

/// Draws the picture of a published figure again, from its published CSV and with the project's script
/// as it is now: a mended drawing needs no run, and no cache.
///
/// The evidence beside the figure keeps its record of the report that was published, and gets a member
/// `redrawn` that vouches for the new picture and says what drew it, when, and from which bytes.
package struct Redrawing: Sendable {
  private let vouched: VouchedFigure
  private var figure: String { vouched.name }
  private var folder: String { vouched.folder }
  private var evidence: EvidenceFile { vouched.evidence }
  private var svg: String { "\(folder)/\(figure).svg" }

  /// - Throws: `UserError` when the evidence is missing or altered.
  package init(figure: String, in folder: String) throws {
    vouched = try VouchedFigure(figure, in: folder)
  }

  /// Draws, and writes picture and evidence if the picture is another.
  ///
  /// - Parameter environment: of this process, as evidence describes it.
  /// - Returns: whether the picture is another; nil where the figure has none.
  /// - Throws: `UserError` when the CSV is not the one that was published, and for gnuplot's failures.
  package func run(environment: ConfigValue) throws -> Bool? {
    guard let script = evidence["parameters"]?["drawing"]?.text else { return nil }
    let (csv, bytes, source) = try vouched.csv()
    let place = NSTemporaryDirectory() + "redrawing-" + UUID().uuidString
    try AtomicFile.makeDirectory(place)
    defer { try? FileManager.default.removeItem(atPath: place) }
    let drawing = try Drawing(script: script)
    try AtomicFile.write(bytes, to: "\(place)/\(figure).csv")
    _ = try drawing.writeData(
      of: PublishedTable(bytes, source: csv), beside: "\(place)/\(figure).csv")
    try drawing.draw(csv: "\(place)/\(figure).csv", svg: "\(place)/\(figure).svg")
    let picture = try FileBytes.read("\(place)/\(figure).svg")
    let digest = SHA256.hex(of: picture)
    if evidence.vouchedFiles.contains(where: { $0.name == "\(figure).svg" && $0.digest == digest }),
      try FileBytes.read(svg) == picture
    {
      return false
    }
    let key = EvidenceFile.key(of: environment)
    var members = evidence.members
    members["environments"] = .object(evidence.environments.merging([key: environment]) { $1 })
    members["redrawn"] = [
      [
        "name": .string("\(figure).svg"), "sha256": .string(digest),
        "bytes": .integer(picture.count), "source": .string("\(figure).csv"),
        "sourceSHA256": .string(source), "drawing": .string(script),
        "drawingDigest": .string(drawing.digest), "environment": .string(key),
        "finished": .string(ISO8601DateFormatter().string(from: Date())),
      ]
    ]
    try AtomicFile.write(picture, to: svg)
    try EvidenceFile.write(members, path: evidence.path)
    return true
  }
}
