import ArgumentParser
import Benchmark
import Foundation
import Stages
import Stores
import Support

struct Store: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Time reading from a store of f-grams: in memory and on disk, warm and cold.",
    subcommands: [Make.self, Read.self], defaultSubcommand: Read.self)

  struct Make: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Write a store of made-up f-grams.")

    @Option(help: "Token ids; a token has about 306 f-grams.") var vocabulary = 32_768
    @Option(help: "Numbers of a row.") var width = 2048
    @Option(help: "Precision of the rows.") var precision = StorePrecision.bfloat16
    @Flag(help: "Leave the rows zeros, which take no room.") var sparse = false
    @Option(help: "Directory to write.") var output: String

    func validate() throws {
      guard (StoreBench.degrees[0]...1 << 24).contains(vocabulary) else {
        throw ValidationError(
          "--vocabulary: expected \(StoreBench.degrees[0])...\(1 << 24), found \(vocabulary).")
      }
      try requireCount(width, of: "--width", upTo: 1 << 20)
    }

    func run() throws {
      try StoreBench(vocabulary: vocabulary).make(
        in: output, width: width, precision: precision, filled: !sparse)
      let store = try FGramStore(directory: output, placement: .disk)
      try StandardOutput.line("\(store.description.count) f-grams")
    }
  }

  struct Read: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Look up windows and read the rows of their longest f-grams; a line a batch size.")

    @Option(help: "Directory of a store that `make` wrote.") var store: String
    @Option(help: "Where rows are read from, several separated by commas: memory, disk.")
    var placements = "memory,disk"
    @Option(help: "Windows a batch, several separated by commas.")
    var batches = "1,2,4,8,16,32,64,128,256,512,1024"
    @Option(help: "Windows that are looked up.") var windows = 65_536
    @Option(help: "The same of cold stores, each time others.") var coldWindows = 2_048
    @Option(help: "Runs of warm ones, of which the fastest counts.") var runs = 3
    @Option(help: "Write the windows of warm stores (u32) to this file.") var queries: String?
    @Option(help: "CSV file to write.") var output: String?

    func validate() throws {
      for (option, value) in [
        ("--windows", windows), ("--cold-windows", coldWindows), ("--runs", runs),
      ] {
        try requireCount(value, of: option, upTo: 1 << 30)
      }
      if placements.split(separator: ",").contains(where: {
        FGramStore.Placement(rawValue: String($0)) == nil
      }) {
        throw ValidationError("--placements must be memory, disk or memory,disk.")
      }
      if batches.split(separator: ",").contains(where: { (Int($0) ?? 0) < 1 }) || batches.isEmpty {
        throw ValidationError("--batches must be positive integers separated by commas.")
      }
    }

    func run() throws {
      for file in [output, queries].compactMap({ $0 }) {
        try OutputPath.require(file: file, apartFrom: [store])
      }
      let vocabulary = try FGramStore(directory: store, placement: .disk).description.vocabulary
      let bench = StoreBench(vocabulary: vocabulary)
      let warm = bench.windows(windows, seed: 1)
      if let queries { try warm.withUnsafeBytes { try AtomicFile.write(Array($0), to: queries) } }
      let sizes = batches.split(separator: ",").compactMap { Int($0) }
      var points: [StoreBench.Point] = []
      func add(_ point: StoreBench.Point) throws {
        points.append(point)
        let rows = StoreBench.csv(points)
        if points.count == 1 { try tell(rows[0].joined(separator: ",")) }
        try tell(rows[points.count].joined(separator: ","))
      }
      for placement in placements.split(separator: ",").compactMap({
        FGramStore.Placement(rawValue: String($0))
      }) {
        let opened = try FGramStore(directory: store, placement: placement)
        for batch in sizes {
          try add(
            StoreBench.measure(
              opened, placement: placement, isCold: false, batch: batch, windows: warm, runs: runs))
        }
      }
      let cold = placements.contains("disk") ? sizes : []
      for (i, batch) in cold.enumerated() {
        try StoreBench.forget(store)
        try add(
          StoreBench.measure(
            FGramStore(directory: store, placement: .disk), placement: .disk, isCold: true,
            batch: batch, windows: bench.windows(coldWindows, seed: UInt64(2 + i)), runs: 1))
      }
      if let output { try CSV.write(StoreBench.csv(points), to: output) }
    }
  }
}

extension StorePrecision: ExpressibleByArgument {}
