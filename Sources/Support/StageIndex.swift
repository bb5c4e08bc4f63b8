/// `index.json`: the identity of a finished stage directory, its commit marker and its Make target.
///
/// Its bytes are a function of the configuration and of what the stage computed, nothing else: two
/// runs give the same file. The last member, `digest`, is SHA-256 over the canonical JSON of all other
/// members, and the text must be exactly the pretty JSON of its value, so any changed byte is found.
package struct StageIndex: Sendable, Equatable {
  package static let fileName = "index.json"
  package static let format = "overtoken index"
  package static let formatVersion = 1

  package let directory: String
  package let stage: String
  package let version: Int
  package let id: String
  package let parameters: ConfigValue
  /// Input name → id.
  package let inputs: [String: String]
  /// What the stage says about its output; members depend on the stage.
  package let content: [String: ConfigValue]
  /// SHA-256 over all other members.
  package let digest: String

  /// Writes `directory/index.json` for a finished stage. `content` must not use the names of the
  /// common members.
  package static func write(
    to directory: String, configuration: StageConfiguration, content: [String: ConfigValue]
  ) throws {
    var members: [String: ConfigValue] = [
      "format": .string(format), "formatVersion": .integer(formatVersion),
      "stage": .string(configuration.stage), "version": .integer(configuration.version),
      "id": .string(configuration.id), "parameters": configuration.parameters,
      "inputs": .object(configuration.inputs.mapValues { .string($0.id) }),
    ]
    members.merge(content) { common, _ in
      preconditionFailure("index content repeats a common member: \(common)")
    }
    members["digest"] = .string(SHA256.hex(of: ConfigValue.object(members).canonicalJSON))
    try AtomicFile.write(ConfigValue.object(members).prettyJSON, to: directory + "/" + fileName)
  }

  /// Reads and checks `directory/index.json`.
  ///
  /// - Throws: `UserError` for a missing, foreign, outdated or altered index.
  package init(directory: String) throws {
    let path = directory + "/" + StageIndex.fileName
    let remedy = StageIndex.remedy(directory)
    guard FileBytes.exists(path) else {
      throw UserError(
        path, expected: "the index of a finished stage", found: "no such file",
        remedy: StageIndex.plannedOutput(of: directory).map {
          "Run: make \($0)/\(StageIndex.fileName)"
        }
          ?? "Run the stage that makes it.")
    }
    let value: ConfigValue
    let text: [UInt8]
    do {
      text = try FileBytes.read(path)
      value = try ConfigValue.parse(json: text, source: path)
    } catch let error as UserError {
      throw UserError(
        error.what, expected: error.expected, found: error.found, remedy: remedy)
    }
    guard case .object(var members) = value, members["format"] == .string(StageIndex.format) else {
      throw UserError(path, expected: "an overtoken index", found: "a foreign file", remedy: remedy)
    }
    guard members["formatVersion"] == .integer(StageIndex.formatVersion) else {
      throw UserError(
        path, expected: "index format \(StageIndex.formatVersion)",
        found: members["formatVersion"]?.summary ?? "none", remedy: remedy)
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
    var reader = try ConfigReader(.object(members), source: path)
    self.directory = directory
    self.digest = actual
    stage = try reader.string("stage")
    version = try reader.int("version")
    id = try reader.string("id")
    parameters = reader.value("parameters") ?? .object([:])
    var inputs: [String: String] = [:]
    var group = try reader.object("inputs")
    for name in group.keys { inputs[name] = try group.string(name) }
    self.inputs = inputs
    let common = [
      "format", "formatVersion", "stage", "version", "id", "parameters", "inputs",
    ]
    for key in common { members[key] = nil }
    content = members
  }

  /// A reader of `content` whose messages name the index file.
  package func reader() throws -> ConfigReader {
    try ConfigReader(.object(content), source: directory + "/" + StageIndex.fileName)
  }

  /// The member `metadata` of the content, or an empty object.
  package var metadata: ConfigValue { content["metadata"] ?? .object([:]) }

  /// How the text of a sealed file whose values are right may differ from what was written.
  static func difference(of text: [UInt8]) -> String {
    text.contains(0x0D)
      ? "the same values with Windows line ends" : "the same values, spelled otherwise"
  }

  /// How to get the directory back, or the output that it is a part of. Make knows the places that
  /// planning gives, and no others.
  package static func remedy(_ directory: String) -> String {
    guard let output = plannedOutput(of: directory) else {
      return "Delete \(directory) and run the stage that makes it again."
    }
    return "Run: rm -r \(output) && make \(output)/\(fileName)"
  }

  /// data/<stage>/<id> of a path that begins like that.
  private static func plannedOutput(of directory: String) -> String? {
    let parts = directory.split(separator: "/", omittingEmptySubsequences: false).prefix(3)
    guard parts.count == 3, parts[0] == "data", StageConfiguration.isID(String(parts[2])) else {
      return nil
    }
    return parts.joined(separator: "/")
  }

  /// {"bytes", "name", "sha256"} of each file of `directory`, in the order given: for stages whose
  /// output is not shards.
  package static func describe(files names: [String], in directory: String) throws -> ConfigValue {
    .array(
      try names.map { name in
        let bytes = try FileBytes.read(directory + "/" + name)
        return [
          "name": .string(name), "bytes": .integer(bytes.count),
          "sha256": .string(SHA256.hex(of: bytes)),
        ]
      })
  }
}
