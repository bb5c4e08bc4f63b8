import Contracts
import Foundation
import NGrams
import Shards
import Support

/// A figure of corpora and vocabularies alone: no model is trained, and nothing is uncertain. Its verdicts
/// are of what was counted, without intervals.
package protocol Census: Sendable {
  var parameters: TextFigureParameters { get }
  var claims: [CountedClaim] { get }
  /// What it shows, an object each.
  var numbers: [ConfigValue] { get }
  /// Lines for people, besides the claims.
  var lines: [String] { get }
  static var method: String { get }

  /// - Throws: `UserError` naming the column or cell of the CSV that is not what it must be.
  init(_ parameters: TextFigureParameters, _ table: PublishedTable) throws
}

/// What is claimed of counts in words.
package struct CountedClaim: Sendable {
  package let statement: String
  package let verdict: Verdict

  /// *Reproduced* where `holds` for all of `steps`, *not reproduced* where for none of them.
  init<Step>(_ statement: String, _ steps: [Step], holds: (Step) -> Bool) {
    self.statement = statement
    let count = steps.count(where: holds)
    verdict =
      steps.isEmpty || (count > 0 && count < steps.count)
      ? .inconclusive : count == 0 ? .notReproduced : .reproduced
  }
}

extension Census {
  var json: ConfigValue {
    [
      "figure": .string(parameters.figure), "preset": .string(parameters.preset),
      "title": .string(parameters.title), "method": .string(Self.method),
      "census": .array(numbers),
      "claims": .array(
        claims.map {
          ["statement": .string($0.statement), "verdict": .string($0.verdict.rawValue)]
        }),
    ]
  }

  func files(csv: String) -> ReportFiles {
    ReportFiles(
      name: parameters.figure, texts: [(".csv", csv), (".json", json.prettyJSON)],
      drawing: parameters.drawing.map {
        Drawing(script: $0, digest: parameters.drawingDigest ?? "")
      },
      summaries: lines + claims.map { "\($0.statement): \($0.verdict.rawValue)" }, evidence: nil)
  }
}

/// The one place that knows which census a report is.
enum CensusReport {
  static func census(
    _ parameters: TextFigureParameters, _ table: PublishedTable
  ) throws -> any Census {
    switch parameters.report {
    case .discovery: try FGramGrowth(parameters, table)
    case .updates: try TokenUpdates(parameters, table)
    case .scalingLaw, .lossCurves, .ablation, .vocabularies, .metrics:
      preconditionFailure("no census")
    }
  }

  /// The CSV of what the stages that `configuration` names have made.
  static func csv(
    _ configuration: StageConfiguration, _ parameters: TextFigureParameters
  ) throws -> String {
    let inputs = try parameters.variants.map { try configuration.input($0.name) }
    return parameters.report == .discovery
      ? try FGramGrowth.csv(parameters, inputs) : try TokenUpdates.csv(parameters, inputs)
  }
}

// MARK: - Frequent n-grams

