import Engine
import NGrams
import Support

/// An input whose embedding of a token is made of the longest frequent n-gram, or f-gram, that ends there:
///
///     X[n] = A(T[x_{n−ℓ+1}] + Q[0], …, T[x_n] + Q[ℓ−1])[last]   where such an f-gram of ℓ ≥ 2 tokens is
///     X[n] = T[x_n]                                             elsewhere
///
/// A, the f-gram model, is a trunk of the model's kind and width under the prefix `fgrams`; it shares the
/// table of tokens T. Q are positions inside of the f-gram. Learned positions of the model's own trunk
/// come on top. Each distinct f-gram of a lane runs once, in segments without padding.
///
/// Source: Yu et al. 2025, "Scaling Embedding Layers in Language Models" (SCONE), Algorithm 1.
package struct FGrams: Input {
  /// What is done to the last row of the f-gram model before it takes the token's place; the paper does
  /// not say. The default is the best of a trial, whose losses stand in docs/SETTINGS.md.
  package enum Output: String, CaseIterable, Sendable {
    /// Nothing.
    case none
    /// The trunk's last norm.
    case norm
    /// The same with gains that start as the deviation of T, so that a row starts as large as a token's.
    case scaledNorm
  }

  /// V.
  package let vocabulary: Int
  /// K, tokens of the longest f-gram.
  package let longest: Int
  /// A.
  package let model: any Trunk
  /// Whether there are Q; trunks that learn positions have no others.
  package let positions: Bool
  package let output: Output

  static let key = "fGrams"
  private static let prefix = "fgrams"

  /// - Parameters:
  ///   - layers, heads: of the f-gram model; nil: as the trunk.
  ///   - trunk: of the model itself.
  package init(
    vocabulary: Int, longest: Int, layers: Int? = nil, heads: Int? = nil, positions: Bool = true,
    output: Output = .none, on trunk: any Trunk
  ) {
    self.vocabulary = vocabulary
    self.longest = longest
    model = trunk.fGramModel(
      layers: layers ?? trunk.size.layers, heads: heads ?? trunk.size.heads, longest: longest,
      prefix: Self.prefix)
    self.positions = positions
    self.output = output
  }

  package static func == (a: Self, b: Self) -> Bool {
    a.vocabulary == b.vocabulary && a.longest == b.longest && isEqual(a.model, b.model)
      && a.positions == b.positions && a.output == b.output
  }

  // MARK: - Configuration

  /// Reads the object `fGrams`: `longest`, and `layers`, `heads` (those of the trunk), `positions` (true)
  /// and `output` (none).
  package static func read(
    _ reader: inout ConfigReader, tables: [InputTable], trunk: any Trunk
  ) throws -> FGrams? {
    guard var object = try reader.optionalObject(key) else { return nil }
    guard tables.count == 1, tables[0].order == 1 else {
      throw reader.fault(
        key, expected: "one input table, of order 1",
        found: tables.isEmpty
          ? "none" : tables.map { "order \($0.order)" }.joined(separator: ", "),
        remedy: "Map the tokens without other input orders.")
    }
    let heads = try object.int("heads", default: trunk.size.heads, in: 1...100_000)
    guard trunk.size.width % heads == 0 else {
      throw object.fault(
        "heads", expected: "a number that divides \(trunk.size.width) columns", found: "\(heads)")
    }
    let result = FGrams(
      vocabulary: tables[0].rows, longest: try object.int("longest", in: 2...8),
      layers: try object.int("layers", default: trunk.size.layers, in: 1...1_000), heads: heads,
      positions: try object.bool("positions", default: true),
      output: try object.choice("output", Output.self, default: Output.none), on: trunk)
    if !result.positions && result.model.hasPositions {
      throw object.fault(
        "positions", expected: "true: a trunk of learned positions has no others", found: "false",
        remedy: "Delete it, or take another architecture.")
    }
    try object.finish()
    return result
  }

  package func validate(width: Int) throws {
    try model.validate()
    guard model.size.width == width else {
      throw UserError(
        "model \(Self.key)", expected: "a trunk of \(model.size.width) columns, those of f-grams",
        found: "\(width)")
    }
  }

  // MARK: - Columns of a lane

  package var tables: [InputTable] { [InputTable(order: 1, rows: vocabulary)] }
  package var readsTables: Bool { true }
  /// The token, and how many tokens the f-gram has that it stands for.
  package var columnRows: [Int] { [vocabulary, longest + 1] }
  package var textColumns: TextColumns { .matches(longest: longest) }

  // MARK: - Closed forms

  /// Those of the f-gram model's trunk, without its last norm where that is not asked for.
  package func parameterCount(width: Int) -> Int {
    model.parameterCount - (output == .none ? model.normParameterCount : 0)
      + (ownPositions ? longest * width : 0)
  }
  package var idleParameterCount: Int { model.parameterCount - model.activeParameterCount }

  /// Of English novels and half a million f-grams up to 5 tokens, before those that repeat in a lane are
  /// run once: 0.80 f-grams a token of 2.62 tokens each.
  package var usualFGramRows: Double { 0.8 * min(2.62, Double(longest)) }

  /// Products, and attention over an f-gram as long as the longest.
  package var fGramRowFLOPs: Double {
    model.productFLOPs + model.attentionFLOPs(perTokenAt: longest)
  }

  /// Of the trunk all but the rows behind it, which nothing reads again; without a last norm those of the
  /// blocks.
  package var fGramSavedColumns: Int {
    model.lossColumns
      + (output == .none
        ? model.savedColumns - model.with(layers: 0).savedColumns
        : model.savedColumns - model.size.width)
  }

  /// Whether Q are the input's own, not the trunk's.
  package var ownPositions: Bool { positions && !model.hasPositions }

  // MARK: - Trace

  package func callAsFunction(
    tables declared: [Parameter], positions: Parameter?, width: Int, named name: String,
    in g: inout GraphBuilder
  ) -> Tensor {
    precondition(!g.mode.isDecoding, "generation looks rows of f-grams up: see StoredFGrams")
    let space = g.space(.given, longestSegment: longest)
    let link = g.link(from: .positions, to: space)
    let rows = rows(of: space, tokens: declared[0], width: width, in: &g)
    return g.linkedRows(rows, link, orElse: declared[0], positions: positions)
  }

  /// Traces the f-gram model over a space of f-grams.
  private func rows(
    of space: RowSpace, tokens: Parameter, width: Int, in g: inout GraphBuilder
  ) -> Tensor {
    let places =
      ownPositions
      ? g.parameter(
        "\(Self.prefix).wpe.weight", [longest, width], .normal(model.size.deviation))
      : model.positions(in: &g)
    let x = g.embeddingSum(tables: [tokens], positions: places, columns: width, space: space)
    let hidden = model.blocks(x, in: &g)
    switch output {
    case .none: return hidden
    case .norm: return model.norm(hidden, named: nil, in: &g)
    case .scaledNorm:
      return model.norm(hidden, named: nil, gain: model.size.deviation, in: &g)
    }
  }

  /// Traces the f-gram model alone, which leaves the row of each position's f-gram.
  func traceAlone(on trunk: any Trunk, in g: inout GraphBuilder) {
    let table = trunk.table(tables[0], in: &g)
    let space = g.space(.given, longestSegment: longest)
    let link = g.link(from: .positions, to: space)
    g.takeRows(
      g.gather(rows(of: space, tokens: table, width: model.size.width, in: &g), link))
  }
}

extension Trunk {
  /// A trunk of this kind for f-grams.
  fileprivate func fGramModel(layers: Int, heads: Int, longest: Int, prefix: String) -> Self {
    var size = size
    (size.layers, size.heads, size.context) = (layers, heads, longest)
    return Self(size, settings: settings, prefix: prefix)
  }

  /// Whether it learns positions.
  fileprivate var hasPositions: Bool {
    var g = GraphBuilder(mode: .scoring)
    return positions(in: &g) != nil
  }
}

extension ModelConfiguration {
  /// The input of f-grams, with or without tables beside it; nil for any other.
  package var fGrams: FGrams? {
    (input as? FGrams) ?? (input as? OverEncodedFGrams)?.fGrams
  }
}
