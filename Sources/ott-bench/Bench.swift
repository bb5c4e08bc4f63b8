import ArgumentParser
import Benchmark
import Foundation
import Kernels
import Stages
import Support
import Torch

/// Times what this project computes; pipeline/bench.mk sets the numbers beside the peers'.
@main
struct Bench: Command {
  static let configuration = CommandConfiguration(
    commandName: "ott-bench",
    abstract: "Times training, generation, tokenizers, f-grams and ranks.",
    version: versionText("ott-bench"),
    subcommands: [
      Tokens.self, Weights.self, Train.self, Generate.self, Step.self, Table.self, Scaling.self,
      Heads.self, Drafts.self, FGramSteps.self, ComparePrecisions.self, Tokenizers.self,
      Discovery.self, Products.self, Store.self, Serving.self, RankSteps.self,
    ])
}

/// A named workload, any number of it replaced.
struct WorkloadOptions: ParsableArguments {
  @Option(help: "Named sizes to start from.") var model = NamedModel.d128
  @Option(help: "Layers.") var layers: Int?
  @Option(help: "Columns.") var width: Int?
  @Option(help: "Heads.") var heads: Int?
  @Option(help: "Token and label ids.") var vocabulary: Int?
  @Option(help: "Positions of the model.") var context: Int?
  @Option(help: "Sentences of a batch.") var batch: Int?
  @Option(help: "Predicted positions of a sentence.") var length: Int?
  @Option(help: "Lanes of a batch, a power of two.") var lanes: Int?
  @Option(help: "Rows of each table of an over-encoded model, about.") var tableRows: Int?
  @Option(help: "Kind of heads on tokens further ahead.") var further = HeadKind.mtp
  @Option(help: "Tokens ahead of the furthest head; 1: no further heads.") var ahead = 1
  @Option(help: "Precision of the matrix products.") var precision = Precision.float32
  @Option(help: "Worker threads.") var threads = Host.threads

  func validate() throws {
    try requireCount(threads, of: "--threads")
    try requireCount(ahead, of: "--ahead", upTo: 64)
    for (option, value, most) in [
      ("--layers", layers, 1000), ("--width", width, 1 << 20), ("--heads", heads, 1 << 20),
      ("--vocabulary", vocabulary, Int(Int32.max)), ("--context", context, 10_000_000),
      ("--batch", batch, 1 << 20), ("--length", length, 10_000_000), ("--lanes", lanes, 4096),
      ("--table-rows", tableRows, Int(Int32.max)),
    ] {
      if let value { try requireCount(value, of: option, upTo: most) }
    }
  }

  /// The named sizes with what replaces them.
  var sizes: NamedModel.Sizes {
    var sizes = model.sizes
    if let layers { sizes.layers = layers }
    if let width { sizes.width = width }
    if let heads { sizes.heads = heads }
    if let vocabulary { sizes.labels = vocabulary }
    if let batch {
      sizes.batch = batch
      while sizes.lanes > max(1, batch) { sizes.lanes /= 2 }
    }
    if let length { sizes.length = length }
    if let lanes { sizes.lanes = lanes }
    sizes.context = context
    if let tableRows, let encoding = sizes.overEncoding {
      sizes.overEncoding = (encoding.order, encoding.slices, tableRows)
    }
    sizes.further = (further, ahead)
    return sizes
  }

  func workload(isOnDevice: Bool = false) throws -> Workload {
    let workload = try sizes.workload(precision: precision, isOnDevice: isOnDevice)
    try requireMemory(
      16 * Double(workload.model.parameterCount), for: "weights, moments and gradient")
    return workload
  }
}

extension NamedModel: ExpressibleByArgument {}
extension HeadKind: ExpressibleByArgument {}
extension Precision: ExpressibleByArgument {}
extension TorchDevice: ExpressibleByArgument {}
extension DeviceTablePlace: ExpressibleByArgument {}

/// - Throws: `UserError` when this machine has not so many bytes.
func requireMemory(_ bytes: Double, for what: String) throws {
  guard bytes < Double(Host.memoryBytes) else {
    throw UserError(
      what, expected: "less than the \(Progress.short(Double(Host.memoryBytes)))B of this machine",
      found: "\(Progress.short(bytes))B", remedy: "Choose smaller sizes.")
  }
}
