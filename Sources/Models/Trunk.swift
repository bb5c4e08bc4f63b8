import Engine
import Support

/// The middle of a model: from embedded rows (N, C) to the rows (N, C) that outputs read, blocks and
/// last norm.
///
/// A trunk is a value. Two of one kind can be in one graph, of other sizes and under other prefixes:
/// every parameter that it declares is named `<prefix>.…`. A new kind is a file with a conformance,
/// and its case in `Architecture` if configurations are to name it.
///
/// Embedding, heads and tying are not its business: `embed(_:declaring:in:)` and
/// `ModelConfiguration` have those once for all trunks.
package protocol Trunk: Sendable, Equatable {
  associatedtype Settings: TrunkSettings

  /// Prefix of the parameters of a model's own trunk: that of the published weights.
  static var prefix: String { get }
  /// The name, behind the prefix, of the table of tokens; a table of order n > 1 is `<name>_n`.
  static var tokenTable: String { get }

  var size: TrunkSize { get }
  var settings: Settings { get }
  var prefix: String { get }
  init(_ size: TrunkSize, settings: Settings, prefix: String)

  /// - Throws: `UserError` for settings that are wrong or do not go with the sizes, which are valid.
  func validateSettings() throws
  /// Settings with every default spelled out, and without what training alone reads: weights of losses.
  var scoredSettings: Settings { get }

  // MARK: Closed forms

  /// Parameters of learned positions, blocks and last norm.
  var parameterCount: Int { get }
  /// Those of them that a row meets: fewer where it is routed to some experts of many.
  var activeParameterCount: Int { get }
  /// Forward FLOPs of one position in the products with weights, a multiply-add counted as two.
  var productFLOPs: Double { get }
  /// Those of attention, averaged over the positions of a sentence of `length`.
  func attentionFLOPs(perTokenAt length: Int) -> Double
  /// Floats of a position that the backward pass reads: those of every block and of the last norm,
  /// and the row that outputs read.
  var savedColumns: Int { get }
  /// Losses of its own, a float of a position each; as many of a block beside it.
  var lossColumns: Int { get }
  /// Floats of keys and values that generation keeps of a position.
  var cacheColumns: Int { get }
  /// Parameters of the last norm, which `parameterCount` counts.
  var normParameterCount: Int { get }

  // MARK: Trace

  /// Declares learned positions (T, C), which are added to the embedding; nil for a trunk without.
  func positions(in g: inout GraphBuilder) -> Parameter?
  /// Traces the blocks over `x` (N, C).
  func blocks(_ x: Tensor, in g: inout GraphBuilder) -> Tensor
  /// Traces one block of this trunk's kind and sizes beside its own: its parameters are `<name>.…`.
  func block(_ x: Tensor, named name: String, in g: inout GraphBuilder) -> Tensor
  /// Traces the last norm, which may be done to several tensors, or another one of its kind, `name`.
  ///
  /// - Parameter gain: what its weights start as.
  func norm(_ x: Tensor, named name: String?, gain: Double, in g: inout GraphBuilder) -> Tensor
}

/// The keys of a kind of trunk, beside those of `TrunkSize`, in the object `model` of a configuration.
package protocol TrunkSettings: Sendable, Equatable {
  /// Every key's default.
  init()
  /// Reads the keys. Each of them has a default.
  init(reader: inout ConfigReader) throws
}

/// Of a trunk that has no keys of its own.
package struct NoSettings: TrunkSettings {
  package init() {}
  package init(reader: inout ConfigReader) {}
}

extension TrunkSettings {
  /// The keys in alphabetical order: those that reading an empty object fills in.
  static var keys: [String] {
    get throws {
      var reader = try ConfigReader(.object([:]), source: "defaults")
      _ = try Self(reader: &reader)
      guard case .object(let members) = reader.resolved else { return [] }
      return members.keys.sorted()
    }
  }
}

extension Trunk {
  /// The default settings.
  package init(_ size: TrunkSize, prefix: String = Self.prefix) {
    self.init(size, settings: Settings(), prefix: prefix)
  }

  package init(_ size: TrunkSize, settings: Settings) {
    self.init(size, settings: settings, prefix: Self.prefix)
  }

  /// Reads the trunk's own keys.
  init(_ size: TrunkSize, reader: inout ConfigReader) throws {
    self.init(size, settings: try Settings(reader: &reader), prefix: Self.prefix)
  }

  /// The keys that `init(_:reader:)` knows.
  static var keys: [String] {
    get throws { try Settings.keys }
  }

  package var activeParameterCount: Int { parameterCount }

  package var lossColumns: Int { 0 }

  package func validateSettings() throws {}

  package var scoredSettings: Settings { settings }

