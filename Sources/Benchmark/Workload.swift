import Kernels
import Models
import NGrams
import Support

/// A piece of work that is timed: a model and the shape of its batch.
package struct Workload: Sendable, Equatable {
  package var model: ModelConfiguration
  /// Sentences of a batch.
  package var batch: Int
  /// Predicted positions of a sentence, where the sentences are not given.
  package var length: Int
  /// Lanes that a batch is cut into, a power of two.
  package var lanes: Int
  /// Of the matrix products.
  package var precision: Precision

  /// - Parameter isOnDevice: whether libtorch is to do it, in whatever precision it likes.
  package init(
    model: ModelConfiguration, batch: Int, length: Int, lanes: Int,
    precision: Precision = .float32, isOnDevice: Bool = false
  ) throws {
    (self.model, self.batch, self.length, self.lanes) = (model, batch, length, lanes)
    self.precision = precision
    if !isOnDevice { try precision.require(source: "workload") }
    guard batch >= 1, length >= 1, length <= model.context else {
      throw UserError(
        "workload", expected: "a sentence or more of 1 to \(model.context) positions",
        found: "\(batch) of \(length)")
    }
    guard lanes >= 1, lanes & (lanes - 1) == 0, lanes <= batch else {
      throw UserError(
        "workload lanes", expected: "a power of two, at most the \(batch) sentences of a batch",
        found: "\(lanes)")
    }
  }

  /// Predicted positions of a full batch.
  package var rows: Int { batch * length }
}

/// The sizes that have a name. `laptop-large` and `laptop-small` are Figure 2's on a laptop; the
/// others are the rows of `make bench`: `moe` is a mixture of experts whose routers' losses are measured
/// but have no weight, `moe-dense` a dense model of as many FLOPs a token.
package enum NamedModel: String, CaseIterable, Sendable {
  case d128
  case d768
  case d256
  case d256OverEncoded = "d256-over-encoded"
  case moe
  case moeDense = "moe-dense"
  case laptopLarge = "laptop-large"
  case laptopSmall = "laptop-small"

  /// Layers, width, heads, labels; batch, length; lanes.
  package var sizes: Sizes {
    switch self {
    case .d128: Sizes(12, 128, 2, labels: 40, batch: 16, length: 512, lanes: 16)
    case .d768: Sizes(12, 768, 12, labels: 5, batch: 4, length: 512, lanes: 2)
    case .d256: Sizes(6, 256, 4, labels: 4096, batch: 16, length: 256, lanes: 8)
    case .d256OverEncoded:
      Sizes(
        6, 256, 4, labels: 4096, batch: 16, length: 256, lanes: 8,
        overEncoding: (order: 3, slices: 4, rows: 1_000_000))
    case .moe:
      Sizes(4, 256, 4, labels: 512, batch: 16, length: 256, lanes: 8) {
        OLMoE(
          $0,
          settings: OLMoE.Settings(
            experts: 16, topK: 4, expertWidth: 128, balanceLoss: 0, zLoss: 0))
      }
    case .moeDense:
      Sizes(4, 256, 4, labels: 512, batch: 16, length: 256, lanes: 8) {
        OLMo2($0, settings: OLMo2.Settings(hiddenWidth: 512))
      }
    case .laptopLarge: Sizes(4, 64, 4, labels: 5, batch: 64, length: 19, lanes: 4)
    case .laptopSmall: Sizes(4, 8, 2, labels: 5, batch: 64, length: 19, lanes: 4)
    }
  }

  /// The numbers of a workload of plain tokens, each free to be replaced.
  package struct Sizes: Sendable {
    package var layers, width, heads, labels, batch, length, lanes: Int
    /// Positions of the model; nil: as many as `length`.
    package var context: Int?
    /// Tables of n-grams: order n, k slices, about m rows each.
    package var overEncoding: (order: Int, slices: Int, rows: Int)?
    /// Heads 2…n of a kind, λ = 0.3 each; none for n = 1.
    package var further: (kind: HeadKind, heads: Int)?
    private let trunk: @Sendable (TrunkSize) -> any Trunk

    init(
      _ layers: Int, _ width: Int, _ heads: Int, labels: Int, batch: Int, length: Int, lanes: Int,
      overEncoding: (order: Int, slices: Int, rows: Int)? = nil,
      trunk: @escaping @Sendable (TrunkSize) -> any Trunk = { GPT2($0) }
    ) {
      self.overEncoding = overEncoding
      self.trunk = trunk
      (self.layers, self.width, self.heads, self.labels) = (layers, width, heads, labels)
      (self.batch, self.length, self.lanes) = (batch, length, lanes)
    }

    package func workload(
      precision: Precision = .float32, isOnDevice: Bool = false
    ) throws -> Workload {
      let size = TrunkSize(
        layers: layers, width: width, heads: heads, context: context ?? length)
      return try Workload(
        model: ModelConfiguration(
          input: input, trunk: trunk(size),
          outputs: [NextToken(labels: labels)]
            + (further.flatMap { $0.kind.output(labels: labels, heads: $0.heads) }.map { [$0] }
              ?? [])),
        batch: batch, length: length, lanes: lanes, precision: precision, isOnDevice: isOnDevice)
    }

    private var input: any Input {
      get throws {
        guard let (order, slices, rows) = overEncoding else {
          return TableSum([InputTable(order: 1, rows: labels)])
        }
        return OverEncoding(
          layout: try OverEncodingLayout(
            vocabulary: labels, order: order, slices: slices, rows: rows, width: width,
            moduli: .coprime))
      }
    }
  }
}

/// A kind of heads on tokens further ahead, by its key in a configuration.
package enum HeadKind: String, CaseIterable, Sendable {
  case overDecoding, mtp, mtpDS

  /// λ of each.
  private static let weight = 0.3

  /// Nil for n = 1.
  func output(labels: Int, heads: Int) -> (any Output)? {
    if heads < 2 { return nil }
    let weights = Array(repeating: Self.weight, count: heads - 1)
    return switch self {
    case .overDecoding: OverDecoding(labels: labels, weights: weights)
    case .mtp: MultiToken(labels: labels, weights: weights)
    case .mtpDS: MultiTokenChain(labels: labels, weights: weights)
    }
  }
}
