import Foundation
import NGrams
import Support
import Testing

/// Against the paper's Algorithm 1, transcribed in Tests/Peers/algorithm1.py.
@Suite struct AlgorithmOneTests {
  @Test func rowsOfThePaper() throws {
    let url = try #require(
      Bundle.module.url(forResource: "Fixtures/algorithm1", withExtension: "json"))
    let text = String(decoding: try FileBytes.read(url.path), as: UTF8.self)
    var reader = try ConfigReader(["cases": .parse(yaml: text, source: url.path)], source: url.path)
    let cases = try reader.objects("cases")
    #expect(cases.count == 6)
    for var entry in cases {
      let layout = try OverEncodingLayout(
        vocabulary: entry.int("V"), order: entry.int("n"), slices: entry.int("k"),
        rows: entry.int("m"), width: 840, moduli: .paper)
      let mapper = OverEncodingMapper(layout)
      // One token more, because the last token of a document has no position.
      let tokens = try entry.ints("input_ids").map(UInt32.init) + [0]
      guard case .array(let expected)? = entry.value("rows") else {
        Issue.record("no rows")
        return
      }
      #expect(expected.count == layout.embedders.count)
      for (e, row) in expected.enumerated() {
        var rows = [UInt32](repeating: 0, count: tokens.count - 1)
        var sums = [UInt64](repeating: 0, count: rows.count)
        var span = rows.mutableSpan
        var scratch = sums.mutableSpan
        mapper.mapRows(embedder: e, tokens: tokens.span, sums: &scratch, into: &span)
        #expect(ConfigValue.array(rows.map { .integer(Int($0)) }) == row, "embedder \(e)")
      }
    }
  }
}
