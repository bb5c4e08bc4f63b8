import ArgumentParser
import Shards
import Stages
import Support

@main
struct ShardsCommand: Command {
  static let configuration = CommandConfiguration(
    commandName: "ott-shards",
    abstract: "Looks into shard sets, checks them, and exports them.",
    version: versionText("ott-shards"),
    subcommands: [Info.self, Cat.self, Verify.self, Export.self, Bench.self])
}

struct Verify: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Checks every digest of a shard set.")

  @Argument(help: "The directory of a shard set.")
  var directory: String

  @Option(help: "Worker threads.")
  var threads: Int = Host.threads

  func validate() throws { try requireCount(threads, of: "--threads") }

  func run() throws {
    let set = try ShardSet(directory: directory)
    let bytes = try set.verify(threads: threads)
    try StandardOutput.line(
      "\(directory): \(set.shards.count) shards, \(set.documents) documents, \(bytes) raw bytes: ok"
    )
  }
}

struct Export: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Writes one column in another layout: nanogpt, llmc, megatron, npy.")

  @Argument(help: "The directory of a shard set.")
  var directory: String

  @Option(help: "Layout: \(ShardExport.allCases.map(\.rawValue).joined(separator: ", ")).")
  var to: ShardExport

  @Option(name: .shortAndLong, help: "File to write; for megatron the prefix of .bin and .idx.")
  var output: String

  @Option(help: "Column (default: the first).")
  var column: String?

  func run() throws {
    let set = try ShardSet(directory: directory)
    let files = try to.write(set, column: column ?? set.columns[0].name, to: output)
    try StandardOutput.line("\(set.elements) elements in \(files.joined(separator: " and "))")
  }
}

extension ShardExport: ExpressibleByArgument {}

struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measures writing and reading against the zstd library, on one thread.")

  @Argument(help: "The directory of a shard set, whose content is used.")
  var directory: String

  @Option(help: "zstd level (default: that of the set).")
  var level: Int?

  @Option(help: "Raw megabytes to use, at most a shard more.")
  var megabytes: Int = 64

  @Option(help: "Repetitions; the best counts.")
  var repetitions: Int = 3

  func validate() throws {
    guard (1...100_000).contains(megabytes), (1...1000).contains(repetitions) else {
      throw ValidationError("--megabytes and --repetitions must be positive.")
    }
  }

  func run() throws {
    let fixed = ShardDescription.decimals
    let result = try ShardBenchmark.measure(
      ShardSet(directory: directory), limit: megabytes * 1_000_000, level: level,
      repetitions: repetitions)
    let line = { (name: String, ours: Double, plain: Double) in
      try StandardOutput.line(
        "\(name) \(fixed(ours / 1e6, 0)) MB/s, plain zstd \(fixed(plain / 1e6, 0)) MB/s, "
          + "ratio \(fixed(ours / plain, 2))")
    }
    try StandardOutput.line(
      "\(fixed(Double(result.rawBytes) / 1e6, 1)) MB raw, level \(result.level), "
        + "compressed \(fixed(result.compression, 2))×, zstd \(Zstd.version); a CPU second of one thread:"
    )
    try line("write", result.writeRate, result.plainWriteRate)
    try line("read ", result.readRate, result.plainReadRate)
  }
}