  /// Whether both make the same rows of the same weights. Contexts may differ, and what weights start as.
  package func computes(as other: any Trunk) -> Bool {
    guard let other = other as? Self else { return false }
    return size.layers == other.size.layers && size.width == other.size.width
      && size.heads == other.size.heads && prefix == other.prefix
      && scoredSettings == other.scoredSettings
  }

  /// - Throws: `UserError` when sizes and settings do not make a trunk.
  package func validate() throws {
    try size.validate()
    try validateSettings()
  }

  /// Causal attention with as many queries, keys and values as columns, over (length + 1)/2 positions
  /// on average: 4·L·C·(length + 1)/2.
  package func attentionFLOPs(perTokenAt length: Int) -> Double {
    4 * Double(size.layers * size.width) * Double(length + 1) / 2
  }

  /// Keys and values of every layer, 2·L·C.
  package var cacheColumns: Int { 2 * size.layers * size.width }

  package func positions(in g: inout GraphBuilder) -> Parameter? { nil }

  /// A norm whose weights start as 1.
  package func norm(_ x: Tensor, named name: String?, in g: inout GraphBuilder) -> Tensor {
    norm(x, named: name, gain: 1, in: &g)
  }

  /// Traces blocks and last norm over `x` (N, C).
  package func callAsFunction(_ x: Tensor, in g: inout GraphBuilder) -> Tensor {
    norm(blocks(x, in: &g), named: nil, in: &g)
  }

  /// The same with so many blocks: what one more costs is what a block costs.
  func with(layers: Int) -> Self {
    var size = size
    size.layers = layers
    return Self(size, settings: settings, prefix: prefix)
  }

  /// Declares the tables that `input` sums over, then learned positions, and traces the embedding.
  ///
  /// - Parameter tables: the tables to declare, in the order of a lane's columns: `input.tables`, or
  ///   none where nothing reads them.
  /// - Returns: the rows (N, C) that the trunk is to be called with, and the declared tables.
  package func embed(
    _ input: some Input, declaring tables: [InputTable], in g: inout GraphBuilder
  ) -> (rows: Tensor, tables: [Parameter]) {
    let declared = tables.map { table($0, in: &g) }
    let positions = positions(in: &g)
    let rows = input(
      tables: declared, positions: positions, width: size.width, named: prefix, in: &g)
    return (rows, declared)
  }

  /// Declares a table of the input; a shared one may be declared already.
  func table(
    _ table: InputTable, isShared: Bool = false, in g: inout GraphBuilder
  ) -> Parameter {
    g.parameter(
      "\(prefix).\(Self.tokenTable)\(table.order == 1 ? "" : "_\(table.order)").weight",
      [table.rows, size.width], .normal(size.deviation), isShared: isShared)
  }
}

/// The sizes that every trunk has.
package struct TrunkSize: Sendable, Equatable {
  /// L.
  package var layers: Int
  /// C.
  package var width: Int
  /// H.
  package var heads: Int
  /// T, positions of the longest sentence.
  package var context: Int
  /// Standard deviation of weights at the start, of token tables and of an untied head.
  package let deviation: Double

  /// GPT-2's and OLMo's.
  package static let usualDeviation = 0.02

  /// - Parameter deviation: 0 for 1/√width, which keeps the rows' sizes where the width is not in the
  ///   thousands: at 64 columns products of weights of 0.02 are so small that the ε of norms counts.
  package init(
    layers: Int, width: Int, heads: Int, context: Int, deviation: Double = usualDeviation
  ) {
    self.layers = layers
    self.width = width
    self.heads = heads
    self.context = context
    self.deviation = deviation == 0 ? 1 / Double(width).squareRoot() : deviation
  }

  /// Reads the keys `layers`, `width`, `heads`, `context` and, where it is there, `deviation`.
  init(reader: inout ConfigReader) throws {
    self.init(
      layers: try reader.int("layers", in: 1...1_000),
      width: try reader.int("width", in: 1...1_000_000),
      heads: try reader.int("heads", in: 1...100_000),
      context: try reader.int("context", in: 1...10_000_000),
      deviation: reader.has("deviation")
        ? try reader.double("deviation", in: 0...10) : Self.usualDeviation)
  }

  /// D, columns of a head.
  package var headColumns: Int { width / heads }

  /// - Throws: `UserError` for sizes that no trunk can have.
  func validate() throws {
    for (name, value) in [
      ("layers", layers), ("width", width), ("heads", heads), ("context", context),
    ] where value < 1 {
      throw UserError("model \(name)", expected: "at least 1", found: "\(value)")
    }
    if width % heads != 0 {
      throw UserError(
        "model width", expected: "a multiple of \(heads) heads", found: "\(width)",
        remedy: "Change width or heads.")
    }
  }
}
