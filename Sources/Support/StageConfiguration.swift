/// What one run of a stage is asked to do, and thereby its identity.
///
/// File form (YAML or JSON):
///
///     stage: map
///     version: 1
///     parameters: {…}
///     inputs: {tokens: {id: 0123456789ab, path: data/tokenize/0123456789ab}}
///
/// `id` is the first 12 hexadecimal digits of SHA-256 over the canonical JSON of
/// {"inputs": {name: id}, "parameters": …, "stage": …, "version": …}. Paths are not part of it.
package struct StageConfiguration: Sendable, Equatable {
  package struct Input: Sendable, Equatable {
    package let id: String
    package let path: String

    package init(id: String, path: String) {
      self.id = id
      self.path = path
    }
  }

  package let stage: String
  package let version: Int
  /// An object.
  package let parameters: ConfigValue
  package let inputs: [String: Input]
  /// The name of the file this came from, for messages.
  package let source: String

  package init(
    stage: String, version: Int, parameters: ConfigValue, inputs: [String: Input] = [:],
    source: String = "configuration"
  ) {
    self.stage = stage
    self.version = version
    self.parameters = parameters
    self.inputs = inputs
    self.source = source
  }

  package static func load(from path: String) throws -> StageConfiguration {
    try StageConfiguration(ConfigValue.load(path: path), source: path)
  }

  /// Checks the shape; what the parameters mean is the stage's own matter.
  package init(_ value: ConfigValue, source: String) throws {
    var reader = try ConfigReader(value, source: source)
    stage = try reader.string("stage")
    version = try reader.int("version", in: 1...Int(Int32.max))
    parameters = reader.value("parameters") ?? .object([:])
    guard case .object = parameters else {
      throw UserError("\(source): parameters", expected: "an object", found: parameters.summary)
    }
    var inputs: [String: Input] = [:]
    if var group = try reader.optionalObject("inputs") {
      for name in group.keys {
        var entry = try group.object(name)
        let id = try entry.string("id")
        guard StageConfiguration.isID(id) else {
          throw entry.fault("id", expected: "12 hexadecimal digits", found: "'\(id)'")
        }
        inputs[name] = Input(id: id, path: try entry.string("path"))
      }
    }
    try reader.finish()
    self.inputs = inputs
    self.source = source
  }

  /// The file form.
  package var file: ConfigValue {
    [
      "stage": .string(stage), "version": .integer(version), "parameters": parameters,
      "inputs": .object(
        inputs.mapValues { ["id": .string($0.id), "path": .string($0.path)] }),
    ]
  }

  /// What the identity is taken of.
  package var identity: ConfigValue {
    [
      "stage": .string(stage), "version": .integer(version), "parameters": parameters,
      "inputs": .object(inputs.mapValues { .string($0.id) }),
    ]
  }

  package var id: String {
    String(SHA256.hex(of: identity.canonicalJSON).prefix(12))
  }

  /// A reader of `parameters` whose messages name the file and "parameters.key".
  package func reader() throws -> ConfigReader {
    try ConfigReader(parameters, source: source, path: "parameters")
  }

  /// The input called `name`, or an error that lists those there are.
  package func input(_ name: String) throws -> Input {
    guard let input = inputs[name] else {
      let known = inputs.keys.sorted().joined(separator: ", ")
      throw UserError(
        "\(source): inputs.\(name)", expected: "an object with id and path",
        found: known.isEmpty ? "no inputs" : "only \(known)")
    }
    return input
  }

  package static func isID(_ text: String) -> Bool {
    text.utf8.count == 12
      && text.utf8.allSatisfy {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
          || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
      }
  }
}
