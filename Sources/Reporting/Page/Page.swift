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
  }

  package let title: String
  package private(set) var blocks: [Block] = []

  package init(title: String) {
    self.title = title
    blocks = [.heading(1, title)]
  }

  package mutating func add(_ block: Block) { blocks.append(block) }

  package mutating func add(_ blocks: [Block]) { self.blocks += blocks }

  // MARK: - Markdown

  package var markdown: String {
    var text = "<!-- Written by ott-report page (make pages): edits are lost. -->\n"
    for block in blocks {
      if !text.isEmpty { text += "\n" }
      switch block {
      case .heading(let level, let title):
        text += String(repeating: "#", count: level) + " \(title)\n"
      case .paragraph(let words): text += words + "\n"
      case .picture(let file, let words): text += "![\(words)](\(file))\n"
      case .table(let names, let alignment, let rows):
        text += Self.table(names, alignment: alignment, rows: rows)
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

  // MARK: - HTML

  /// One file that needs no other: pictures stand in it.
  ///
  /// - Parameter picture: the bytes of a picture, SVG.
  package func html(picture: (String) throws -> [UInt8]) rethrows -> String {
    var body = ""
    for block in blocks {
      switch block {
      case .heading(let level, let title):
        body += "<h\(level)>\(HTMLText.of(title))</h\(level)>\n"
      case .paragraph(let words): body += "<p>\(HTMLText.of(words))</p>\n"
      case .picture(let file, let words):
        body +=
          "<p><img alt=\"\(HTMLText.escaped(words))\" src=\"data:image/svg+xml;base64,"
          + HTMLText.base64(try picture(file)) + "\"></p>\n"
      case .table(let names, let alignment, let rows):
        body += "<div class=\"table\"><table>\n"
        body += Self.row(names, "th", alignment)
        for row in rows { body += Self.row(row, "td", alignment) }
        body += "</table></div>\n"
      }
    }
    return """
      <!DOCTYPE html>
      <!-- Written by ott-report page (make pages): edits are lost. -->
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <title>\(HTMLText.escaped(title))</title>
      <style>
      body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #202020 }
      h2 { margin-top: 3rem; border-top: 1px solid #d0d0d0; padding-top: 1rem }
      .table { overflow-x: auto }
      table { border-collapse: collapse; margin: 1rem 0; font-size: 90% }
      th, td { padding: .25rem .6rem; border-bottom: 1px solid #e4e4e4; text-align: left; vertical-align: top }
      .r { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
      img { max-width: 100% }
      code { background: #f4f4f4; padding: 0 .2em }
      </style>
      </head>
      <body>
      \(body)</body>
      </html>

      """
  }

  private static func row(_ cells: [String], _ tag: String, _ alignment: String) -> String {
    let cells = zip(cells, alignment).map { cell, side in
      "<\(tag)\(side == "r" ? " class=\"r\"" : "")>\(HTMLText.of(cell))</\(tag)>"
    }
    return "<tr>" + cells.joined() + "</tr>\n"
  }
}

/// Texts of a page as HTML.
enum HTMLText {
  static func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
      .replacing("\"", with: "&quot;")
  }

  /// With the marks of a page's texts.
  static func of(_ text: String) -> String {
    var result = ""
    for (number, part) in text.split(separator: "`", omittingEmptySubsequences: false).enumerated()
    {
      result += number % 2 == 1 ? "<code>\(escaped(String(part)))</code>" : words(String(part))
    }
    return result
  }

  private static func words(_ text: String) -> String {
    escaped(text)
      .replacing(#/\*\*(.+?)\*\*/#) { "<strong>\($0.output.1)</strong>" }
      .replacing(#/\[(.+?)\]\((.+?)\)/#) { "<a href=\"\($0.output.2)\">\($0.output.1)</a>" }
  }

  static func base64(_ bytes: [UInt8]) -> String {
    let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var result: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = bytes[start..<min(start + 3, bytes.count)]
      var word = group.reduce(0) { $0 << 8 | UInt32($1) }
      word <<= 8 * UInt32(3 - group.count)
      for place in 0..<4 {
        let digit = digits[Int(word >> UInt32(18 - 6 * place)) & 63]
        result.append(place <= group.count ? digit : UInt8(ascii: "="))
      }
    }
    return String(decoding: result, as: UTF8.self)
  }
}
