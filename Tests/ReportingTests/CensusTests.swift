import Contracts
import Reporting
import Support
import Testing

/// Figures of corpora and vocabularies alone: what is planted in their CSVs is found.
@Suite struct CensusTests {
  private static let parameters: TextFigureParameters = {
    var parameters = TextFigureParameters()
    (parameters.figure, parameters.preset, parameters.title) = ("f", "p", "t")
    return parameters
  }()

  private func table(_ lines: [String]) throws -> PublishedTable {
    try PublishedTable(Array((lines.joined(separator: "\n") + "\n").utf8), source: "f.csv")
  }

  /// f-grams of lengths 2, 3, … at 100, 1,000 and 10,000 tokens.
  private func growth(_ counts: [[Int]]) throws -> FGramGrowth {
    let rows = counts.enumerated().flatMap { length, counts in
      zip([100, 1000, 10_000], counts).map { "part,\($0),\(length + 2),9,\($1),9" }
    }
    return try FGramGrowth(
      Self.parameters,
      table(["model,tokens,length,candidates,f_grams,occurrences"] + rows.reversed()))
  }

  @Test func growthIsOfThePoints() throws {
    let census = try growth([[10, 100, 1000], [1, 20, 4000]])
    #expect(census.claims.isEmpty)
    let rows = census.numbers
    #expect(rows.map { $0["length"] } == [2, 3])
    #expect(rows.map { $0["fGrams"] } == [1000, 4000])
    #expect(abs((rows[0]["exponent"]?.number ?? 0) - 1) < 1e-12)
    #expect(abs((rows[1]["lastExponent"]?.number ?? 0) - 2.30103) < 1e-5)
  }

  private func updates(_ counts: [Int: [Int]]) throws -> TokenUpdates {
    let rows = counts.sorted { $0.key > $1.key }.flatMap { size, above in
      zip([0, 1, 10], above).map {
        "v,\(size),4,\(4 * size),500,\($0),\($1),\(Double($1) / Double(size))"
      }
    }
    return try TokenUpdates(
      Self.parameters,
      table(["model,vocabulary,width,elements,tokens,threshold,tokens_above,share"] + rows))
  }

  @Test func updatesBySize() throws {
    let census = try updates([100: [100, 90, 50], 400: [400, 200, 40]])
    #expect(census.claims.map(\.verdict) == [.reproduced])
    #expect(census.numbers.map { $0["vocabulary"] } == [100, 400])
    #expect(census.numbers[1]["above10"]?.number == 0.1)
    #expect(census.numbers[1]["trainingBytes"] == .integer(4 * 400 * 16))
    #expect(
      try updates([100: [100, 50, 10], 400: [400, 300, 80]]).claims[0].verdict == .notReproduced)
    #expect(
      try updates([100: [100, 50, 20], 400: [400, 300, 20]]).claims[0].verdict == .inconclusive)
  }

  @Test func anotherTableIsRefused() throws {
    let short = #expect(throws: UserError.self) {
      try updates([100: [100, 90, 50], 400: [400, 20]])
    }
    #expect(short?.description.contains("equal thresholds") == true)
    #expect(throws: UserError.self) { try growth([[10]]) }
  }
}
