import Engine
import Models
import Support

/// A trunk that the product does not have, to show that one can be added from outside: blocks whose
/// attention and feed-forward read the same norm side by side, without biases.
///
///     x + attention(norm(x)) + feedForward(norm(x))
///
/// Source: GPT-J (Wang and Komatsuzaki 2021), but without its rotary positions.
struct ForeignTrunk: Trunk {
  struct Settings: TrunkSettings {
    /// Columns of the feed-forward layer, in widths.
    var expansion = 3

    init() {}
    init(reader: inout ConfigReader) throws {
      expansion = try reader.int("expansion", default: Self().expansion, in: 1...16)
    }
  }

  static let prefix = "foreign"
  static let tokenTable = "tokens"

  let size: TrunkSize
  let settings: Settings
  let prefix: String

  init(_ size: TrunkSize, settings: Settings, prefix: String) {
    self.size = size
    self.settings = settings
    self.prefix = prefix
  }

  private var blockWeights: Int { (4 + 2 * settings.expansion) * size.width * size.width }

  var parameterCount: Int { size.layers * (blockWeights + 2 * size.width) + size.width }
  var productFLOPs: Double { 2 * Double(size.layers * blockWeights) }
  var savedColumns: Int {
    let C = size.width
    return size.layers * ((6 + settings.expansion) * C + size.heads + 2) + 2 * C + 1
  }
  var normParameterCount: Int { size.width }

  func blocks(_ x: Tensor, in g: inout GraphBuilder) -> Tensor {
    (0..<size.layers).reduce(x) { block($0, named: "\(prefix).\($1)", in: &g) }
  }

  func block(_ x: Tensor, named name: String, in g: inout GraphBuilder) -> Tensor {
    let C = size.width
    let y = g.layerNorm(x, named: name + ".norm")
    let qkv = g.linear(
      y, to: 3 * C, named: name + ".qkv", deviation: size.deviation, bias: false)
    let attended = g.linear(
      g.attention(qkv: qkv, heads: size.heads), to: C, named: name + ".out",
      deviation: size.deviation, bias: false, residual: x)
    let hidden = g.linear(
      y, to: settings.expansion * C, named: name + ".up", deviation: size.deviation, bias: false)
    return g.linear(
      hidden, activation: .gelu, to: C, named: name + ".down", deviation: size.deviation,
      bias: false, residual: attended)
  }

  func norm(
    _ x: Tensor, named name: String?, gain: Double, in g: inout GraphBuilder
  ) -> Tensor {
    g.rmsNorm(
      x, named: name ?? "\(prefix).last", epsilon: 1e-5, gain: gain, isShared: name == nil)
  }
}

/// An input that the product does not have: token rows of few columns, projected to the width of the
/// trunk.
///
/// Source: ALBERT's factorized embedding (Lan et al. 2020, §3.1).
struct ForeignInput: Input {
  let vocabulary: Int
  /// Columns of the table.
  let columns: Int

  var tables: [InputTable] { [InputTable(order: 1, rows: vocabulary)] }
  var readsTables: Bool { false }
  var columnRows: [Int] { [vocabulary] }

  static func read(
    _ reader: inout ConfigReader, tables: [InputTable], trunk: any Trunk
  ) throws -> ForeignInput? {
    guard let columns = try reader.optionalInt("tokenColumns", in: 1...trunk.size.width) else {
      return nil
    }
    return ForeignInput(vocabulary: tables.first?.rows ?? 0, columns: columns)
  }

  func validate(width: Int) throws {
    if columns > width {
      throw UserError("token columns", expected: "at most \(width)", found: "\(columns)")
    }
  }

  func parameterCount(width: Int) -> Int { (vocabulary + width) * columns }
  var tableParameterCount: Int { 0 }
  func productFLOPs(width: Int) -> Double { 2 * Double(columns * width) }
  var savedColumns: Int { columns }

  func callAsFunction(
    tables declared: [Parameter], positions: Parameter?, width: Int, named name: String,
    in g: inout GraphBuilder
  ) -> Tensor {
    let table = g.parameter("\(name).narrow.weight", [vocabulary, columns], .normal(0.02))
    let rows = g.embeddingSum(tables: [table], positions: nil, columns: columns)
    let base = positions.map { g.embeddingSum(tables: [], positions: $0, columns: width) }
    return g.linear(
      rows, to: width, named: "\(name).widen", deviation: 0.02, bias: false, residual: base)
  }
}

/// An output that the product does not have: a second head, on another label of the same rows.
///
/// As a head on the part of speech would be.
struct ForeignOutput: Output {
  let labels: Int
  let weight: Double

  var isTied: Bool { false }
  var labelsAhead: [Int] { [2] }

  static func read(_ reader: inout ConfigReader) throws -> ForeignOutput? {
    guard let weight = try reader.optionalDouble("otherLabel", in: 0...1e3) else { return nil }
    return ForeignOutput(labels: try reader.int("labels"), weight: weight)
  }

  func validate(tables: [InputTable], trunk: any Trunk) throws {
    if labels < 1 {
      throw UserError("labels of another kind", expected: "at least 1", found: "\(labels)")
    }
  }

  func parameterCount(on trunk: any Trunk) -> Int { labels * trunk.size.width }
  func productFLOPs(on trunk: any Trunk) -> Double { 2 * Double(labels * trunk.size.width) }
  func savedColumns(on trunk: any Trunk) -> Int { 1 }

  func callAsFunction(_ rows: ModelRows, labelColumn: Int, in g: inout GraphBuilder) {
    let head = g.parameter(
      "other_label.weight", [labels, rows.normed.columns], .normal(0.02))
    g.addLoss(
      "other label", g.labelHead(rows.normed, weight: head, labels: labels, column: labelColumn),
      weight: weight)
  }
}
