import Support

/// A number of a result file, as a person points at it.
///
///     figure2.json:claims/0/accuracy/effect     members and positions, from the top
///     figure2.csv:17/accuracy                   line as editors count, column
///
/// The file is a path, or one below `results/`, or one below `results/<preset>/`.
package struct NumberAddress: Sendable {
  package let path: String
  package let steps: [String]

  /// - Throws: `UserError` when there is no such file.
  package init(_ text: String, preset: String) throws {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let file = String(parts[0])
    let candidates = [file, "results/\(file)", "results/\(preset)/\(file)"]
    guard let path = candidates.first(where: FileBytes.exists), !file.isEmpty else {
      throw UserError(
        "NUMBER '\(text)'", expected: "a result file, a colon and a place in it",
        found: "none of \(candidates.joined(separator: ", "))",
        remedy: "For example: figure2.json:claims/0/accuracy/effect or figure2.csv:17/accuracy")
    }
    self.path = path
    steps = parts.count < 2 ? [] : parts[1].split(separator: "/").map(String.init)
  }

  /// What stands at an address, and what stands around it.
  package struct Place: Sendable {
    /// The number or text.
    package let value: ConfigValue
    /// Scalars beside it and in the objects around it, nearest first: they say of which runs it is.
    package let surroundings: [[String: ConfigValue]]
  }

  /// - Throws: `UserError` that lists what there is where a step leads nowhere, or where the address
  ///   stops before a number.
  package func resolve() throws -> Place {
    let bytes = try FileBytes.read(path)
    if path.hasSuffix(".csv") { return try row(of: String(decoding: bytes, as: UTF8.self)) }
    return try member(of: ConfigValue.parse(json: bytes, source: path))
  }

  private func member(of root: ConfigValue) throws -> Place {
    var value = root
    var around: [[String: ConfigValue]] = []
    for (position, step) in steps.enumerated() {
      if case .object(let members) = value { around.insert(NumberAddress.scalars(members), at: 0) }
      let next: ConfigValue? =
        switch value {
        case .object(let members): members[step]
        case .array(let items): Int(step).flatMap { items.indices.contains($0) ? items[$0] : nil }
        default: nil
        }
      guard let next else { throw nowhere(position, value, step) }
      value = next
    }
    switch value {
    case .object, .array: throw nowhere(steps.count, value, nil)
    default: return Place(value: value, surroundings: around)
    }
  }

  private func row(of text: String) throws -> Place {
    let lines = ByteLines(Array(text.utf8)).map { String(decoding: $0, as: UTF8.self) }
    let names = (lines.first ?? "").split(separator: ",").map(String.init)
    let expected = "2...\(lines.count), a slash and one of \(names.joined(separator: ", "))"
    guard steps.count == 2, let line = Int(steps[0]), line >= 2, line <= lines.count,
      let column = names.firstIndex(of: steps[1])
    else {
      throw UserError(
        "\(path): place", expected: expected, found: "'\(steps.joined(separator: "/"))'",
        remedy: steps.last.flatMap { EditDistance.nearest(to: $0, among: names) }
          .map { "Did you mean '\($0)'?" })
    }
    let fields = lines[line - 1].split(separator: ",", omittingEmptySubsequences: false)
      .map { NumberAddress.scalar(String($0)) }
    guard fields.count == names.count else {
      throw UserError(
        "\(path):\(line)", expected: "\(names.count) fields", found: "\(fields.count)")
    }
    let row = Dictionary(zip(names, fields)) { first, _ in first }
    return Place(value: fields[column], surroundings: [row])
  }

  private func nowhere(_ position: Int, _ value: ConfigValue, _ step: String?) -> UserError {
    let place = ([path] + steps.prefix(position)).joined(separator: "/")
    let names: [String] =
      switch value {
      case .object(let members): members.keys.sorted()
      case .array(let items): items.isEmpty ? [] : ["0...\(items.count - 1)"]
      default: []
      }
    return UserError(
      place, expected: names.isEmpty ? "the end" : "one of \(names.joined(separator: ", "))",
      found: step.map { "'\($0)'" } ?? "the end of the address",
      remedy: step.flatMap { EditDistance.nearest(to: $0, among: names) }
        .map { "Did you mean '\($0)'?" })
  }

  private static func scalars(_ members: [String: ConfigValue]) -> [String: ConfigValue] {
    members.filter { _, value in
      switch value {
      case .object, .array: false
      default: true
      }
    }
  }

  private static func scalar(_ field: String) -> ConfigValue {
    if let integer = Int(field) { return .integer(integer) }
    return Double(field).map(ConfigValue.double) ?? .string(field)
  }
}
