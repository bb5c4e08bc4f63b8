import Support

/// A figure of a results folder, with the evidence that vouches for its files.
struct VouchedFigure: Sendable {
  let name: String
  let folder: String
  let evidence: EvidenceFile

  /// - Throws: `UserError` when the evidence is missing or altered.
  init(_ name: String, in folder: String) throws {
    self.name = name
    self.folder = folder
    evidence = try EvidenceFile(
      path: "\(folder)/\(name).evidence.json", remedy: "Run: make \(name)")
  }

  /// The CSV, and SHA-256 of its bytes.
  ///
  /// - Throws: `UserError` when it is not the one that was published.
  func csv() throws -> (path: String, bytes: [UInt8], digest: String) {
    let path = "\(folder)/\(name).csv"
    let bytes = try FileBytes.read(path)
    let digest = SHA256.hex(of: bytes)
    guard
      evidence.vouchedFiles.contains(where: { $0.name == "\(name).csv" && $0.digest == digest })
    else {
      throw UserError(
        path, expected: "the file that \(evidence.path) vouches for", found: "SHA-256 \(digest)",
        remedy: "Run: make \(name)")
    }
    return (path, bytes, digest)
  }
}
