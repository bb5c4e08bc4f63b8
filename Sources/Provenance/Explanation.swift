import Support

/// Where a published number comes from: configuration, seeds, digests of data, code, libraries and
/// machine, of every run that it is made of.
package struct Explanation: Sendable {
  /// The lines to print.
  package private(set) var lines: [String] = []

  /// - Throws: `UserError` when the address leads nowhere, or when no evidence vouches for the file.
  package init(_ address: NumberAddress) throws {
    let place = try address.resolve()
    let evidence = try Explanation.evidence(of: address.path)
    var records = LineageRecords(evidence)
    let figure = evidence["parameters"]?["figure"]?.plain ?? "figure"
    let preset = evidence["parameters"]?["preset"]?.plain ?? "preset"
    lines.append(
      "\(address.path):\(address.steps.joined(separator: "/")) = \(place.value.canonicalJSON)")
    lines.append(
      "configuration: \(figure) at preset \(preset), below pipeline/; every setting of a run: "
        + "ott-plan explain --figure \(figure) --preset \(preset) RUN")
    let root = ConfigValue.object(evidence.members)
    let inputs = LineageRecords.inputs(of: root)
    let chosen = LineageRecords.runs(of: root, behind: place)
    lines.append("made of \(chosen.count) of the \(inputs.count) runs of \(figure)")
    func add(_ record: ConfigValue, names: [String], inputs: String?) {
      lines.append("")
      lines.append(
        LineageRecords.title(of: record)
          + (names.isEmpty ? "" : "  (\(names.joined(separator: ", ")))"))
      lines += records.lines(of: record, inputs: inputs).map { "  " + $0 }
    }
    add(root, names: [], inputs: chosen.count == inputs.count ? nil : "its runs")
    var names: [String: [String]] = [:]
    for (name, id) in chosen { names[id, default: []].append(name) }
    for id in records.order(from: chosen.map(\.id)) {
      guard let record = records[id] else {
        lines.append("\(id): no record")
        continue
      }
      add(record, names: names[id] ?? [], inputs: nil)
    }
    for environment in records.environments {
      lines += ["", environment[0]] + environment.dropFirst().map { "  " + $0 }
    }
  }

  // MARK: - Parts

  /// The evidence published beside the file, or that of the cached report with the same bytes.
  private static func evidence(of path: String) throws -> EvidenceFile {
    let folder = AtomicFile.parent(of: path)
    let file = String(path.split(separator: "/").last ?? "")
    let figure = file.split(separator: ".").first.map(String.init) ?? file
    let digest = SHA256.hex(of: try FileBytes.read(path))
    let vouches = { (evidence: EvidenceFile) in
      evidence.vouchedFiles.contains { $0.digest == digest }
    }
    let published = "\(folder)/\(figure).evidence.json"
    let preset = folder.split(separator: "/").last ?? ""
    let remedy = "Run: make \(figure) PRESET=\(preset)"
    if FileBytes.exists(published) {
      let evidence = try EvidenceFile(path: published, remedy: remedy)
      guard vouches(evidence) else {
        throw UserError(
          path, expected: "a file that \(published) vouches for", found: "SHA-256 \(digest)",
          remedy: remedy)
      }
      return evidence
    }
    for id in try Verification.names(in: "data/report") {
      if let evidence = try? EvidenceFile(directory: "data/report/\(id)"), vouches(evidence) {
        return evidence
      }
    }
    throw UserError(
      path, expected: "evidence beside it or in data/report", found: "none that vouches for it",
      remedy: remedy)
  }
}

extension ConfigValue {
  /// A scalar without quotes; nil for null and collections.
  var plain: String? {
    switch self {
    case .string(let text): text
    case .integer(let value): "\(value)"
    case .double(let value): "\(value)"
    case .bool(let value): "\(value)"
    case .null, .array, .object: nil
    }
  }
}
