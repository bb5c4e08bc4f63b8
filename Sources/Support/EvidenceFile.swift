/// `evidence.json`: what is worth knowing about one run and is not identity. This is the reading side;
/// stages write it by `Evidence` before they begin and again when they are done.
///
/// The last member, `digest`, is SHA-256 over the canonical JSON of all others. `docs/FORMAT.md` has
/// the table.
package struct EvidenceFile: Sendable, Equatable {
  package static let fileName = "evidence.json"
  package static let format = "overtoken evidence"
  package static let formatVersion = 2

  /// What must be known of the machine and the code that made a number.
  package static let environmentKeys = [
    "product", "code", "executable", "swift", "libraries", "host", "kernel", "architecture", "cpu",
    "buildFeatures", "hostThreads", "hostMemoryBytes",
  ]

  package let path: String
  /// All members but the digest.
  package let members: [String: ConfigValue]

  /// Reads and checks `directory/evidence.json`.
  ///
  /// - Throws: `UserError` for a file that is missing, foreign, altered or without environment, and
  ///   for one of another output than `id`.
  package init(directory: String, id: String? = nil) throws {
    try self.init(
      path: "\(directory)/\(EvidenceFile.fileName)", id: id, remedy: StageIndex.remedy(directory))
  }

  /// The same of a copy of the file, as results have it.
  package init(path: String, id: String? = nil, remedy: String) throws {
    self.path = path
    guard FileBytes.exists(path) else {
      throw UserError(
        path, expected: "the environment that the output was made in", found: "no such file",
        remedy: remedy)
    }
    let text = try FileBytes.read(path)
    let value = try ConfigValue.parse(json: text, source: path)
    guard case .object(var members) = value, members["format"] == .string(EvidenceFile.format),
      members["formatVersion"] == .integer(EvidenceFile.formatVersion)
    else {
      throw UserError(
        path, expected: "\(EvidenceFile.format) of format \(EvidenceFile.formatVersion)",
        found: "another file", remedy: remedy)
    }
    let digest = members.removeValue(forKey: "digest")
    let actual = SHA256.hex(of: ConfigValue.object(members).canonicalJSON)
    guard digest == .string(actual) else {
      throw UserError(
        path, expected: "unaltered text with digest \(actual)",
        found: digest?.summary ?? "no digest", remedy: remedy)
    }
    // The text too: another last digit can be the same number.
    guard Array(value.prettyJSON.utf8) == text else {
      throw UserError(
        path, expected: "the text as it was written", found: StageIndex.difference(of: text),
        remedy: remedy)
    }
    self.members = members
    if let id, members["id"] != .string(id) {
      throw UserError(
        "\(path): id", expected: id, found: members["id"]?.summary ?? "none", remedy: remedy)
    }
    _ = try environment(of: .object(members), remedy: remedy)
  }

  /// Writes the members and their digest.
  package static func write(_ members: [String: ConfigValue], to directory: String) throws {
    try write(members, path: "\(directory)/\(fileName)")
  }

  package static func write(_ members: [String: ConfigValue], path: String) throws {
    var members = members
    members["format"] = .string(format)
    members["formatVersion"] = .integer(formatVersion)
    members["digest"] = .string(SHA256.hex(of: ConfigValue.object(members).canonicalJSON))
    try AtomicFile.write(ConfigValue.object(members).prettyJSON, to: path)
  }

  /// The name under which `environments` lists an environment.
  package static func key(of environment: ConfigValue) -> String {
    String(SHA256.hex(of: environment.canonicalJSON).prefix(12))
  }

  package subscript(key: String) -> ConfigValue? { members[key] }

  /// Records of everything that the output was made from, each once.
  package var history: [ConfigValue] {
    guard case .array(let records)? = members["history"] else { return [] }
    return records
  }

  /// Every environment that the output or anything in its history was made in, by key.
  package var environments: [String: ConfigValue] {
    guard case .object(let environments)? = members["environments"] else { return [:] }
    return environments
  }

  /// The environment of this output or of a record of its history.
  ///
  /// - Throws: `UserError` when there is none, or when it lacks one of `environmentKeys`.
  package func environment(of record: ConfigValue, remedy: String) throws -> ConfigValue {
    var place = path
    if case .string(let stage)? = record["stage"], case .string(let id)? = record["id"] {
      place += ": \(stage) \(id)"
    }
    guard case .string(let key)? = record["environment"], let environment = environments[key] else {
      throw UserError(
        place, expected: "the environment that it was made in", found: "none", remedy: remedy)
    }
    for key in EvidenceFile.environmentKeys where environment[key] == nil {
      throw UserError(
        "\(place): environment.\(key)", expected: "the environment that it was made in",
        found: "no such member", remedy: remedy)
    }
    return environment
  }

  /// This output as the history of what is made from it lists it.
  ///
  /// - Throws: as `StageIndex`: what is finished has an index.
  package func record(directory: String) throws -> ConfigValue {
    let index = try StageIndex(directory: directory)
    let kept = [
      "stage", "stageVersion", "id", "inputs", "parameters", "environment", "threads", "started",
      "finished", "wallSeconds",
    ]
    var record = members.filter { kept.contains($0.key) }
    record["content"] = .string(index.digest)
    if case .array(let shards)? = index.content["shards"] {
      record["shards"] = .array(shards.compactMap { $0["rawSha256"] })
    }
    return .object(record)
  }

  /// Files that the record vouches for when they are published: those of the index; those that the fact
  /// `published` lists instead, where a copy has measured columns beside the identical ones; and pictures
  /// and texts that were made again from the published CSV.
  package var vouchedFiles: [(name: String, digest: String)] {
    var digests: [String: String] = [:]
    for list in [
      members["files"], members["facts"]?["published"], members["redrawn"], members["rejudged"],
    ] {
      guard case .array(let files)? = list else { continue }
      for file in files {
        if case .string(let name)? = file["name"], case .string(let digest)? = file["sha256"] {
          digests[name] = digest
        }
      }
    }
    return digests.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }
}
