import Checkpoints
import Engine
import Foundation
import Kernels
import Parallel
import Support
import Testing

/// Parameters that ranks share, written by way of rank 0 and read by any other number of ranks.
@Suite struct SharedTensorsTests {
  private static func store(_ ranks: any Communicator, _ moments: TableMoments) -> ParameterStore {
    var g = GraphBuilder(mode: .training)
    let table = g.parameter("table", [1100, 64], .normal(0.5))
    let x = g.overEncoding(
      tables: [(rows: 53, width: 16), (rows: 31, width: 4)], tokens: table, positions: nil,
      columns: 64, scale: 0.5, deviation: 0.3, projectionDeviation: 0.3, named: "m")
    g.addLoss("next", g.labelHead(x, weight: table, labels: 1100))
    let plan = Plan(g, limits: Limits(rows: 8, segment: 8))
    return ParameterStore(
      layout: plan.layout, moments: true, tableMoments: moments,
      share: RankShare(rank: ranks.rank, size: ranks.size))
  }

  /// Fills what a rank has with numbers that say where they lie in the whole.
  private static func fill(_ store: ParameterStore) {
    for array in ParameterArray.allCases {
      let held = store.held(of: array)
      store.withMutableFloats(held, of: array) { floats in
        for i in floats.indices {
          floats[i] = Float((held.lowerBound + i) % 4099) + Float(array.rawValue.utf8.count) / 64
        }
      }
    }
    for table in store.tables {
      for (number, bytes) in [
        UnsafeMutableRawBufferPointer(table.weights), table.firstMoment, table.secondMoment,
      ].enumerated() {
        let width = table.rows == 0 ? 1 : bytes.count / table.rows
        for i in bytes.indices {
          let place = table.share.place(of: i / width) * width + i % width
          // Finite in every form.
          bytes[i] = UInt8(truncatingIfNeeded: place &* 7 &+ number &* 31) & 0x3F
        }
      }
      for row in 0..<table.rows { table.lastStep[row] = UInt32(table.share.place(of: row) % 3) }
    }
    var history = AdamWHistory()
    for step in 1...3 {
      history.append(
        AdamWScalars(
          step: step, learningRate: 0.1, beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weightDecay: 0.1,
          gradientScale: 1))
    }
    store.restoreTableHistory(history)
  }

  private func write(
    _ directory: String, ranks: Int, _ moments: TableMoments
  ) throws -> (checkpoint: [UInt8], snapshot: [UInt8], digests: [String?]) {
    let (checkpoint, snapshot) = (
      "\(directory)/checkpoint-\(ranks)", "\(directory)/weights-\(ranks)"
    )
    let digests = try ThreadCommunicator.run(size: ranks) { ranks in
      let store = Self.store(ranks, moments)
      Self.fill(store)
      try ParameterFile.write(
        store, arrays: ParameterArray.allCases, metadata: ["format": "shared"], isSealed: true,
        ranks: ranks,
        to: checkpoint)
      return try ParameterFile.write(
        store, arrays: [.weights], threads: 2, ranks: ranks, to: snapshot)
    }
    return (try FileBytes.read(checkpoint), try FileBytes.read(snapshot), digests)
  }

  @Test(arguments: TableMoments.allCases) func anyNumberOfRanksWritesAndReads(moments: TableMoments)
    throws
  {
    let directory = FileManager.default.temporaryDirectory.path + "/\(UUID().uuidString)"
    try AtomicFile.makeDirectory(directory)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let one = try write(directory, ranks: 1, moments)
    #expect(one.digests == [SHA256.hex(of: one.snapshot)])
    for ranks in [2, 4, 8] {
      let found = try write(directory, ranks: ranks, moments)
      #expect(found.checkpoint == one.checkpoint)
      #expect(found.snapshot == one.snapshot)
      #expect(found.digests == one.digests + Array(repeating: nil, count: ranks - 1))
      // Read by so many, and written again.
      let again = "\(directory)/again-\(ranks)"
      _ = try ThreadCommunicator.run(size: ranks) { ranks in
        let store = Self.store(ranks, moments)
        let file = ranks.decides ? try SafeTensorsFile(path: "\(directory)/checkpoint-1") : nil
        try ParameterFile.read(
          into: store, arrays: ParameterArray.allCases, from: file, ranks: ranks)
        return try ParameterFile.write(
          store, arrays: ParameterArray.allCases, metadata: ["format": "shared"], isSealed: true,
          ranks: ranks, to: again)
      }
      #expect(try FileBytes.read(again) == one.checkpoint)
    }
  }

  /// Rank 0 alone sees the file: what it refuses ends all.
  @Test func aFileOfAnotherModelEndsAll() throws {
    let directory = FileManager.default.temporaryDirectory.path + "/\(UUID().uuidString)"
    try AtomicFile.makeDirectory(directory)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    _ = try write(directory, ranks: 2, .float32)
    let error = #expect(throws: UserError.self) {
      try ThreadCommunicator.run(size: 4) { ranks in
        let file = ranks.decides ? try SafeTensorsFile(path: "\(directory)/checkpoint-2") : nil
        try ParameterFile.read(
          into: Self.store(ranks, .rowwise), arrays: ParameterArray.allCases, from: file,
          ranks: ranks)
      }
    }
    #expect(error?.description.contains("tensor secondMoment/") == true)
  }
}
