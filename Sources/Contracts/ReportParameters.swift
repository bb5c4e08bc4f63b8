import Support

/// Stage report: what a figure or table is made of.
package typealias ReportParameters = ByKind<FigureParameters, TextFigureParameters>

/// What the paper says of one variant against another.
package enum Statement: String, CaseIterable, Sendable { case better, worse }

/// Who says it, where the paper does not.
package enum StatementSource: String, CaseIterable, Sendable { case ours }

/// What is made of runs over text. Each writes `<figure>.csv`, `<figure>.json` and a view for people.
package enum TextReport: String, CaseIterable, Sendable {
  /// Loss over the size of the input vocabulary, with a fitted line.
  case scalingLaw
  /// Differences from the baseline during training.
  case lossCurves
  /// A table of variants with comparisons between them.
  case ablation
  /// The same of vocabularies of several sizes, whose tokens are not each other's: by bits a byte.
  case vocabularies
  /// Every metric of variants, with comparisons between them: curves during training, or without a
  /// drawing a table of the last.
  case metrics
  /// Frequent n-grams by the size of the corpus: no model is trained.
  case discovery
  /// How often the tokens of vocabularies of several sizes occur: no model is trained.
  case updates

  /// What it expects as `drawing`, where `script` is none of that.
  package func expectedDrawing(insteadOf script: String?) -> String? {
    switch self {
    case .metrics: nil
    case .ablation, .vocabularies: script == nil ? nil : "no script: a table is written as text"
    default: script == nil ? "a gnuplot script" : nil
    }
  }

  /// Whether it is of corpora and vocabularies alone.
  package var isCensus: Bool { self == .discovery || self == .updates }
  /// Whether it says of `comparisons` what becomes of them.
  package var judgesComparisons: Bool { [.ablation, .vocabularies, .metrics].contains(self) }
  /// Whether a row of its CSV is a point of a curve, not a run.
  package var isCurves: Bool { self == .lossCurves || self == .metrics }
}

/// Endings of the files of a figure.
package enum FigureFiles {
  package static func views(drawing: String?) -> [String] { drawing == nil ? table : picture }
  package static let picture = ["csv", "json", "svg"]
  package static let table = ["csv", "json", "md"]
}

/// The name under which a figure lists a run: "3-gram input/large/2".
package func runName(variant: String, size: String, seed: Int) -> String {
  "\(variant)/\(size)/\(seed)"
}

/// A figure over languages of grammars: panels of curves, and the paper's statements about them.
package struct FigureParameters: StageParameters, KeyedParameters {
  package static let stage = Stage.report

  @Key() package var figure: String
  @Key() package var preset: String
  @Key() package var title: String
  /// A gnuplot script, and SHA-256 of its bytes.
  @Key() package var drawing: String
  @Key() package var drawingDigest: String
  @Key() package var panels: [Panel]
  @Key() package var sizes: [String]
  @Key(in: 0...1_000_000) package var seeds: [Int]
  @Key() package var claims: [Claim]

  package init() {}

  package struct Panel: KeyedParameters {
    @Key() package var name: String
    @Key() package var variants: [String]

    package init() {}
  }

  /// What the paper says of `variant` against `baseline` at one size, or we do.
  package struct Claim: KeyedParameters {
    @Key() package var panel: String
    @Key() package var variant: String
    @Key() package var baseline: String
    @Key() package var size: String
    @Key() package var statement: Statement
    /// The words, as in the file of the paper's results or of ours.
    @Key() package var row: String
    /// Where no paper says it; nil: the paper does.
    @Key() package var by: StatementSource?

    package init() {}
  }
}

/// A figure or table over text: variants of one model, and what is made of their losses.
package struct TextFigureParameters: StageParameters, KeyedParameters {
  package static let stage = Stage.report

  @Key() package var report: TextReport
  @Key() package var figure: String
  @Key() package var preset: String
  @Key() package var title: String
  @Key() package var size: String
  /// The variant that the others are compared with.
  @Key() package var baseline: String
  @Key(in: 0...1_000_000) package var seeds: [Int]
  /// The last part of the pass, over which the training loss is the mean.
  @Key(in: 1e-6...1) package var stretch: Double
  @Key() package var variants: [Variant]
  @Key() package var comparisons: [Comparison]
  /// d, where embeddings are priced.
  @Key(in: 1...1 << 24) package var width: Int?
  /// What the paper says to lie on a line over log m; nil for nothing.
  @Key() package var spacings: [Spacing]?
  /// The paper's numbers by row, then metric.
  @Key() package var paper: [String: [String: Double]]
  /// A gnuplot script, and SHA-256 of its bytes; not of a table.
  @Key() package var drawing: String?
  @Key() package var drawingDigest: String?

  package init() {}

  package struct Variant: KeyedParameters {
    @Key() package var name: String
    @Key() package var description: String
    /// Where it is another than the figure's.
    @Key() package var size: String?
    /// V.
    @Key(in: 1...1 << 32) package var vocabulary: Int
    /// Rows of the token's own table: V or 0.
    @Key(in: 0...1 << 32) package var tokenRows: Int
    /// N-gram tables.
    @Key() package var tables: [Table]

    package init() {}

    /// Rows of all tables of one slice: what the paper calls the size of the input vocabulary.
    package var inputVocabulary: Int { tokenRows + rows }
    /// m: rows of the first n-gram table; 0 without.
    package var rows: Int { tables.first?.rows ?? 0 }
    /// Elements of the n-gram tables.
    package var tableParameters: Int { tables.reduce(0) { $0 + $1.rows * $1.width } }
  }

  package struct Table: KeyedParameters {
    @Key(in: 2...64) package var order: Int
    @Key(in: 0...1023) package var slice: Int
    @Key(in: 1...1 << 32) package var rows: Int
    @Key(in: 1...1 << 24) package var width: Int

    package init() {}
  }

  /// What the paper says of `variant` against another, or we do.
  package struct Comparison: KeyedParameters {
    @Key() package var variant: String
    @Key() package var against: String
    @Key() package var says: Statement
    /// Where no paper says it; nil: the paper does.
    @Key() package var by: StatementSource?

    package init() {}
  }

  /// Three variants that differ in the size of the input vocabulary alone.
  package struct Spacing: KeyedParameters {
    @Key() package var from: String
    @Key() package var middle: String
    @Key() package var to: String

    package init() {}

    package var variants: [String] { [from, middle, to] }
  }

  /// The name of the run of a variant.
  package func run(of variant: String, seed: Int) -> String {
    let own = variants.first { $0.name == variant }?.size
    return runName(variant: variant, size: own ?? size, seed: seed)
  }

  package func check(_ reader: ConfigReader) throws {
    guard (width == nil) == (report != .updates) else {
      throw reader.fault(
        "width",
        expected: report == .updates
          ? "the columns of an embedding" : "no width: nothing is priced",
        found: width.map { "\($0)" } ?? "none")
    }
    let digest =
      (drawing == nil) == (drawingDigest == nil) ? nil : "a gnuplot script and its digest"
    if let expected = report.expectedDrawing(insteadOf: drawing) ?? digest {
      throw reader.fault("drawing", expected: expected, found: drawing ?? "none")
    }
  }
}
