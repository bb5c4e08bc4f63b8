import Foundation
import Support
import Testing

/// docs/SETTINGS.md lists every setting with its default, and no other.
@Suite struct SettingsDocumentTests {
  private static let project = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path

  @Test(arguments: [
    ("pipeline/defaults.yaml", "## Experiments over grammars"),
    ("pipeline/text/defaults.yaml", "## Experiments over text"),
  ])
  func everySettingHasItsLine(file: String, heading: String) throws {
    let document = String(
      decoding: try FileBytes.read("\(Self.project)/docs/SETTINGS.md"), as: UTF8.self)
    let section = try #require(document.split(separator: heading + "\n", maxSplits: 1).last)
      .prefix { $0 != "#" }
    let found = section.split(separator: "\n").filter { $0.hasPrefix("| `") }
    let defaults = try ConfigValue.parse(
      yaml: String(decoding: try FileBytes.read("\(Self.project)/\(file)"), as: UTF8.self),
      source: file)
    let expected = Self.leaves(defaults).map { key, value in
      let value = value.canonicalJSON.replacing(",", with: ", ").replacing("|", with: "\\|")
      return "| `\(key)` | `\(value)` | "
    }
    for line in expected {
      #expect(found.contains { $0.hasPrefix(line) }, "docs/SETTINGS.md, '\(heading)': \(line)")
    }
    for line in found {
      #expect(expected.contains { line.hasPrefix($0) }, "docs/SETTINGS.md has no default: \(line)")
    }
  }

  private static func leaves(
    _ value: ConfigValue, at path: String = ""
  ) -> [(key: String, value: ConfigValue)] {
    guard case .object(let members) = value else { return [(path, value)] }
    return members.flatMap { leaves($1, at: path.isEmpty ? $0 : "\(path).\($0)") }
  }
}
