import Foundation
import Mustache
import Provenance
import Support

/// The other spelling of a page: one HTML file that needs no other, with pictures, observations and the way
/// back from every number in it. The markup is in Templates/.
package struct HTMLPage {
  let page: Page
  let preset: String
  /// By figure.
  let histories: [String: FigureHistory]
  /// The runs behind the addresses that the page names: figure, place in its JSON, names and ids.
  let runs: [String: [String: [(name: String, id: String)]]]

  package init(
    page: Page, preset: String, histories: [String: FigureHistory] = [:],
    runs: [String: [String: [(name: String, id: String)]]] = [:]
  ) {
    (self.page, self.preset, self.histories, self.runs) = (page, preset, histories, runs)
  }

  /// - Parameter picture: the bytes of a picture, SVG.
  package func text(picture: (String) throws -> [UInt8]) throws -> String {
    let template = try MustacheTemplate(string: Self.text(PackageResources.page_mustache))
    var contents: [[String: Any]] = []
    var blocks: [[String: Any]] = []
    for block in page.blocks {
      let (kind, value) = try context(of: block, picture: picture)
      blocks.append([kind: value])
      if kind == "heading", value["id"] != nil { contents.append(value) }
    }
    return template.render([
      "title": page.title, "contents": contents, "blocks": blocks,
      "histories": histories.sorted { $0.key < $1.key }.map { figure, history in
        ["figure": figure, "json": Self.inScript(json(of: history, figure).canonicalJSON)]
      },
      "style": Self.text(PackageResources.page_css), "script": Self.text(PackageResources.page_js),
    ])
  }

  // MARK: - Blocks

  private func context(of block: Page.Block, picture: (String) throws -> [UInt8]) throws
    -> (kind: String, value: [String: Any])
  {
    switch block {
    case .heading(let level, let title):
      var value: [String: Any] = ["level": level, "html": HTMLText.of(title)]
      // A figure's heading is "name: title".
      if level == 2 {
        value["id"] = Page.anchor(of: title)
        value["name"] = String(title.prefix { $0 != ":" })
      }
      return ("heading", value)
    case .paragraph(let words): return ("paragraph", ["html": HTMLText.of(words)])
    case .picture(let file, let words):
      return ("picture", ["text": words, "data": Data(try picture(file)).base64EncodedString()])
    case .observations(let figure, let csv):
      let lines = csv.utf8.count { $0 == UInt8(ascii: "\n") } - 1
      return ("observations", ["figure": figure, "count": lines, "csv": Self.inScript(csv)])
    case .table(let names, let alignment, let rows):
      return ("table", table(names, Array(alignment), rows))
    }
  }

  private func table(_ names: [String], _ sides: [Character], _ rows: [[String]]) -> [String: Any] {
    func cells(_ texts: [String]) -> [[String: Any]] {
      zip(texts, sides).map { ["html": HTMLText.of($0), "right": $1 == "r"] }
    }
    return [
      "names": cells(names),
      "rows": rows.map { row -> [String: Any] in
        var value: [String: Any] = ["cells": cells(row)]
        if let address = row.last.flatMap(PageAddress.init),
          runs[address.figure]?[address.place] != nil
        {
          value["address"] = address.text
        }
        return value
      },
    ]
  }

  // MARK: - Histories

  /// What the page's script reads.
  private func json(of history: FigureHistory, _ figure: String) -> ConfigValue {
    .object([
      "preset": .string(preset), "report": .string(history.report),
      "records": .object(
        history.records.mapValues { record in
          .object([
            "title": .string(record.title), "lines": .array(record.lines.map(ConfigValue.string)),
            "inputs": .array(record.inputs.map(ConfigValue.string)),
          ])
        }),
      "environments": .array(history.environments.map { .array($0.map(ConfigValue.string)) }),
      "runs": .object(
        (runs[figure] ?? [:]).mapValues { runs in
          .array(runs.map { .array([.string($0.name), .string($0.id)]) })
        }),
    ])
  }

  /// Nothing in it ends the element that it stands in; JSON reads `\u003c` as it was.
  private static func inScript(_ text: String) -> String { text.replacing("<", with: "\\u003c") }

  private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}

/// A cell of a page that says where a number stands: `figure.json:place` in the mark of code.
struct PageAddress {
  let figure: String
  let place: String
  var text: String { "\(figure).json:\(place)" }

  init?(_ cell: String) {
    guard cell.hasPrefix("`"), cell.hasSuffix("`"), let middle = cell.firstRange(of: ".json:")
    else {
      return nil
    }
    figure = String(cell[cell.index(after: cell.startIndex)..<middle.lowerBound])
    place = String(cell[middle.upperBound...].dropLast())
  }
}

/// Texts of a page as HTML.
enum HTMLText {
  private static func escaped(_ text: String) -> String {
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
}
