import Support

/// One key of a configuration. Its name is the property's; reading, writing, range and message follow
/// from its type and arguments, so that a parameter is this line and nothing else:
///
///     @Key(in: 1...4096) package var lanes: Int
///
/// Optional properties may be left out. Of a number the range is checked wherever it is read: by
/// planning when it writes a configuration, and by the stage.
@propertyWrapper
package struct Key<Value: Sendable & Equatable>: Sendable {
  /// Holds the value while its owner is being read: the only time that it changes in place.
  private final class Cell: @unchecked Sendable {
    var value: Value?

    init(_ value: Value? = nil) { self.value = value }
  }

  private var cell = Cell()
  private let form: KeyForm<Value>

  init(_ form: KeyForm<Value>) { self.form = form }

  /// What an optional value is where it is left out; nil for others.
  private static var absent: Value? {
    guard let type = Value.self as? any ExpressibleByNilLiteral.Type else { return nil }
    return type.init(nilLiteral: ()) as? Value
  }

  /// - Precondition: the parameters were read, or the value was set or may be left out.
  package var wrappedValue: Value {
    get {
      guard let value = cell.value ?? Self.absent else {
        preconditionFailure("a parameter was not set")
      }
      return value
    }
    set { cell = Cell(newValue) }
  }
}

extension Key: Equatable {
  package static func == (a: Key, b: Key) -> Bool { a.cell.value == b.cell.value }
}

/// A key of any type, as `KeyedParameters` walks over them.
package protocol AnyKey {
  func read(_ name: String, from reader: inout ConfigReader) throws
  /// Nil where an optional value is left out.
  var written: ConfigValue? { get }
  /// Values just outside the range, if there is one.
  var outside: [ConfigValue] { get }
  /// The parameters that the key holds, where it holds an object with keys of its own or several.
  var nested: [any KeyedParameters] { get }
}

extension Key: AnyKey {
  package func read(_ name: String, from reader: inout ConfigReader) throws {
    cell.value = try form.read(&reader, name)
  }

  package var written: ConfigValue? { form.write(wrappedValue) }
  package var outside: [ConfigValue] { form.outside }
  package var nested: [any KeyedParameters] {
    cell.value as? [any KeyedParameters] ?? [cell.value as? any KeyedParameters].compactMap { $0 }
  }
}

/// How a value of a type is read and written.
struct KeyForm<Value: Sendable>: Sendable {
  let read: @Sendable (inout ConfigReader, String) throws -> Value
  let write: @Sendable (Value) -> ConfigValue?
  var outside: [ConfigValue] = []
}

// MARK: - Numbers

extension Key where Value == Int {
  package init(in range: ClosedRange<Int>) {
    self.init(
      KeyForm(
        read: { try $0.int($1, in: range) }, write: { .integer($0) }, outside: range.outside))
  }
}

extension Key where Value == Int? {
  package init(in range: ClosedRange<Int>) {
    self.init(
      KeyForm(
        read: { try $0.optionalInt($1, in: range) }, write: { $0.map(ConfigValue.integer) },
        outside: range.outside))
  }
}

extension Key where Value == UInt64 {
  /// A seed: 0 to 2⁶³ − 1.
  package init() {
    self.init(
      KeyForm(
        read: { UInt64(try $0.int($1, in: 0...Int.max)) }, write: { .integer(Int($0)) },
        outside: [-1]))
  }
}

extension Key where Value == [Int] {
  package init(in range: ClosedRange<Int>) {
    self.init(
      KeyForm(
        read: { try $0.ints($1, in: range) },
        write: { .array($0.map(ConfigValue.integer)) },
        outside: range.outside.map { .array([$0]) }))
  }
}

extension Key where Value == [Int]? {
  package init(in range: ClosedRange<Int>) {
    self.init(
      KeyForm(
        read: { $0.has($1) ? try $0.ints($1, in: range) : nil },
        write: { $0.map { .array($0.map(ConfigValue.integer)) } },
        outside: range.outside.map { .array([$0]) }))
  }
}

extension Key where Value == Double {
  package init(in range: ClosedRange<Double>) {
    self.init(
      KeyForm(
        read: { try $0.double($1, in: range) }, write: { .double($0) }, outside: range.outside))
  }

