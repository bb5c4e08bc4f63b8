/// A page of results, before it is spelt as Markdown or HTML.
///
/// Texts have three marks: `code`, **strong** and [name](address).
package struct Page: Sendable, Equatable {
  package enum Block: Sendable, Equatable {
    case heading(Int, String)
    case paragraph(String)
    /// Alignment is by column: "l" or "r".
    case table([String], alignment: String, rows: [[String]])
    /// A file beside the page.
    case picture(file: String, text: String)
    /// The published CSV of a figure, which HTML shows on demand.
    case observations(figure: String, csv: String)
  }

  package let title: String
  package private(set) var blocks: [Block] = []

  package init(title: String) {
    self.title = title
    blocks = [.heading(1, title)]
  }

  package mutating func add(_ block: Block) { blocks.append(block) }

  package mutating func add(_ blocks: [Block]) { self.blocks += blocks }

  /// Where a heading is found, by the rule of those who show Markdown: small letters, digits, `-` and `_`, and
  /// a `-` for every space.
  static func anchor(of heading: String) -> String {
    String(
      heading.lowercased().compactMap { character in
        if character == " " { return "-" }
        return character.isLetter || character.isNumber || "-_".contains(character)
          ? character : nil
      })
  }

  // MARK: - Markdown

  package var markdown: String {
    var text = "<!-- Written by ott-report page (make pages): edits are lost. -->\n"
    for block in blocks {
      if case .observations = block { continue }
      text += "\n"
      switch block {
      case .heading(let level, let title):
        text += String(repeating: "#", count: level) + " \(title)\n"
      case .paragraph(let words): text += words + "\n"
      case .picture(let file, let words): text += "![\(words)](\(file))\n"
      case .table(let names, let alignment, let rows):
        text += Self.table(names, alignment: alignment, rows: rows)
      case .observations: break
      }
    }
    return text
  }

  /// A table in Markdown.
  static func table(_ names: [String], alignment: String, rows: [[String]]) -> String {
    line(names) + line(alignment.map { $0 == "r" ? "---:" : "---" })
      + rows.map { line($0.map { $0.replacing("|", with: "\\|") }) }.joined()
  }

  private static func line(_ cells: [String]) -> String {
    "| " + cells.joined(separator: " | ") + " |\n"
  }
}
