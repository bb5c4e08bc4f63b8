/// Reads an object strictly: what is not asked for must not be there.
///
/// Take every key by its type, then call `finish()` on the outermost reader: any key that nobody asked
/// for, here or in an object opened from here, is an error that names the nearest key somebody did ask
/// for. Every error gives file, key path, what was expected and what was found.
///
///     var reader = try ConfigReader(value, source: "train.yaml")
///     let steps = try reader.int("steps", in: 1...1_000_000)
///     var model = try reader.object("model")
///     let width = try model.int("width", in: 1...65_536)
///     try reader.finish()
package struct ConfigReader {
  private let node: Node
  package let source: String
  package let path: String
  /// What messages call a value, by its key path, where it is not "source: path".
  private let places: [String: String]

  /// What has been asked of one object, shared by copies of its reader.
  private final class Node {
    let members: [String: ConfigValue]
    var asked: Set<String> = []
    var resolved: [String: ConfigValue] = [:]
    var children: [(key: String, reader: ConfigReader)] = []

    init(_ members: [String: ConfigValue]) { self.members = members }
  }

  /// - Parameters:
  ///   - value: must be an object.
  ///   - source: file name for messages.
  ///   - path: key path of `value` inside the file, "" at the top.
  ///   - places: what messages call the values that came from elsewhere, by key path.
  package init(
    _ value: ConfigValue, source: String, path: String = "", places: [String: String] = [:]
  ) throws {
    guard case .object(let members) = value else {
      throw UserError(
        path.isEmpty ? source : places[path] ?? "\(source): \(path)", expected: "an object",
        found: value.summary)
    }
    node = Node(members)
    self.source = source
    self.path = path
    self.places = places
  }

  // MARK: - Scalars

  /// An integer; `default` stands in for a missing key and must lie in `range` too.
  package mutating func int(
    _ key: String, default value: Int? = nil, in range: ClosedRange<Int>? = nil
  ) throws -> Int {
    try required(
      key, optionalInt(key, in: range), default: value, ConfigValue.integer, "an integer")
  }

  package mutating func optionalInt(
    _ key: String, in range: ClosedRange<Int>? = nil
  ) throws -> Int? {
    let expected = range.map { "an integer in \(spelled($0))" } ?? "an integer"
    return try read(key, expected: expected) { value in
      guard case .integer(let integer) = value, range?.contains(integer) ?? true else { return nil }
      return integer
    }
  }

  /// A number; integers are taken as doubles where they are exact.
  package mutating func double(
    _ key: String, default value: Double? = nil, in range: ClosedRange<Double>? = nil
  ) throws -> Double {
    try required(
      key, optionalDouble(key, in: range), default: value, ConfigValue.double, "a number")
  }

  package mutating func optionalDouble(
    _ key: String, in range: ClosedRange<Double>? = nil
  ) throws -> Double? {
    let expected = range.map { "a number in \($0.lowerBound)...\($0.upperBound)" } ?? "a number"
    return try read(key, expected: expected) { value in
      guard let number = ConfigReader.number(value), range?.contains(number) ?? true else {
        return nil
      }
      return number
    }
  }

  package mutating func string(_ key: String, default value: String? = nil) throws -> String {
    try required(key, optionalString(key), default: value, ConfigValue.string, "a string")
  }

  package mutating func optionalString(_ key: String) throws -> String? {
    try read(key, expected: "a string") { value in
      guard case .string(let text) = value else { return nil }
      return text
    }
  }

  package mutating func bool(_ key: String, default value: Bool? = nil) throws -> Bool {
    try required(key, optionalBool(key), default: value, ConfigValue.bool, "true or false")
  }

  package mutating func optionalBool(_ key: String) throws -> Bool? {
    try read(key, expected: "true or false") { value in
      guard case .bool(let flag) = value else { return nil }
      return flag
    }
  }

  /// One of the cases of `Choice`, written as its raw value.
  package mutating func choice<Choice: RawRepresentable & CaseIterable>(
    _ key: String, _ type: Choice.Type, default value: Choice? = nil
  ) throws -> Choice where Choice.RawValue == String {
    try required(
      key, optionalChoice(key, type), default: value, { .string($0.rawValue) },
      ConfigReader.listed(type))
  }

  package mutating func optionalChoice<Choice: RawRepresentable & CaseIterable>(
    _ key: String, _ type: Choice.Type
  ) throws -> Choice? where Choice.RawValue == String {
    try read(key, expected: ConfigReader.listed(type)) { value in
      guard case .string(let text) = value else { return nil }
      return Choice.allCases.first { $0.rawValue.utf8.elementsEqual(text.utf8) }
    }
  }

  // MARK: - Lists and objects

  package mutating func ints(
    _ key: String, default value: [Int]? = nil, in range: ClosedRange<Int>? = nil
  ) throws -> [Int] {
    let expected = "a list of integers" + (range.map { " in \(spelled($0))" } ?? "")
    let found: [Int]? = try read(key, expected: expected) { value in
      guard case .array(let values) = value else { return nil }
      let integers = values.compactMap { value -> Int? in
        guard case .integer(let integer) = value, range?.contains(integer) ?? true else {
          return nil
        }
        return integer
      }
      return integers.count == values.count ? integers : nil
    }
    return try required(
      key, found, default: value, { .array($0.map(ConfigValue.integer)) }, expected)
  }

  package mutating func doubles(_ key: String, default value: [Double]? = nil) throws -> [Double] {
    let expected = "a list of numbers"
    let found: [Double]? = try read(key, expected: expected) { value in
      guard case .array(let values) = value else { return nil }
      let numbers = values.compactMap(ConfigReader.number)
      return numbers.count == values.count ? numbers : nil
    }
    return try required(
      key, found, default: value, { .array($0.map(ConfigValue.double)) }, expected)
  }

  package mutating func strings(_ key: String, default value: [String]? = nil) throws -> [String] {
    let expected = "a list of strings"
    let found: [String]? = try read(key, expected: expected) { value in
      guard case .array(let values) = value else { return nil }
      let texts = values.compactMap { value -> String? in
        guard case .string(let text) = value else { return nil }
        return text
      }
      return texts.count == values.count ? texts : nil
    }
    return try required(
      key, found, default: value, { .array($0.map(ConfigValue.string)) }, expected)
  }

  /// The object under `key`, to be read by its own reader; `finish()` here finishes it too.
  package mutating func object(_ key: String) throws -> ConfigReader {
    guard let reader = try optionalObject(key) else {
      throw missing(key, expected: "an object")
    }
    return reader
  }

  package mutating func optionalObject(_ key: String) throws -> ConfigReader? {
    guard let value = value(key) else { return nil }
    let reader = try ConfigReader(value, source: source, path: joined(key), places: places)
    node.children.append((key, reader))
    return reader
  }

  /// The objects of the list under `key`, each with its own reader.
  package mutating func objects(_ key: String) throws -> [ConfigReader] {
    guard let value = value(key) else { throw missing(key, expected: "a list of objects") }
    guard case .array(let values) = value else {
      throw fault(key, expected: "a list of objects", found: value)
    }
    return try values.enumerated().map { position, value in
      let reader = try ConfigReader(
        value, source: source, path: "\(joined(key))[\(position)]", places: places)
      node.children.append(("\(key)[\(position)]", reader))
      return reader
    }
  }

  /// Any value, unexamined; nil for a missing key and for null.
  package mutating func value(_ key: String) -> ConfigValue? {
    node.asked.insert(key)
    guard let value = node.members[key], value != .null else { return nil }
    node.resolved[key] = value
    return value
  }

  /// The names of all members, for objects whose keys are data; takes none of them.
  package var keys: [String] { node.members.keys.sorted() }

  /// Whether `key` is there and not null; takes it as a known key.
  package mutating func has(_ key: String) -> Bool {
    value(key) != nil
  }

  // MARK: - The end

  /// Fails on the first key (in alphabetical order) that nobody asked for, here or below.
  package func finish() throws {
    for key in keys where !node.asked.contains(key) {
      let known = node.asked.sorted()
      let nearest = EditDistance.nearest(to: key, among: known)
      throw UserError(
        "\(place(of: key)): unknown key",
        expected: known.isEmpty ? "no keys here" : "one of \(known.joined(separator: ", "))",
        remedy: nearest.map { "Did you mean '\(joined($0))'?" })
    }
    for child in node.children { try child.reader.finish() }
  }

  /// Everything that was read, with defaults spelled out.
  package var resolved: ConfigValue {
    var members = node.resolved
    for child in node.children where !child.key.hasSuffix("]") {
      members[child.key] = child.reader.resolved
    }
    return .object(members)
  }

  /// An error about `key` of this object in the words of all others, for checks across keys.
  package func fault(
    _ key: String, expected: String, found: String, remedy: String? = nil
  ) -> UserError {
    UserError(place(of: key), expected: expected, found: found, remedy: remedy)
  }

  /// What `body` makes of `key`; its errors then name the file and the key too.
  package func locating<Result>(_ key: String, _ body: () throws -> Result) throws -> Result {
    do {
      return try body()
    } catch let error as UserError {
      throw UserError(
        "\(place(of: key)): \(error.what)", expected: error.expected, found: error.found,
        remedy: error.remedy)
    }
  }

  // MARK: - Parts

  private mutating func read<Value>(
    _ key: String, expected: String, convert: (ConfigValue) -> Value?
  ) throws -> Value? {
    guard let found = value(key) else { return nil }
    guard let converted = convert(found) else {
      throw fault(key, expected: expected, found: found)
    }
    return converted
  }

  private func required<Value>(
    _ key: String, _ found: Value?, default standard: Value?, _ encode: (Value) -> ConfigValue,
    _ expected: String
  ) throws -> Value {
    if let found { return found }
    guard let standard else { throw missing(key, expected: expected) }
    node.resolved[key] = encode(standard)
    return standard
  }

  private func missing(_ key: String, expected: String) -> UserError {
    let unread = keys.filter { !node.asked.contains($0) }
    let nearest = EditDistance.nearest(to: key, among: unread)
    return UserError(
      place(of: key), expected: expected, found: "no such key",
      remedy: nearest.map { "Is '\(joined($0))' a misspelling of it?" } ?? "Add it.")
  }

  private func fault(_ key: String, expected: String, found: ConfigValue) -> UserError {
    fault(key, expected: expected, found: found.summary)
  }

  private func joined(_ key: String) -> String {
    path.isEmpty ? key : "\(path).\(key)"
  }

  private func place(of key: String) -> String {
    let path = joined(key)
    return places[path] ?? "\(source): \(path)"
  }

  private func spelled(_ range: ClosedRange<Int>) -> String {
    range.upperBound == Int.max ? "\(range.lowerBound)..." : "\(range)"
  }

  private static func number(_ value: ConfigValue) -> Double? {
    switch value {
    case .double(let number): number
    case .integer(let integer): Double(exactly: integer)
    default: nil
    }
  }

  private static func listed<Choice: RawRepresentable & CaseIterable>(
    _ type: Choice.Type
  ) -> String where Choice.RawValue == String {
    "one of \(type.allCases.map(\.rawValue).joined(separator: ", "))"
  }
}
