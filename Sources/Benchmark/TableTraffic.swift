import Engine
import Kernels
import Parallel
import Support

/// How fast rows of a big table are read, updated and written back, beside moving their bytes alone.
package struct TableTraffic: Sendable, Equatable {
  /// Bytes a second of all threads: weights and both moments of each row, read once and written once.
  package let update: Double
  /// The same bytes without arithmetic: what the machine allows at random rows.
  package let limit: Double
  /// Rows a second of all threads.
  package let rowsPerSecond: Double
  package let threads: Int

  package var share: Double { update / limit }

  /// Measures `seconds` of updates, in turns of one batch with the moving. Time is each thread's own,
  /// so that other processes on the machine take nothing off but memory bandwidth.
  ///
  /// Every thread has a part of the table to itself, so that no row is in two batches at a time. No
  /// row has steps to catch up with.
  package static func measure(
    rows: Int, width: Int, moments: TableMoments = .float32, batchRows: Int = 8192, threads: Int,
    seconds: Double = 2
  ) -> TableTraffic {
    var g = GraphBuilder(mode: .training)
    _ = g.table("table", rows: rows, width: width, deviation: 0.02)
    let store = ParameterStore(layout: g.layout, moments: true, tableMoments: moments)
    store.initialize(seed: 1, threads: threads)
    let table = store.tables[0]
    table.lastStep.update(repeating: 1)
    for bytes in [table.firstMoment, table.secondMoment] {
      bytes.withMemoryRebound(to: UInt8.self) { $0.update(repeating: 0) }
    }
    let scalars = AdamWScalars(
      step: 1, learningRate: 1e-3, beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weightDecay: 0,
      gradientScale: 1)
    var history = AdamWHistory()
    history.append(scalars)
    let workers = (0..<threads).map {
      Worker($0, of: threads, table: table.memory, batchRows: batchRows)
    }
    let pool = WorkerPool(threads: threads)
    var round = 0
    repeat {
      pool.forEach(0..<threads) { [round] _, task in workers[task].draw(round) }
      pool.forEach(0..<threads) { _, task in workers[task].move() }
      // Other rows, so that none is in a cache already.
      pool.forEach(0..<threads) { [round] _, task in workers[task].draw(round + 1) }
      pool.forEach(0..<threads) { [history] _, task in workers[task].update(history, scalars) }
      round += 2
    } while workers.reduce(0, { $0 + $1.updating.seconds }) < seconds * Double(threads)
    let rowBytes = Double(2 * (4 * width + moments.bytes(width: width)))
    let rate = { (work: (Worker) -> (rows: Int, seconds: Double)) in
      workers.reduce(0.0) { $0 + Double(work($1).rows) / work($1).seconds }
    }
    return TableTraffic(
      update: rowBytes * rate(\.updating), limit: rowBytes * rate(\.moving),
      rowsPerSecond: rate(\.updating), threads: threads)
  }

  // Unchecked: one thread at a time uses it.
  private final class Worker: @unchecked Sendable {
    private let part: Range<Int>
    private let table: TableMemory
    private let groups: RowGroups
    private let stream: RandomStream
    private var ids: [Int32]
    private var slots: [Int32]
    private let floats: UnsafeMutableBufferPointer<Float>
    private let staged: StagedRows

    init(_ number: Int, of threads: Int, table: TableMemory, batchRows: Int) {
      part = number * table.rows / threads..<(number + 1) * table.rows / threads
      self.table = table
      groups = RowGroups(capacity: batchRows)
      stream = RandomStream(seed: UInt64(number), name: "traffic")
      ids = [Int32](repeating: 0, count: batchRows)
      slots = ids
      let count = batchRows * table.width
      floats = .allocate(capacity: 4 * count)
      floats.initialize(repeating: 1e-4)
      guard let base = floats.baseAddress else { preconditionFailure("a batch has rows") }
      staged = StagedRows(p: base, m: base + count, v: base + 2 * count, g: base + 3 * count)
    }

    deinit { floats.deallocate() }

    private(set) var moving = (rows: 0, seconds: 0.0)
    private(set) var updating = (rows: 0, seconds: 0.0)

    func draw(_ round: Int) {
      var stream = stream.at(index: UInt64(round))
      for i in ids.indices {
        ids[i] = Int32(part.lowerBound + Int(stream.below(UInt32(part.count))))
      }
      groups.removeAll()
      ids.withUnsafeBufferPointer { groups.append($0, width: 1, column: 0, rows: table.rows) }
      slots.withUnsafeMutableBufferPointer {
        guard let slots = $0.baseAddress else { return }
        groups.group(rows: table.rows, slots: slots, stride: 1)
      }
    }

    func move() {
      let start = Host.threadSeconds
      moveRows(table, groups, 0..<groups.count, buffer: staged.p)
      moving.seconds += Host.threadSeconds - start
      moving.rows += groups.count
    }

    func update(_ history: AdamWHistory, _ scalars: AdamWScalars) {
      // Parts as in a training step, whose rows stay in a cache from one call to the next or not.
      let parts = stride(from: 0, to: groups.count, by: 64).map { $0..<min($0 + 64, groups.count) }
      let start = Host.threadSeconds
      for part in parts { stageRows(staged, table, groups, part, history) }
      for part in parts { updateRows(table, staged, groups, part, step: 1, scalars) }
      updating.seconds += Host.threadSeconds - start
      updating.rows += groups.count
    }
  }
}
