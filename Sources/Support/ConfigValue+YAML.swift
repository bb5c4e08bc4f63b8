import Yams

extension ConfigValue {
  /// Reads one YAML document (JSON is YAML).
  ///
  /// Plain words follow the JSON schema of YAML 1.2: `null`, `~` and nothing are null, `true` and
  /// `false` are booleans, decimal digits are integers, decimals with a point or an exponent are
  /// doubles, everything else is a string, and so is everything in quotes. Duplicate keys, anchors and
  /// aliases, tags, and keys that are not words are errors with file and line.
  ///
  /// A byte order mark in front is skipped.
  ///
  /// - Parameter source: the name of the text in messages, usually its path.
  package static func parse(yaml: String, source: String) throws -> ConfigValue {
    do {
      let text = String(decoding: ByteLines.unmarked(Array(yaml.utf8)), as: UTF8.self)
      let parser = try Parser(yaml: text)
      // The parser owns the anchors that the nodes refer to weakly.
      return try withExtendedLifetime(parser) {
        guard let root = try parser.singleRoot() else { return .null }
        return try convert(root, source: source)
      }
    } catch let error as YamlError {
      throw UserError("\(source): not valid YAML: \(describe(error))")
    }
  }

  /// Reads the file at `path`: strict JSON where it is called `.json`, else YAML.
  package static func load(path: String) throws -> ConfigValue {
    if path.hasSuffix(".json") { return try load(json: path) }
    guard let text = String(validating: try FileBytes.read(path), as: UTF8.self) else {
      throw UserError(path, expected: "UTF-8 text", found: "other bytes")
    }
    return try parse(yaml: text, source: path)
  }

  private static func describe(_ error: YamlError) -> String {
    switch error {
    case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
      .composer(_, let problem, let mark, _):
      "\(problem) (line \(mark.line), column \(mark.column))"
    case .reader(let problem, let offset, _, _):
      problem + (offset.map { " (byte \($0))" } ?? "")
    case .duplicatedKeysInMapping(let duplicates, let context):
      "duplicate key \(duplicates.sorted().map { "'\($0)'" }.joined(separator: ", "))"
        + " (in the mapping at line \(context.mark.line))"
    default: "\(error)"
    }
  }

  private static func convert(_ node: Node, source: String) throws -> ConfigValue {
    let place = node.mark.map { "\(source):\($0.line)" } ?? source
    guard node.anchor == nil else {
      throw UserError(
        "\(place): anchors (&name) and aliases (*name) are not read here. Write it out.")
    }
    switch node {
    case .scalar(let scalar):
      return try convert(scalar, place: place)
    case .sequence(let sequence):
      return .array(try sequence.map { try convert($0, source: source) })
    case .mapping(let mapping):
      var members: [String: ConfigValue] = [:]
      for (key, value) in mapping {
        guard let name = key.scalar?.string else {
          throw UserError("\(place): mapping key", expected: "a word", found: "a collection")
        }
        if let reason = fault(ofKey: name) { throw UserError("\(place): \(reason)") }
        guard members.updateValue(try convert(value, source: source), forKey: name) == nil else {
          throw UserError("\(place): duplicate key '\(name)'. Keep one of them.")
        }
      }
      return .object(members)
    case .alias:
      throw UserError("\(place): aliases (*name) are not read here. Write it out.")
    }
  }

  private static func convert(_ scalar: Node.Scalar, place: String) throws -> ConfigValue {
    let text = scalar.string
    guard scalar.style == .plain || scalar.style == .any else { return .string(text) }
    switch text {
    case "", "~", "null": return .null
    case "true": return .bool(true)
    case "false": return .bool(false)
    default: break
    }
    switch NumberSyntax(text) {
    case .integer:
      guard let value = Int(text) else {
        throw UserError(place, expected: "an integer of 64 bits", found: text)
      }
      return .integer(value)
    case .decimal:
      guard let value = Double(text), value.isFinite else {
        throw UserError(place, expected: "a finite number", found: text)
      }
      return .double(value)
    case nil: return .string(text)
    }
  }
}

/// Whether a text spells a number: [-+]digits, or that with a point, an exponent or both.
enum NumberSyntax {
  case integer
  case decimal

  init?(_ text: String) {
    var rest = Substring(text).utf8
    let digits = { (rest: inout Substring.UTF8View) -> Int in
      let run = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }.count
      rest = rest.dropFirst(run)
      return run
    }
    if rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+") {
      rest = rest.dropFirst()
    }
    let whole = digits(&rest)
    if rest.isEmpty {
      guard whole > 0 else { return nil }
      self = .integer
      return
    }
    var fraction = 0
    if rest.first == UInt8(ascii: ".") {
      rest = rest.dropFirst()
      fraction = digits(&rest)
    }
    guard whole + fraction > 0 else { return nil }
    if rest.first == UInt8(ascii: "e") || rest.first == UInt8(ascii: "E") {
      rest = rest.dropFirst()
      if rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+") {
        rest = rest.dropFirst()
      }
      guard digits(&rest) > 0 else { return nil }
    }
    guard rest.isEmpty else { return nil }
    self = .decimal
  }
}
