import Provenance
import Support

/// A figure or table as it is published: `<name>.json` and what stands beside it.
package struct PublishedFigure: Sendable {
  package let name: String
  package let json: ConfigValue
  /// The published CSV.
  package let table: PublishedTable
  package let evidence: EvidenceFile
  /// Files of the figure that are there, by ending: csv, json, svg, md, evidence.json.
  package let endings: [String]

  package var title: String { json["title"]?.text ?? name }
  /// Of its part of a page.
  var heading: String { "\(name): \(title)" }

  init(name: String, in folder: String, endings: [String]) throws {
    self.name = name
    self.endings = endings
    let path = "\(folder)/\(name)"
    json = try ConfigValue.parse(json: FileBytes.read(path + ".json"), source: path + ".json")
    table = try PublishedTable(FileBytes.read(path + ".csv"), source: path + ".csv")
    evidence = try EvidenceFile(path: path + ".evidence.json", remedy: "Run: make \(name)")
  }
}

/// `results/<preset>/`: every figure and table that was published at one preset.
package struct ResultsFolder: Sendable {
  package let path: String
  package let preset: String
  /// By name, numbers in names by their size: figure 2 before figure 14.
  package let figures: [PublishedFigure]

  static let endings = ["csv", "json", "svg", "md", "evidence.json"]

  /// - Throws: `UserError` when the folder has no figure, or a part of one is missing or unreadable.
  package init(path: String) throws {
    self.path = path
    preset = String(path.split(separator: "/").last ?? "")
    let files = Set(try AtomicFile.names(in: path))
    let suffix = ".evidence.json"
    let names = files.filter { $0.hasSuffix(suffix) }.map { String($0.dropLast(suffix.count)) }
    guard !names.isEmpty else {
      throw UserError(
        path, expected: "results with their evidence", found: "none",
        remedy: "Run: make figure2 PRESET=\(preset)")
    }
    figures = try names.sorted(by: Self.precedes).map { name in
      try PublishedFigure(
        name: name, in: path, endings: Self.endings.filter { files.contains("\(name).\($0)") })
    }
  }

  private static func precedes(_ a: String, _ b: String) -> Bool {
    func parts(_ name: String) -> [(text: String, number: Int)] {
      name.split(separator: "-").flatMap { part -> [(String, Int)] in
        let text = part.prefix { !$0.isNumber }
        let digits = part.dropFirst(text.count).prefix { $0.isNumber }
        return [(String(text), Int(digits) ?? 0), (String(part[digits.endIndex...]), 0)]
      }
    }
    let (x, y) = (parts(a), parts(b))
    for (p, q) in zip(x, y) where p != q { return p < q }
    return x.count == y.count ? a < b : x.count < y.count
  }

  /// The page as its two files: name and content.
  package func pages() throws -> [(name: String, text: String)] {
    let page = try makePage()
    let histories = Dictionary(
      uniqueKeysWithValues: figures.map { ($0.name, FigureHistory($0.evidence)) })
    let html = HTMLPage(
      page: page, preset: preset, histories: histories, runs: try runs(on: page, histories))
    return [
      ("README.md", page.markdown),
      ("index.html", try html.text { try FileBytes.read("\(path)/\($0)") }),
    ]
  }

  /// The runs behind every address on a page, by figure and place.
  private func runs(on page: Page, _ histories: [String: FigureHistory]) throws
    -> [String: [String: [(name: String, id: String)]]]
  {
    var runs: [String: [String: [(name: String, id: String)]]] = [:]
    for case .table(_, _, let rows) in page.blocks {
      for address in rows.compactMap(\.last).compactMap(PageAddress.init) {
        guard let history = histories[address.figure] else { continue }
        let number = try NumberAddress("\(path)/\(address.text)", preset: preset)
        runs[address.figure, default: [:]][address.place] = try history.runs(behind: number)
      }
    }
    return runs
  }

  private func makePage() throws -> Page {
    var page = Page(title: "Results: \(preset)")
    page.add(
      .paragraph(
        "Written by `make pages` from the files of this folder; no number is copied by hand. How "
          + "effects, intervals and verdicts are made, and what these results do not show: "
          + "[docs/RESULTS.md](../../docs/RESULTS.md). `make \(figures[0].name) PRESET=\(preset)` "
          + "makes a figure again; `make verify` checks every file by its digest."))
    page.add(
      .paragraph(
        "A verdict is one of direction, or of a shape, among all claims of its figure; how large an "
          + "effect is beside the paper's, a ratio says. A statement is the paper's, or marked as ours."
      ))
    page.add(
      .paragraph(
        "Where a number comes from, with settings, seeds, digests of data, code, libraries and "
          + "machine of every run behind it, says `make explain PRESET=\(preset) NUMBER=ADDRESS`. "
          + "The tables give the addresses; a number that is rounded here stands there in full. In "
          + "`index.html`, which `make pages` writes beside this page, a click on a number shows it."
      ))
    let sections = try figures.map { try FigureSection($0) }
    let columns: [[Verdict]] = [
      [.sameDirection, .reproduced], [.oppositeDirection, .notReproduced], [.inconclusive],
    ]
    page.add(
      .table(
        ["figure", "what", "seeds", "as stated", "otherwise", "inconclusive"],
        alignment: "llrrrr",
        rows: zip(figures, sections).map { figure, section in
          let seeds = figure.evidence["parameters"]?["seeds"]?.items.count ?? 0
          return [
            "[\(figure.name)](#\(Page.anchor(of: figure.heading)))", figure.title,
            // What is counted has none.
            seeds > 0 ? "\(seeds)" : "",
          ]
            + columns.map { verdicts in
              let names = verdicts.map(\.rawValue)
              return "\(section.verdicts.count { names.contains($0) })"
            }
        }))
    for section in sections { page.add(section.blocks) }
    return page
  }
}

// MARK: - Reading results

extension ConfigValue {
  package var text: String? {
    if case .string(let text) = self { return text }
    return nil
  }

  package var number: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .double(let value): value
    default: nil
    }
  }

  package var items: [ConfigValue] {
    if case .array(let items) = self { return items }
    return []
  }

  package var members: [String: ConfigValue] {
    if case .object(let members) = self { return members }
    return [:]
  }
}
