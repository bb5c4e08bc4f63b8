import Contracts
import Support

/// The settings of one run: every key of the defaults of its kind, each with its value and the place
/// that the value came from.
///
/// Files override one another key by key; a key that the defaults do not have is an error naming the
/// nearest one they have. A key is a dotted path: `optimizer.learningRate`.
package struct Settings: Sendable {
  package struct Entry: Sendable, Equatable {
    package let value: ConfigValue
    /// File, and part of the file, that set the value last.
    package let origin: String
  }

  package private(set) var entries: [String: Entry] = [:]
  private var defaults: [String: ConfigValue] = [:]
  /// The file that every known key is in.
  private let defaultsOrigin: String

  /// Takes every key of `defaults`, an object of objects.
  package init(defaults: ConfigValue, origin: String) throws {
    defaultsOrigin = origin
    try visit(defaults, path: "", origin: origin) { path, value in
      entries[path] = Entry(value: value, origin: origin)
      self.defaults[path] = value
    }
  }

  /// Overrides the keys that `layer` has. Of a number also by a factor, `0.5x`: half of what it is without.
  ///
  /// - Throws: `UserError` for an unknown key, and for a value of another kind than the default's
  ///   (an integer is taken where a number is expected).
  package mutating func apply(_ layer: ConfigValue, origin: String) throws {
    try visit(layer, path: "", origin: origin) { path, value in
      guard let known = entries[path]?.value else { throw unknown(path, origin: origin) }
      let product = Settings.product(of: known, by: value)
      guard let converted = Settings.converted(product ?? value, like: known) else {
        throw UserError(
          "\(origin): \(path)", expected: Settings.expected(value, like: known),
          found: value.summary + (product.map { ", which makes \($0.summary)" } ?? ""),
          remedy: "The default is \(defaults[path, default: known].canonicalJSON).")
      }
      entries[path] = Entry(value: converted, origin: origin)
    }
  }

  /// The setting at `path`, or all of those below it as an object; nil where there is none.
  package func value(_ path: String) -> ConfigValue? {
    if let entry = entries[path] { return entry.value }
    var members: [String: ConfigValue] = [:]
    for below in entries.keys where below.hasPrefix(path + ".") {
      let key = below.dropFirst(path.count + 1).prefix { $0 != "." }
      members[String(key)] = value("\(path).\(key)")
    }
    return members.isEmpty ? nil : .object(members)
  }

  /// The members of the section `name`.
  package func section(_ name: String) -> [String: ConfigValue] {
    guard case .object(let members)? = value(name) else {
      preconditionFailure("no section \(name)")
    }
    return members
  }

  /// The parameters of a stage: every key from the first of `sections` that has it ("" for the top,
  /// where sections are keys), unless it is computed. Messages name the settings and their files.
  ///
  /// - Parameters:
  ///   - names: settings that are not called as the key.
  ///   - computed: what takes the place of a setting, or has none; nil leaves the key out.
  package func parameters<P: KeyedParameters>(
    _ type: P.Type = P.self, from sections: [String], named names: [String: String] = [:],
    adding computed: [String: ConfigValue?] = [:]
  ) throws -> P {
    var members: [String: ConfigValue] = [:]
    var places: [String: String] = [:]
    for (key, _) in P().keys {
      let paths = names[key].map { [$0] } ?? sections.map { $0.isEmpty ? key : "\($0).\(key)" }
      let path = paths.first { value($0) != nil }
      if let path { places.merge(self.places(below: path, as: key)) { $1 } }
      members[key] = computed[key] ?? path.flatMap(value)
    }
    var reader = try ConfigReader(.object(members), source: defaultsOrigin, places: places)
    let parameters = try P(reader: &reader)
    try reader.finish()
    return parameters
  }

  /// What messages call the settings at and below `path`, by key path, `path` itself being `key`.
  package func places(below path: String, as key: String) -> [String: String] {
    var places: [String: String] = [:]
    for (setting, entry) in entries where setting == path || setting.hasPrefix(path + ".") {
      places[key + setting.dropFirst(path.count)] = "\(entry.origin): \(setting)"
    }
    return places
  }

  /// The value at `path`; nil where it is the number 0.
  func unlessZero(_ path: String) -> ConfigValue? {
    value(path) == .integer(0) ? nil : value(path)
  }

  package func string(_ path: String) throws -> String {
    guard case .string(let text)? = value(path) else { throw fault(path, expected: "a text") }
    return text
  }

  /// An error about the value at `path` that names the file it came from.
  package func fault(_ path: String, expected: String, remedy: String? = nil) -> UserError {
    UserError(
      "\(origin(of: path)): \(path)", expected: expected,
      found: value(path)?.canonicalJSON ?? "nothing", remedy: remedy)
  }

  /// What `body` makes of the setting at `path`; its errors then name the file and the setting too.
  package func locating<Result>(_ path: String, _ body: () throws -> Result) throws -> Result {
    do {
      return try body()
    } catch let error as UserError {
      throw UserError(
        "\(origin(of: path)): \(path): \(error.what)", expected: error.expected,
        found: error.found, remedy: error.remedy)
    }
  }

  private func origin(of path: String) -> String { entries[path]?.origin ?? defaultsOrigin }

  // MARK: - Parts

  /// Calls `body` for every value below `value` that is not an object.
  private func visit(
    _ value: ConfigValue, path: String, origin: String,
    body: (String, ConfigValue) throws -> Void
  ) throws {
    guard case .object(let members) = value else {
      if path.isEmpty {
        throw UserError(origin, expected: "an object of settings", found: value.summary)
      }
      return try body(path, value)
    }
    if !path.isEmpty && entries[path] != nil { throw fault(path, expected: "no object here") }
    for key in members.keys.sorted() {
      guard let member = members[key] else { continue }
      try visit(
        member, path: path.isEmpty ? key : path + "." + key, origin: origin, body: body)
    }
  }

  private func unknown(_ path: String, origin: String) -> UserError {
    let nearest = EditDistance.nearest(to: path, among: entries.keys.sorted())
    return UserError(
      "\(origin): \(path): unknown setting",
      expected: "a key of \(defaultsOrigin)",
      remedy: nearest.map { "Did you mean '\($0)'?" })
  }

  /// The number `known` times the factor `value`, "0.5x"; nil where they are none.
  private static func product(of known: ConfigValue, by value: ConfigValue) -> ConfigValue? {
    guard case .string(let text) = value, text.hasSuffix("x"), let factor = Double(text.dropLast()),
      factor > 0, factor.isFinite
    else { return nil }
    switch known {
    case .integer(let number):
      let product = Double(number) * factor
      return Int(exactly: product).map(ConfigValue.integer) ?? .double(product)
    case .double(let number): return .double(number * factor)
    default: return nil
    }
  }

  private static func converted(_ value: ConfigValue, like known: ConfigValue) -> ConfigValue? {
    switch (known, value) {
    case (.double, .integer(let integer)): Double(exactly: integer).map(ConfigValue.double)
    case (.integer, .integer), (.double, .double), (.string, .string), (.bool, .bool),
      (.array, .array):
      value
    default: nil
    }
  }

  /// What a message expects in place of `value`; of a number also that it can be a factor.
  private static func expected(_ value: ConfigValue, like known: ConfigValue) -> String {
    switch (known, value) {
    case (.integer, .string), (.double, .string): kind(of: known) + " or a factor, such as 2x"
    default: kind(of: known)
    }
  }

  private static func kind(of value: ConfigValue) -> String {
    switch value {
    case .integer: "an integer"
    case .double: "a number"
    case .string: "a text"
    case .bool: "true or false"
    case .array: "a list"
    case .null, .object: value.summary
    }
  }
}
