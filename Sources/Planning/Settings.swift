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
  /// The file that every known key is in.
  private let defaultsOrigin: String

  /// Takes every key of `defaults`, an object of objects.
  package init(defaults: ConfigValue, origin: String) throws {
    defaultsOrigin = origin
    try visit(defaults, path: "", origin: origin) { path, value in
      entries[path] = Entry(value: value, origin: origin)
    }
  }

  /// Overrides the keys that `layer` has.
  ///
  /// - Throws: `UserError` for an unknown key, and for a value of another kind than the default's
  ///   (an integer is taken where a number is expected).
  package mutating func apply(_ layer: ConfigValue, origin: String) throws {
    try visit(layer, path: "", origin: origin) { path, value in
      guard let known = entries[path]?.value else { throw unknown(path, origin: origin) }
      guard let converted = Settings.converted(value, like: known) else {
        throw UserError(
          "\(origin): \(path)", expected: Settings.kind(of: known), found: value.summary,
          remedy: "The default is \(known.canonicalJSON).")
      }
      entries[path] = Entry(value: converted, origin: origin)
    }
  }

  /// The keys below `section` as one object: what a stage gets as its parameters.
  package func section(_ name: String) -> ConfigValue {
    var members: [String: ConfigValue] = [:]
    for (path, entry) in entries where path.hasPrefix(name + ".") {
      members[String(path.dropFirst(name.count + 1))] = entry.value
    }
    return .object(members)
  }

  package func value(_ path: String) -> ConfigValue {
    guard let entry = entries[path] else { preconditionFailure("no setting \(path)") }
    return entry.value
  }

  package func int(_ path: String, in range: ClosedRange<Int> = 0...Int.max) throws -> Int {
    guard case .integer(let value) = value(path), range.contains(value) else {
      let bounds =
        range.upperBound == Int.max ? "\(range.lowerBound) or more" : "\(range)"
      throw fault(path, expected: "an integer, \(bounds)")
    }
    return value
  }

  package func double(_ path: String, in range: ClosedRange<Double>) throws -> Double {
    guard case .double(let value) = value(path), range.contains(value) else {
      throw fault(path, expected: "a number in \(range.lowerBound)...\(range.upperBound)")
    }
    return value
  }

  package func ints(_ path: String, in range: ClosedRange<Int>) throws -> [Int] {
    if case .array(let values) = value(path), !values.isEmpty {
      let integers = values.compactMap { value -> Int? in
        guard case .integer(let integer) = value, range.contains(integer) else { return nil }
        return integer
      }
      if integers.count == values.count { return integers }
    }
    throw fault(path, expected: "a list of integers in \(range)")
  }

  package func string(_ path: String) throws -> String {
    guard case .string(let text) = value(path) else { throw fault(path, expected: "a text") }
    return text
  }

  /// An error about the value at `path` that names the file it came from.
  package func fault(_ path: String, expected: String) -> UserError {
    let entry = entries[path]
    return UserError(
      "\(entry?.origin ?? "settings"): \(path)", expected: expected,
      found: entry?.value.canonicalJSON ?? "nothing")
  }

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

  private static func converted(_ value: ConfigValue, like known: ConfigValue) -> ConfigValue? {
    switch (known, value) {
    case (.double, .integer(let integer)): Double(exactly: integer).map(ConfigValue.double)
    case (.integer, .integer), (.double, .double), (.string, .string), (.bool, .bool),
      (.array, .array):
      value
    default: nil
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