/// How many f-grams there are in parts of a corpus: Figure 3 of "Scaling Embedding Layers in Language
/// Models" (SCONE).
package struct FGramGrowth: Census {
  package let parameters: TextFigureParameters
  /// By length, ascending; points by tokens, ascending.
  private let growths: [Growth]

  private struct Growth {
    let length: Int
    let points: [(tokens: Int, fGrams: Int)]

    /// b of f-grams ∝ tokensᵇ between two points; nil where there are none.
    func exponent(_ from: Int, _ to: Int) -> Double? {
      guard points[from].fGrams > 0 else { return nil }
      return log(Double(points[to].fGrams) / Double(points[from].fGrams))
        / log(Double(points[to].tokens) / Double(points[from].tokens))
    }
  }

  package init(_ parameters: TextFigureParameters, _ table: PublishedTable) throws {
    self.parameters = parameters
    let (tokens, fGrams) = (try table.integers("tokens"), try table.integers("f_grams"))
    let lengths = try table.integers("length")
    growths = try table.groups(by: ["length"]).map { _, rows in
      Growth(
        length: lengths[rows[0]],
        points: rows.map { (tokens[$0], fGrams[$0]) }.sorted { $0.tokens < $1.tokens })
    }.sorted { $0.length < $1.length }
    guard growths.allSatisfy({ $0.points.count >= 2 && $0.length >= 2 }) else {
      throw UserError(
        table.source, expected: "every length in parts of at least two sizes", found: "others")
    }
  }

  /// None: parts that lie in one another grow by construction, which no count could deny.
  package var claims: [CountedClaim] { [] }

  package var numbers: [ConfigValue] {
    growths.map { growth in
      let last = growth.points.count - 1
      return [
        "length": .integer(growth.length), "tokens": .integer(growth.points[last].tokens),
        "fGrams": .integer(growth.points[last].fGrams),
        "exponent": growth.exponent(0, last).map(ConfigValue.number) ?? .null,
        "lastExponent": growth.exponent(last - 1, last).map(ConfigValue.number) ?? .null,
      ]
    }
  }

  package var lines: [String] {
    growths.map { growth in
      let last = growth.points.count - 1
      return
        "\(growth.length)-grams: \(growth.points[last].fGrams) in \(growth.points[last].tokens)"
        + " tokens, at the end as tokens^"
        + String(format: "%.2f", growth.exponent(last - 1, last) ?? .nan)
    }
  }

  package static let method = """
    Distinct n-grams of tokens that occur often enough inside documents (discover.minimumCount), counted \
    exactly in a random share of the training documents; the documents of a smaller share are among those of \
    a larger one, so that their numbers can only grow. The exponent b is of f-grams ∝ tokens^b, from the \
    smallest part to the whole and over the last step. Nothing is judged.
    """

  static func csv(
    _ parameters: TextFigureParameters, _ inputs: [StageConfiguration.Input]
  ) throws -> String {
    var text = "model,tokens,length,candidates,f_grams,occurrences\n"
    for (variant, input) in zip(parameters.variants, inputs) {
      var found = try ShardSet(input: input).metadataReader()
      let tokens = try found.int("tokens", in: 1...Int.max)
      for var level in try found.objects("lengths") {
        let numbers = try ["length", "candidates", "fGrams", "occurrences"].map {
          try level.int($0, in: 0...Int.max)
        }
        text +=
          "\(variant.name),\(tokens)," + numbers.map(String.init).joined(separator: ",") + "\n"
      }
    }
    return text
  }
}

// MARK: - Updates of tokens

