import Foundation

/// A tree of plain data: what a configuration, an index or a result consists of.
///
/// Text form is JSON; configurations may be written in the YAML that people like. `canonicalJSON` is
/// one fixed spelling of a value, so its digest is an identity: keys sorted by their UTF-8 bytes, no
/// spaces, integers in decimal, doubles in the shortest spelling that reads back to the same bits (and
/// always with a point or an exponent), so that `parse(json: canonicalJSON)` is the value itself.
package enum ConfigValue: Sendable, Equatable {
  case null
  case bool(Bool)
  case integer(Int)
  case double(Double)
  case string(String)
  case array([ConfigValue])
  case object([String: ConfigValue])

  /// Byte by byte: texts that Unicode calls equivalent and that are spelled otherwise are different
  /// values, as their digests are.
  package static func == (a: ConfigValue, b: ConfigValue) -> Bool {
    switch (a, b) {
    case (.null, .null): true
    case (.bool(let a), .bool(let b)): a == b
    case (.integer(let a), .integer(let b)): a == b
    case (.double(let a), .double(let b)): a == b
    case (.string(let a), .string(let b)): a.utf8.elementsEqual(b.utf8)
    case (.array(let a), .array(let b)): a == b
    case (.object(let a), .object(let b)):
      a.count == b.count
        && a.allSatisfy { key, value in
          guard let place = b.index(forKey: key) else { return false }
          return b[place].key.utf8.elementsEqual(key.utf8) && b[place].value == value
        }
    default: false
    }
  }

  /// Why `key` may not be a key: text that is not in normal form C, of which there are several
  /// spellings that a dictionary takes for one. In form C equal keys have equal bytes.
  static func fault(ofKey key: String) -> String? {
    if key.utf8.allSatisfy({ $0 < 0x80 }) { return nil }
    let composed = key.precomposedStringWithCanonicalMapping
    if composed.utf8.elementsEqual(key.utf8) { return nil }
    let scalars = key.unicodeScalars.filter { !$0.isASCII }
      .map { "U+" + String($0.value, radix: 16, uppercase: true) }
    return
      "the key '\(key)' (\(scalars.joined(separator: " "))) is not in Unicode's normal form C, "
      + "which is '\(composed)'"
  }

  /// The one spelling that digests are taken of.
  package var canonicalJSON: String {
    var text = ""
    write(to: &text, indent: nil)
    return text
  }

  /// The same for reading: two spaces of indentation, arrays of plain numbers or texts on one line,
  /// and a final newline.
  package var prettyJSON: String {
    var text = ""
    write(to: &text, indent: 0)
    return text + "\n"
  }

  /// What kind of value this is, for messages: "integer 3", "string 'abc'", "an object".
  package var summary: String {
    switch self {
    case .null: "null"
    case .bool(let value): "\(value)"
    case .integer(let value): "integer \(value)"
    case .double(let value): "number \(value)"
    case .string(let value): "string '\(value)'"
    case .array(let values): "an array of \(values.count)"
    case .object(let members): "an object of \(members.count)"
    }
  }

  /// The member `key` of an object; nil for other kinds and missing keys.
  package subscript(key: String) -> ConfigValue? {
    guard case .object(let members) = self else { return nil }
    return members[key]
  }

  // MARK: - Writing

  private var isScalar: Bool {
    switch self {
    case .array, .object: false
    default: true
    }
  }

  private func write(to text: inout String, indent: Int?) {
    switch self {
    case .null: text += "null"
    case .bool(let value): text += value ? "true" : "false"
    case .integer(let value): text += String(value)
    case .double(let value): ConfigValue.write(value, to: &text)
    case .string(let value): ConfigValue.write(value, to: &text)
    case .array(let values):
      let inner = values.allSatisfy(\.isScalar) ? nil : indent
      let separator = inner == nil && indent != nil ? ", " : ","
      ConfigValue.write(values, open: "[", close: "]", separator, indent: inner, to: &text) {
        $0.write(to: &$1, indent: $2)
      }
    case .object(let members):
      let sorted = members.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
      ConfigValue.write(sorted, open: "{", close: "}", ",", indent: indent, to: &text) {
        ConfigValue.write($0.key, to: &$1)
        $1 += $2 == nil ? ":" : ": "
        $0.value.write(to: &$1, indent: $2)
      }
    }
  }

  private static func write<Item>(
    _ items: [Item], open: String, close: String, _ separator: String, indent: Int?,
    to text: inout String, item write: (Item, inout String, Int?) -> Void
  ) {
    let inner = indent.map { $0 + 2 }
    let newline = { (width: Int?) in width.map { "\n" + String(repeating: " ", count: $0) } ?? "" }
    text += open
    for (position, item) in items.enumerated() {
      text += (position == 0 ? "" : separator) + newline(inner)
      write(item, &text, inner)
    }
    text += (items.isEmpty ? "" : newline(indent)) + close
  }

  /// Numbers that JSON does not have become the texts "nan", "inf" and "-inf".
  private static func write(_ value: Double, to text: inout String) {
    text += value.isFinite ? "\(value)" : "\"\(value)\""
  }

  private static func write(_ value: String, to text: inout String) {
    text += "\""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\t": text += "\\t"
      case "\r": text += "\\r"
      case "\u{0}"..<"\u{20}":
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }
}

// MARK: - Literals

extension ConfigValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral,
  ExpressibleByDictionaryLiteral
{
  package init(stringLiteral value: String) { self = .string(value) }
  package init(integerLiteral value: Int) { self = .integer(value) }
  package init(floatLiteral value: Double) { self = .double(value) }
  package init(booleanLiteral value: Bool) { self = .bool(value) }
  package init(arrayLiteral elements: ConfigValue...) { self = .array(elements) }
  package init(dictionaryLiteral elements: (String, ConfigValue)...) {
    self = .object(Dictionary(uniqueKeysWithValues: elements))
  }
}
