import Contracts
import Reporting
import Support
import Testing

/// Models whose vocabularies are of several sizes: bits a byte, never nats a token.
@Suite struct VocabularyFigureTests {
  private static let seeds = [1, 2, 3]
  /// Name, V, bits a byte: the smallest, the best, and one too large.
  private static let variants = [("small", 512, 2.5), ("middle", 2048, 2.0), ("large", 8192, 2.2)]

  private static func parameters(
    _ change: (inout TextFigureParameters) -> Void = { _ in }
  ) -> TextFigureParameters {
    var parameters = TextFigureParameters()
    (parameters.report, parameters.figure, parameters.preset) = (.vocabularies, "figure", "test")
    (parameters.title, parameters.size, parameters.baseline) = ("A test", "s", "small")
    (parameters.seeds, parameters.stretch, parameters.paper) = (seeds, 0.5, [:])
    parameters.variants = variants.map { name, size, _ in
      var variant = TextFigureParameters.Variant()
      (variant.name, variant.description, variant.vocabulary) = (name, "a vocabulary", size)
      (variant.tokenRows, variant.tables) = (size, [])
      return variant
    }
    parameters.comparisons = [("middle", "small", Statement.better), ("large", "middle", .worse)]
      .map {
        var claim = TextFigureParameters.Comparison()
        (claim.variant, claim.against, claim.says) = $0
        return claim
      }
    change(&parameters)
    return parameters
  }

  /// Nats a token rise with V, so that they would judge everything the other way.
  private static func runs() -> [TextRun] {
    seeds.flatMap { seed in
      variants.map { name, size, bits in
        let noise = 0.001 * Double((size / 512 + 3 * seed) % 5)
        let tokens = 9000 - size / 2
        func score(_ bits: Double) -> TextRun.Score {
          .init(natsPerToken: Double(size) / 100, bitsPerByte: bits, tokens: tokens)
        }
        return TextRun(
          variant: name, seed: seed, parameters: size, steps: 2,
          curve: [
            .init(step: 1, tokens: tokens / 2, loss: 9), .init(step: 2, tokens: tokens, loss: 8),
          ],
          scores: [
            .heldout: score(bits + noise + 0.01 * Double(seed)), .other: score(3 * bits + noise),
          ])
      }
    }
  }

  @Test func bitsDecide() throws {
    let table = Ablation(try TextFigure(Self.parameters(), runs: Self.runs()))
    #expect(table.deciding == .heldoutBits)
    #expect(table.comparisons.map { $0.verdict(.heldoutBits) } == [.sameDirection, .sameDirection])
    let effects = table.comparisons.map { $0.differences[.heldoutBits]?.value ?? .nan }
    #expect(abs(effects[0] + 0.5) < 0.004 && abs(effects[1] - 0.2) < 0.004)
    let keys: [Set<TextFigure.Measure>] = table.comparisons.map { Set($0.differences.keys) }
    #expect(keys == [[.heldoutBits, .otherBits], [.heldoutBits, .otherBits]])
    // The opposite of what is said is seen too.
    let reversed = Self.parameters { $0.comparisons[1].says = .better }
    let other = Ablation(try TextFigure(reversed, runs: Self.runs()))
    #expect(other.comparisons[1].verdict(.heldoutBits) == .oppositeDirection)
  }

  /// A statement that no paper makes is called ours in the table, on the page and in what is printed.
  @Test func statementsOfOursAreCalledSo() throws {
    let papers = Ablation(try TextFigure(Self.parameters(), runs: Self.runs()))
    #expect(papers.markdown.contains("| comparison | paper says |"))
    #expect(papers.summaries[1].contains(", paper says worse: "))
    #expect(papers.json["comparisons"]?.items[1]["by"] == nil)
    let mixed = Ablation(
      try TextFigure(Self.parameters { $0.comparisons[1].by = .ours }, runs: Self.runs()))
    #expect(mixed.markdown.contains("| comparison | statement |"))
    #expect(mixed.markdown.contains("| middle vs small | better |"))
    #expect(mixed.markdown.contains("| large vs middle | worse (ours) |"))
    #expect(mixed.summaries[0].contains(", paper says better: "))
    #expect(mixed.summaries[1].contains(", we say worse: "))
    #expect(mixed.json["comparisons"]?.items.map { $0["by"] } == [nil, "ours"])
  }

  /// What is published is made of the CSV alone.
  @Test func theTableSaysAll() throws {
    let own = Ablation(try TextFigure(Self.parameters(), runs: Self.runs()))
    let csv = own.csv
    let table = try PublishedTable(Array(csv.utf8), source: "figure.csv")
    #expect(table.columns.last == "vocabulary")
    let again = Ablation(
      try TextFigure(Self.parameters(), table, trains: [:], evaluates: [:]))
    #expect(again.csv == csv && again.json == own.json)
    let rows = own.json["rows"]?.items ?? []
    #expect(rows.map { $0["vocabulary"] } == [512, 2048, 8192])
    #expect(rows[2]["tokens"] == [4904, 4904, 4904] && own.json["tokens"] == nil)
    #expect(rows.allSatisfy { $0["train_loss"] == nil && $0["eval_loss"] == nil })
    #expect(own.markdown.contains("| middle | a vocabulary | 2048 | 7976 | 2048 | 2.0"))
    #expect(own.markdown.contains("| large vs middle | worse | +0.2"))
    #expect(own.summaries.count == 2 && own.summaries[0].hasPrefix("middle vs small: bits a byte"))
  }

  /// Other figures compare runs of equal tokens alone.
  @Test func otherFiguresWantEqualTokens() throws {
    let parameters = Self.parameters { $0.report = .ablation }
    let error = #expect(throws: UserError.self) {
      _ = try TextFigure(parameters, runs: Self.runs())
    }
    #expect(error?.description.contains("equal batches") == true)
  }
}
