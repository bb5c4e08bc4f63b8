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

  func callAsFunction(_ x: Tensor, in g: inout GraphBuilder) -> Tensor {
    let C = size.width
    var x = x
    for layer in 0..<size.layers {
      let name = "\(prefix).\(layer)"
      let y = g.layerNorm(x, named: name + ".norm")
      let qkv = g.linear(
        y, to: 3 * C, named: name + ".qkv", deviation: Self.deviation, bias: false)
      let attended = g.linear(
        g.attention(qkv: qkv, heads: size.heads), to: C, named: name + ".out",
        deviation: Self.deviation, bias: false, residual: x)
      let hidden = g.linear(
        y, to: settings.expansion * C, named: name + ".up", deviation: Self.deviation, bias: false)
      x = g.linear(
        hidden, activation: .gelu, to: C, named: name + ".down", deviation: Self.deviation,
        bias: false, residual: attended)
    }
    return g.rmsNorm(x, named: "\(prefix).last", epsilon: 1e-5)
  }
}
