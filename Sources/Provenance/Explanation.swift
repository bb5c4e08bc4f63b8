import Support

/// Where a published number comes from: configuration, seeds, digests of data, code, libraries and
/// machine, of every run that it is made of.
package struct Explanation: Sendable {
  /// The lines to print.
  package private(set) var lines: [String] = []

  private let evidence: EvidenceFile
  /// By key, from 1 in the order in which they are first named.
  private var environmentNumbers: [String: Int] = [:]
  private var firstOfStage: [String: ConfigValue] = [:]

  /// - Throws: `UserError` when the address leads nowhere, or when no evidence vouches for the file.
  package init(_ address: NumberAddress) throws {
    let place = try address.resolve()
    evidence = try Explanation.evidence(of: address.path)
    let figure = evidence["parameters"]?["figure"]?.plain ?? "figure"
    let preset = evidence["parameters"]?["preset"]?.plain ?? "preset"
    lines.append(
      "\(address.path):\(address.steps.joined(separator: "/")) = \(place.value.canonicalJSON)")
    lines.append(
      "configuration: \(figure) at preset \(preset), below pipeline/; every setting of a run: "
        + "ott-plan explain --figure \(figure) --preset \(preset) RUN")
    let root = ConfigValue.object(evidence.members)
    let inputs = Explanation.inputs(of: root)
    let runs = Explanation.select(inputs, surroundings: place.surroundings)
    let chosen = runs.isEmpty ? inputs : runs
    lines.append("made of \(chosen.count) of the \(inputs.count) runs of \(figure)")
    add(root, names: [], inputs: chosen.count == inputs.count ? nil : "its runs")
    let records = Dictionary(
      evidence.history.compactMap { record in record["id"]?.plain.map { ($0, record) } },
      uniquingKeysWith: { first, _ in first })
    var names: [String: [String]] = [:]
    for (name, id) in chosen { names[id, default: []].append(name) }
    var order: [String] = []
    var pending = chosen.map(\.id)
    var seen: Set<String> = []
    while !pending.isEmpty {
      let id = pending.removeFirst()
      guard seen.insert(id).inserted else { continue }
      order.append(id)
      pending += records[id].map { Explanation.inputs(of: $0).map(\.id) } ?? []
    }
    for id in order {
      guard let record = records[id] else {
        lines.append("\(id): no record")
        continue
      }
      add(record, names: names[id] ?? [], inputs: nil)
    }
    addEnvironments()
  }

  // MARK: - Records

  private mutating func add(_ record: ConfigValue, names: [String], inputs: String?) {
    let stage = record["stage"]?.plain ?? "unknown"
    let id = record["id"]?.plain ?? "unknown"
    lines.append("")
    lines.append("\(stage) \(id)" + (names.isEmpty ? "" : "  (\(names.joined(separator: ", ")))"))
    if stage == "file", let path = record["path"]?.plain {
      lines.append("  file or folder \(path), SHA-256 \(id)…")
      return
    }
    lines.append("  id        \(Explanation.check(record))")
    lines.append("  settings  \(settings(record, stage: stage))")
    let list = Explanation.inputs(of: record).map { "\($0.name) \($0.id)" }.joined(separator: ", ")
    if !list.isEmpty { lines.append("  inputs    \(inputs ?? list)") }
    if let content = record["content"]?.plain { lines.append("  content   SHA-256 \(content)") }
    if case .array(let shards)? = record["shards"] {
      for (number, shard) in shards.enumerated() {
        lines.append("  shard \(number)   raw SHA-256 \(shard.plain ?? "")")
      }
    }
    let time = record["finished"]?.plain ?? record["started"]?.plain.map { "from \($0)" }
    let threads = record["threads"]?.plain ?? "?"
    lines.append("  made      \(time ?? "unknown"), threads \(threads), \(environment(record))")
  }

  /// Settings of the first record of a stage in full, of others what differs from the first.
  private mutating func settings(_ record: ConfigValue, stage: String) -> String {
    let parameters = record["parameters"] ?? .object([:])
    guard let first = firstOfStage[stage] else {
      firstOfStage[stage] = record
      return parameters.canonicalJSON
    }
    let old = Explanation.leaves(first["parameters"] ?? .object([:]))
    let new = Explanation.leaves(parameters)
    let differences = Set(old.keys).union(new.keys).sorted().filter { old[$0] != new[$0] }
      .map { "\($0) \(new[$0] ?? "none")" }
    return "as \(first["id"]?.plain ?? "")"
      + (differences.isEmpty ? "" : " but " + differences.joined(separator: ", "))
  }

  private mutating func environment(_ record: ConfigValue) -> String {
    guard let key = record["environment"]?.plain, evidence.environments[key] != nil else {
      return "environment not recorded"
    }
    let number = environmentNumbers[key] ?? environmentNumbers.count + 1
    environmentNumbers[key] = number
    return "environment \(number)"
  }

  private mutating func addEnvironments() {
    for (key, number) in environmentNumbers.sorted(by: { $0.value < $1.value }) {
      lines += ["", "environment \(number)"]
      guard case .object(let members)? = evidence.environments[key] else { continue }
      for (member, value) in members.sorted(by: { $0.key < $1.key }) {
        lines.append("  \(member)  \(value.plain ?? value.canonicalJSON)")
      }
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

  /// The runs whose names agree with what stands around a number. A name is "variant/size/seed"; a
  /// part of it counts where one of its values over all runs stands in the nearest surroundings.
  private static func select(
    _ runs: [(name: String, id: String)], surroundings: [[String: ConfigValue]]
  ) -> [(name: String, id: String)] {
    let parts = runs.map { $0.name.split(separator: "/").map(String.init) }
    var chosen = Set(runs.indices)
    for position in 0..<(parts.map(\.count).min() ?? 0) {
      let values = Set(parts.map { $0[position] })
      for objects in surroundings {
        let named = Set(
          objects.filter { key, value in
            if case .string = value { true } else { key == "seed" }
          }.compactMap(\.value.plain)
        ).intersection(values)
        guard !named.isEmpty else { continue }
        chosen = chosen.filter { named.contains(parts[$0][position]) }
        break
      }
    }
    return chosen.sorted().map { runs[$0] }
  }

  private static func inputs(of record: ConfigValue) -> [(name: String, id: String)] {
    guard case .object(let inputs)? = record["inputs"] else { return [] }
    return inputs.sorted { $0.key < $1.key }.compactMap { name, id in
      id.plain.map { (name, $0) }
    }
  }

  /// Whether the id is the digest of the settings and inputs that stand beside it.
  private static func check(_ record: ConfigValue) -> String {
    guard case .integer(let version)? = record["stageVersion"],
      let stage = record["stage"]?.plain, let parameters = record["parameters"]
    else { return "not checked: the record has no settings" }
    let configuration = StageConfiguration(
      stage: stage, version: version, parameters: parameters,
      inputs: Dictionary(
        inputs(of: record).map { ($0.name, .init(id: $0.id, path: "")) },
        uniquingKeysWith: { first, _ in first }))
    return configuration.id == record["id"]?.plain
      ? "is the digest of these settings and inputs, version \(version)"
      : "IS NOT the digest of these settings and inputs (\(configuration.id))"
  }

  private static func leaves(_ value: ConfigValue, path: String = "") -> [String: String] {
    guard case .object(let members) = value else { return [path: value.canonicalJSON] }
    var result: [String: String] = [:]
    for (key, member) in members {
      result.merge(leaves(member, path: path.isEmpty ? key : "\(path).\(key)")) { first, _ in first
      }
    }
    return result
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