/// How often the tokens of vocabularies of several sizes occur in the same number of tokens, and what their
/// embeddings cost: Figures 9 and 10 of SCONE.
package struct TokenUpdates: Census {
  package let parameters: TextFigureParameters
  private let vocabularies: [Vocabulary]

  private struct Vocabulary {
    let size, tokens, elements: Int
    /// Tokens of the vocabulary that occur more often than a threshold, by threshold.
    let above: [Int: Int]

    /// - Precondition: a threshold of the table.
    func share(_ threshold: Int) -> Double {
      guard let above = above[threshold] else { preconditionFailure("no threshold \(threshold)") }
      return Double(above) / Double(size)
    }
  }

  /// Weight, gradient and two moments of an element, as AdamW trains it in float32.
  private static let bytesPerElement = 16
  /// The thresholds that a page shows.
  private static let shown = [0, 10, 100, 1000]

  package init(_ parameters: TextFigureParameters, _ table: PublishedTable) throws {
    self.parameters = parameters
    let columns = try ["vocabulary", "tokens", "elements", "threshold", "tokens_above"].map {
      try table.integers($0)
    }
    vocabularies = try table.groups(by: ["vocabulary"]).map { _, rows in
      Vocabulary(
        size: columns[0][rows[0]], tokens: columns[1][rows[0]], elements: columns[2][rows[0]],
        above: Dictionary(
          rows.map { (columns[3][$0], columns[4][$0]) }, uniquingKeysWith: { first, _ in first }))
    }.sorted { $0.size < $1.size }
    let thresholds = vocabularies.map { Set($0.above.keys) }
    guard vocabularies.count >= 2, thresholds.allSatisfy({ $0 == thresholds[0] }) else {
      throw UserError(
        table.source, expected: "two vocabularies or more with equal thresholds", found: "others")
    }
  }

  package var claims: [CountedClaim] {
    let thresholds = (vocabularies.first?.above.keys.sorted() ?? []).filter { $0 > 0 }
    let pairs = zip(vocabularies, vocabularies.dropFirst()).flatMap { small, large in
      thresholds.map { (small.share($0), large.share($0)) }.filter { $0 != $1 }
    }
    return [
      CountedClaim(
        "in a larger vocabulary a smaller share of the tokens is updated more than so often", pairs
      ) { $0.1 < $0.0 }
    ]
  }

  package var numbers: [ConfigValue] {
    vocabularies.map { vocabulary in
      var members: [String: ConfigValue] = [
        "vocabulary": .integer(vocabulary.size), "tokens": .integer(vocabulary.tokens),
        "elements": .integer(vocabulary.elements),
        "trainingBytes": .integer(vocabulary.elements * Self.bytesPerElement),
      ]
      for threshold in Self.shown where vocabulary.above[threshold] != nil {
        members["above\(threshold)"] = .number(vocabulary.share(threshold))
      }
      return .object(members)
    }
  }

  package var lines: [String] {
    vocabularies.map { vocabulary in
      "\(vocabulary.size) tokens: "
        + Self.shown.filter { vocabulary.above[$0] != nil }.map {
          String(format: "%.1f %% more than %ld times", 100 * vocabulary.share($0), $0)
        }.joined(separator: ", ")
    }
  }

  package static let method = """
    Of each vocabulary the first tokens of the same training text, as many as the largest one makes of all of \
    it; a token is updated as often as it occurs there. Thresholds are 0 and 1, 2, 5, 10, … up to the most \
    frequent token of any. Reproduced: smaller in the larger of two neighbouring vocabularies at every \
    threshold above 0 at which they differ; not reproduced: at none. Elements are V · d; bytes in training \
    are those of weight, gradient and two moments in float32. The unembedding costs as much again where it is \
    not tied.
    """

  static func csv(
    _ parameters: TextFigureParameters, _ inputs: [StageConfiguration.Input]
  ) throws -> String {
    guard let width = parameters.width else { preconditionFailure("the parameters are checked") }
    let sets = try inputs.map { try ShardSet(input: $0) }
    let tokens = sets.map(\.elements).min() ?? 0
    let counts = try zip(parameters.variants, sets).map { variant, set in
      try occurrences(in: set, vocabulary: variant.vocabulary, first: tokens)
    }
    let most = counts.joined().max() ?? 0
    let series = (0...).lazy.map { Int(pow(10, Double($0 / 3))) * [1, 2, 5][$0 % 3] }
    let thresholds = [0] + Array(series.prefix { $0 <= most })
    var text = "model,vocabulary,width,elements,tokens,threshold,tokens_above,share\n"
    for (variant, counts) in zip(parameters.variants, counts) {
      let sorted = counts.sorted()
      for threshold in thresholds {
        let above = sorted.count - sorted.prefix { $0 <= threshold }.count
        let numbers = [
          variant.vocabulary, width, variant.vocabulary * (width),
          tokens, threshold, above,
        ]
        text +=
          variant.name + "," + numbers.map(String.init).joined(separator: ",")
          + ",\(Double(above) / Double(variant.vocabulary))\n"
      }
    }
    return text
  }

  /// Occurrences of every token among the `first` of a set.
  private static func occurrences(
    in set: ShardSet, vocabulary: Int, first: Int
  ) throws -> [Int] {
    var counts = [Int](repeating: 0, count: vocabulary)
    var left = first
    for shard in set.shards.indices where left > 0 {
      let loaded = try set.load(shard: shard)
      let rows = min(left, loaded.count)
      func add<T: ShardElement & FixedWidthInteger>(_ type: T.Type) {
        let column = loaded.buffer(0, as: type).span
        for row in 0..<rows { counts[Int(column[row])] += 1 }
      }
      if set.element == .u16 { add(UInt16.self) } else { add(UInt32.self) }
      left -= rows
    }
    return counts
  }
}
