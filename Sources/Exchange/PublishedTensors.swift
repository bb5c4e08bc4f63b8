import Engine
import Models
import Support

/// A parameter as a Hugging Face file has it: under our name, which is theirs, and transposed where a
/// `nn.Linear` holds it, (out, in).
struct PublishedTensor: Equatable {
  let name: String
  /// As ours, (in, out) of a product.
  let shape: [Int]
  let isTransposed: Bool

  /// As theirs.
  var publishedShape: [Int] { isTransposed ? shape.reversed() : shape }
  var count: Int { shape.reduce(1, *) }

  init(name: String, shape: [Int]) {
    self.name = name
    self.shape = shape
    isTransposed = shape.count == 2 && Self.isLinear(name)
  }

  /// Projections of the OLMo family and of over-encoding, and routers; GPT-2's layers are `Conv1D`, (in, out).
  private static func isLinear(_ name: String) -> Bool {
    let parts = name.split(separator: ".")
    guard parts.count >= 3, parts[parts.count - 1] == "weight" else { return false }
    let module = parts[parts.count - 2]
    return linear.contains(module) || (module == "gate" && parts[parts.count - 3] == "mlp")
  }

  private static let linear: Set<Substring> = [
    "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "oe_proj",
  ]

  /// Copies a matrix (rows, columns) to its transpose (columns, rows), in tiles that caches hold.
  static func transpose(
    _ source: UnsafeBufferPointer<Float>, rows: Int, columns: Int,
    into target: UnsafeMutableBufferPointer<Float>
  ) {
    precondition(source.count == rows * columns && target.count == source.count, "shape")
    let tile = 32
    for top in stride(from: 0, to: rows, by: tile) {
      for left in stride(from: 0, to: columns, by: tile) {
        for r in top..<min(top + tile, rows) {
          for c in left..<min(left + tile, columns) {
            target[c * rows + r] = source[r * columns + c]
          }
        }
      }
    }
  }
}

extension ModelConfiguration {
  /// The parameters that scoring and generation read, tables last.
  var publishedTensors: [PublishedTensor] {
    let layout = scored.layout
    return layout.slots.map { PublishedTensor(name: $0.name, shape: $0.shape) }
      + layout.tables.map { PublishedTensor(name: $0.name, shape: $0.shape) }
  }

  /// Names of those that training alone reads: of heads on tokens further ahead.
  var unpublishedTensors: [String] {
    let published = scored.layout
    return layout.slots.map(\.name).filter { published.slot(named: $0) == nil }
  }
}