  package init(above low: Double, upTo high: Double) {
    self.init(
      KeyForm(
        read: { reader, name in
          let value = try reader.double(name)
          guard value > low && value <= high else {
            throw reader.fault(
              name, expected: "a number above \(low), up to \(high)", found: "number \(value)")
          }
          return value
        }, write: { .double($0) }, outside: [.double(low), .double(high.nextUp)]))
  }
}

extension Key where Value == Double? {
  package init(in range: ClosedRange<Double>) {
    self.init(
      KeyForm(
        read: { try $0.optionalDouble($1, in: range) }, write: { $0.map(ConfigValue.double) },
        outside: range.outside))
  }
}

extension ClosedRange<Int> {
  fileprivate var outside: [ConfigValue] {
    (lowerBound > Int.min ? [.integer(lowerBound - 1)] : [])
      + (upperBound < Int.max ? [.integer(upperBound + 1)] : [])
  }
}

extension ClosedRange<Double> {
  fileprivate var outside: [ConfigValue] {
    [.double(lowerBound.nextDown), .double(upperBound.nextUp)]
  }
}

// MARK: - Words

extension Key where Value == String {
  package init() {
    self.init(KeyForm(read: { try $0.string($1) }, write: { .string($0) }))
  }
}

extension Key where Value == String? {
  package init() {
    self.init(
      KeyForm(read: { try $0.optionalString($1) }, write: { $0.map(ConfigValue.string) }))
  }
}

extension Key where Value == [String] {
  package init() {
    self.init(
      KeyForm(
        read: { try $0.strings($1) }, write: { .array($0.map(ConfigValue.string)) }))
  }
}

extension Key where Value == Bool {
  package init() {
    self.init(KeyForm(read: { try $0.bool($1) }, write: { .bool($0) }))
  }
}

extension Key where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
  package init() {
    self.init(
      KeyForm(read: { try $0.choice($1, Value.self) }, write: { .string($0.rawValue) }))
  }
}

extension Key {
  package init<Choice: RawRepresentable & CaseIterable & Sendable & Equatable>()
  where Value == Choice?, Choice.RawValue == String {
    self.init(
      KeyForm(
        read: { try $0.optionalChoice($1, Choice.self) },
        write: { $0.map { .string($0.rawValue) } }))
  }
}

// MARK: - Objects

extension Key where Value == ConfigValue {
  /// An object that another room reads.
  package init() {
    self.init(
      KeyForm(
        read: { reader, name in
          guard let value = reader.value(name), case .object = value else {
            throw reader.fault(
              name, expected: "an object", found: reader.value(name)?.summary ?? "no such key")
          }
          return value
        }, write: { $0 }))
  }
}

extension Key where Value: Parameters {
  package init() {
    self.init(
      KeyForm(
        read: {
          var object = try $0.object($1)
          return try Value(reader: &object)
        }, write: \.value))
  }
}

extension Key {
  package init<Object: Parameters>() where Value == Object? {
    self.init(
      KeyForm(
        read: {
          guard var object = try $0.optionalObject($1) else { return nil }
          return try Object(reader: &object)
        }, write: { $0?.value }))
  }

  package init<Object: Parameters>() where Value == [Object] {
    self.init(
      KeyForm(
        read: {
          try $0.objects($1).map { object in
            var object = object
            return try Object(reader: &object)
          }
        }, write: { .array($0.map(\.value)) }))
  }
}

extension Key {
  /// Objects, or nothing.
  package init<Object: Parameters>() where Value == [Object]? {
    self.init(
      KeyForm(
        read: { reader, name in
          guard reader.has(name) else { return nil }
          return try reader.objects(name).map {
            var object = $0
            return try Object(reader: &object)
          }
        }, write: { $0.map { .array($0.map(\.value)) } }))
  }
}

extension Key where Value == [String: [String: Double]] {
  /// Numbers by row and metric.
  package init() {
    self.init(
      KeyForm(
        read: { reader, name in
          var rows = try reader.object(name)
          var result: Value = [:]
          for row in rows.keys {
            var metrics = try rows.object(row)
            result[row] = [:]
            for metric in metrics.keys { result[row]?[metric] = try metrics.double(metric) }
          }
          return result
        }, write: { .object($0.mapValues { .object($0.mapValues(ConfigValue.double)) }) }))
  }
}
