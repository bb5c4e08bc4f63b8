import Support

/// Values that a configuration holds and that can be read from it and written to it.
package protocol Parameters: Sendable, Equatable {
  /// Takes every key from `reader`; the caller finishes it.
  ///
  /// - Throws: `UserError` naming file and key for anything missing, out of range or contradictory.
  init(reader: inout ConfigReader) throws

  /// What `init(reader:)` reads.
  var members: [String: ConfigValue] { get }
}

extension Parameters {
  package var value: ConfigValue { .object(members) }
}

/// The parameters of a stage: the type that planning writes and the stage reads.
package protocol StageParameters: Parameters {
  static var stage: Stage { get }
}

extension StageParameters {
  /// Reads a configuration's parameters; a key that nobody asks for is an error.
  package init(_ configuration: StageConfiguration) throws {
    var reader = try configuration.reader()
    try self.init(reader: &reader)
    try reader.finish()
  }

  package func configuration(
    inputs: [String: StageConfiguration.Input] = [:]
  ) -> StageConfiguration {
    StageConfiguration(
      stage: Self.stage.rawValue, version: Self.stage.version, parameters: value, inputs: inputs)
  }
}

/// Parameters whose keys are the properties marked with `Key`.
package protocol KeyedParameters: Parameters {
  /// All properties unset: for `init(reader:)` alone, or to be set one by one.
  init()

  /// Checks what no single key can: called when all are read.
  func check(_ reader: ConfigReader) throws
}

extension KeyedParameters {
  package init(reader: inout ConfigReader) throws {
    self.init()
    for (name, key) in keys { try key.read(name, from: &reader) }
    try check(reader)
  }

  package func check(_ reader: ConfigReader) throws {}

  package var members: [String: ConfigValue] {
    var members: [String: ConfigValue] = [:]
    for (name, key) in keys { members[name] = key.written }
    return members
  }

  /// The keys by name, in the order in which they are declared.
  package var keys: [(name: String, key: any AnyKey)] {
    Mirror(reflecting: self).children.compactMap { child in
      guard let label = child.label, let key = child.value as? any AnyKey else { return nil }
      // A property wrapper lies under its property's name with an underscore in front.
      return (String(label.dropFirst()), key)
    }
  }
}

/// Parameters that differ by the kind of data; the key `kind` says which they are.
package enum ByKind<Grammar: StageParameters, Text: StageParameters>: StageParameters {
  case grammar(Grammar)
  case text(Text)

  package static var stage: Stage { Grammar.stage }

  package var kind: DataKind {
    switch self {
    case .grammar: .grammar
    case .text: .text
    }
  }

  package init(reader: inout ConfigReader) throws {
    switch try reader.choice("kind", DataKind.self) {
    case .grammar: self = .grammar(try Grammar(reader: &reader))
    case .text: self = .text(try Text(reader: &reader))
    }
  }

  package var members: [String: ConfigValue] {
    var members: [String: ConfigValue]
    switch self {
    case .grammar(let parameters): members = parameters.members
    case .text(let parameters): members = parameters.members
    }
    members["kind"] = .string(kind.rawValue)
    return members
  }
}
