import Foundation
import Provenance
import Reporting
import Support
import Testing

@Suite struct PageTests {
  private static let project = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path
  private static let presets = ["laptop", "laptop-bfloat16"]

  @Test func bothSpellings() throws {
    var page = Page(title: "Results & more")
    page.add(.paragraph("a `b<c` **d** [e](f.md)"))
    page.add(.table(["x", "y"], alignment: "lr", rows: [["p|q", "**1**"]]))
    page.add(.picture(file: "a.svg", text: "A \"picture\""))
    page.add(.observations(figure: "f", csv: "a\n</script>\n"))
    page.add(.heading(2, "figure2: It's 3-grams"))
    #expect(
      page.markdown.hasSuffix(
        """
        # Results & more

        a `b<c` **d** [e](f.md)

        | x | y |
        | --- | ---: |
        | p\\|q | **1** |

        ![A "picture"](a.svg)

        ## figure2: It's 3-grams

        """))
    let html = try HTMLPage(page: page, preset: "p").text { _ in Array("<svg/>".utf8) }
    for part in [
      "<h1>Results &amp; more</h1>",
      "<p>a <code>b&lt;c</code> <strong>d</strong> <a href=\"f.md\">e</a></p>",
      "<th scope=\"col\" class=\"r\">y</th>", "<td>p|q</td><td class=\"r\"><strong>1</strong></td>",
      "(1 lines of f.csv)", "a\n\\u003c/script>\n</script>",
      "<h2 id=\"figure2-its-3-grams\">", "<a href=\"#figure2-its-3-grams\">figure2</a>",
      "alt=\"A &quot;picture&quot;\" src=\"data:image/svg+xml;base64,\(Self.base64("<svg/>"))\"",
    ] {
      #expect(html.contains(part), "\(part)")
    }
  }

  /// Figure 2 stands before figure 14, and a paper's figures before those of the next.
  @Test func figuresStandInTheirOrder() throws {
    let names = try ResultsFolder(path: "\(Self.project)/results/laptop").figures.map(\.name)
    let places = ["figure2", "figure4", "figure7a", "figure9", "figure14", "scone-figure3"]
      .compactMap(names.firstIndex)
    #expect(places.count == 6 && places == places.sorted(), "\(names)")
    let last = ["scone-figure3", "scone-figure9", "scone-figure13", "table2", "table6"]
      .compactMap(names.firstIndex)
    #expect(last.count == 5 && last == last.sorted(), "\(names)")
  }

  private static func base64(_ text: String) -> String { Data(text.utf8).base64EncodedString() }

  /// What is committed is what the committed results give.
  @Test(arguments: presets)
  func committedPagesAreOfTheCommittedResults(preset: String) throws {
    let folder = "\(Self.project)/results/\(preset)"
    // The other page is too large for git: it is written where it is wanted.
    for (name, text) in try ResultsFolder(path: folder).pages() where name == "README.md" {
      #expect(
        try FileBytes.read("\(folder)/\(name)") == Array(text.utf8), "\(preset)/\(name): make pages"
      )
    }
  }

  @Test func theTableInTheReadmeIsOfTheCommittedResults() throws {
    let readme = String(decoding: try FileBytes.read("\(Self.project)/README.md"), as: UTF8.self)
    #expect(readme.contains("written by make pages from"))
    let filled = try Excerpt.filled(readme, source: "README.md") { "\(Self.project)/\($0)" }
    #expect(filled == readme, "make pages")
    let old =
      "text\n<!-- figure2: written by make pages from results/laptop -->\nold\n<!-- end -->\nend\n"
    let new = try Excerpt.filled(old, source: "a") { "\(Self.project)/\($0)" }
    #expect(new.hasPrefix("text\n") && new.hasSuffix("\n<!-- end -->\nend\n"))
    #expect(new.contains("| claim | paper says |") && !new.contains("old"))
    #expect(try Excerpt.filled(new, source: "a") { "\(Self.project)/\($0)" } == new)
    for broken in ["<!-- end -->", "<!-- figure2:"] {
      #expect(throws: UserError.self) {
        try Excerpt.filled(old.replacing(broken, with: "<!-- figure3:"), source: "a") {
          "\(Self.project)/\($0)"
        }
      }
    }
  }

  /// Every claim of every result stands on its page, with its verdict and an address that leads to it.
  @Test(arguments: presets)
  func everyClaimIsOnThePage(preset: String) throws {
    let results = try ResultsFolder(path: "\(Self.project)/results/\(preset)")
    let pages = try results.pages()
    let markdown = try #require(pages.first { $0.name == "README.md" }).text
    let html = try #require(pages.first { $0.name == "index.html" }).text
    var count = 0
    for figure in results.figures {
      for address in Self.claims(figure.json) {
        count += 1
        let address = "\(figure.name).json:\(address)"
        #expect(markdown.contains("`\(address)"), "\(address)")
        #expect(html.contains("<code>\(address)"), "\(address)")
      }
      for ending in figure.endings { #expect(markdown.contains("(\(figure.name).\(ending))")) }
      // In how many runs of a variant: the list at the top says it, but of what is counted.
      let seeds = figure.table.has("seed") ? Set(try figure.table.texts("seed")).count : 0
      let line = try #require(
        markdown.split(separator: "\n").first { $0.hasPrefix("| [\(figure.name)](") })
      #expect(line.contains(" | \(figure.title) | \(seeds == 0 ? "" : "\(seeds)") | "), "\(line)")
    }
    #expect(count >= 6)
  }

  /// A law's page names the mean that lies furthest from the line, with bounds that hold for all at once.
  @Test func theLargestDepartureIsOnThePage() throws {
    for preset in ["laptop", "evening-bfloat16"] {
      let path = "\(Self.project)/results/\(preset)"
      let lines = String(decoding: try FileBytes.read("\(path)/README.md"), as: UTF8.self)
        .split(separator: "\n")
      let law = try ConfigValue.parse(
        json: FileBytes.read("\(path)/scaling-law.json"), source: "scaling-law.json")
      for (measure, fit) in law["fits"]?.members ?? [:] {
        let departures = (fit["departures"]?.items ?? []).map { departure in
          ["value", "lowAtOnce", "highAtOnce"].map { departure[$0]?.number ?? .nan }
        }
        let place = try #require(
          departures.indices.sorted { abs(departures[$0][0]) > abs(departures[$1][0]) }.first)
        let m = try #require(fit["fitted"]?.items[place].number)
        let texts = departures[place].map { String(format: "%+.3f", $0) }
        let line = try #require(
          lines.first { $0.contains("`scaling-law.json:fits/\(measure)/b/value`") })
        #expect(
          line.contains(
            "| \(texts[0]) [\(texts[1]), \(texts[2])], \(m == 0 ? "none" : "m = \(Int(m))") |"),
          "\(preset) \(measure): \(line)")
      }
    }
  }

  /// Whose the statements are stands in the heading and beside each.
  @Test func statementsOfOursAreMarkedOnThePage() throws {
    let page = String(
      decoding: try FileBytes.read("\(Self.project)/results/laptop/README.md"), as: UTF8.self)
    func table(_ figure: String) throws -> [Substring] {
      let start = try #require(page.firstRange(of: "\n## \(figure): ")).upperBound
      return page[start...].split(separator: "\n").filter { $0.hasPrefix("| ") }
    }
    let mixed = try table("reduction")
    #expect(mixed[0].hasPrefix("| comparison | statement |"))
    #expect(mixed[2].hasPrefix("| half token vs 1-gram | worse (ours) |"))
    #expect(mixed.contains { $0.hasPrefix("| normalized k=4 vs normalized k=1 | better |") })
    #expect(try table("table2")[0].hasPrefix("| comparison | paper says |"))
    #expect(try table("figure2")[0].hasPrefix("| claim | paper says |"))
  }

  /// The page knows of every line of its tables the runs that `make explain` tells, and their records.
  @Test func waysBackAreThoseThatAreExplained() throws {
    let folder = "\(Self.project)/results/laptop"
    let pages = try ResultsFolder(path: folder).pages()
    let html = try #require(pages.first { $0.name == "index.html" }).text
    var count = 0
    for figure in try ResultsFolder(path: folder).figures {
      let start = try #require(html.firstRange(of: "id=\"history-\(figure.name)\">")).upperBound
      let text = html[start..<(try #require(html[start...].firstRange(of: "</script>")).lowerBound)]
      let history = try ConfigValue.parse(json: Array(text.utf8), source: figure.name)
      for (place, runs) in history["runs"]?.members ?? [:] {
        count += 1
        #expect(html.contains("data-address=\"\(figure.name).json:\(place)\""))
        let address = try NumberAddress("\(folder)/\(figure.name).json:\(place)", preset: "laptop")
        guard place.hasSuffix("effect") || place.contains("/1/") else { continue }
        let lines = try Explanation(address).lines
        #expect(lines.contains { $0.hasPrefix("made of \(runs.items.count) of the ") }, "\(place)")
        for run in runs.items.prefix(2) {
          let (name, id) = (run.items[0].text ?? "", run.items[1].text ?? "")
          #expect(
            lines.contains { $0.contains(" \(id)  (") && $0.contains(name) }, "\(place): \(name)")
          #expect(history["records"]?[id]?["lines"]?.items.isEmpty == false)
        }
      }
    }
    #expect(count >= 60)
  }

  /// Places of members called "verdict" that stand beside a statement.
  private static func claims(_ json: ConfigValue) -> [String] {
    func list(_ value: ConfigValue?, _ place: String) -> [String] {
      guard case .array(let items)? = value else { return [] }
      return items.indices.filter { items[$0]["verdict"] != nil }.map { "\(place)/\($0)/" }
    }
    var places = list(json["claims"], "claims") + list(json["comparisons"], "comparisons")
    for measure in ["train_loss", "eval_loss", "other_loss"] {
      places += list(json["fits"]?[measure]?["claims"], "fits/\(measure)/claims")
    }
    return places
  }

  @Test func aFolderWithoutResultsIsNamed() throws {
    let folder = NSTemporaryDirectory() + "no-results-" + UUID().uuidString
    try AtomicFile.makeDirectory(folder)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let error = #expect(throws: UserError.self) { try ResultsFolder(path: folder) }
    #expect(error?.description.contains("expected results with their evidence, found none") == true)
  }
}
