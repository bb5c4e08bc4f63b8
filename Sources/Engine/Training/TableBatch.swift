import Kernels
import Parallel

/// The tables' part of a training step.
///
/// 1. `stage`: the rows that the batch uses are grouped, copied once each and brought up to date.
/// 2. Lanes look up those copies, and leave the gradient of every lookup (occurrences, Σ widths).
///    `gather`: each rank gets the gradients of the others' lanes.
/// 3. `sumGradients`: the gradients of each row's lookups are added up in the order of the lanes and
///    of the rows in them.
/// 4. `update`: one AdamW step on the copies, which go back into the table.
///
/// Before the last the tables are only read, so a step that fails leaves no trace. Work is cut into
/// fixed parts of the batch: any number of threads gives the same bits. Nothing is as large as a
/// table.
// Unchecked: the loops below give each worker its own rows.
final class TableBatch: @unchecked Sendable {
  private let stores: [TableStore]
  private let groups: [RowGroups]
  private let staged: [StagedRows]
  private let buffers: [TableBuffers]
  private let gradients: TableBuffer
  private let slots: UnsafeMutablePointer<Int32>
  private let capacity: Int
  private let columns: Int
  private let sources: TableSources
  private var starts: [Int] = []
  private var parts: [Part] = []
  private var norms: [Double] = []

  /// Some rows of one table's batch.
  private struct Part {
    let table: Int
    let range: Range<Int>
  }

  /// Rows of a part.
  private static let partRows = 64

  /// - Parameter capacity: positions of a batch.
  init(_ stores: [TableStore], lanes: Int, capacity: Int) {
    self.stores = stores
    self.capacity = capacity
    columns = stores.reduce(0) { $0 + $1.slot.width }
    groups = stores.map { _ in RowGroups(capacity: capacity) }
    buffers = stores.map { TableBuffers(count: capacity * $0.slot.width) }
    staged = buffers.map(\.staged)
    gradients = TableBuffer(count: capacity * columns)
    slots = .allocate(capacity: max(capacity * stores.count, 1))
    sources = TableSources(staged.map { (UnsafePointer($0.p), capacity) })
    starts.reserveCapacity(lanes + 1)
    let mostParts = stores.count * (capacity / Self.partRows + 1)
    parts.reserveCapacity(mostParts)
    norms.reserveCapacity(mostParts)
  }

  deinit { slots.deallocate() }

  /// Bytes at capacity.
  var bytes: Int { capacity * (columns * 4 * 5 + stores.count * 28) }

  /// Groups the rows of a batch and copies them, as they are at the end of `history`.
  func stage(_ batch: [PackedLane], _ history: AdamWHistory, _ pool: WorkerPool) {
    starts.removeAll(keepingCapacity: true)
    starts.append(0)
    for lane in batch { starts.append(starts[starts.count - 1] + lane.rows) }
    precondition(starts[batch.count] <= capacity, "a batch of \(starts[batch.count]) positions")
    pool.forEach(0..<stores.count) { [self] _, table in
      let groups = groups[table]
      groups.removeAll()
      for lane in batch {
        lane.inputs.withUnsafeBufferPointer { ids in
          groups.append(
            ids, width: lane.tables, column: lane.tables - stores.count + table,
            rows: stores[table].slot.rows)
        }
      }
      groups.group(rows: stores[table].slot.rows, slots: slots + table, stride: stores.count)
    }
    parts.removeAll(keepingCapacity: true)
    for table in stores.indices {
      for first in stride(from: 0, to: groups[table].count, by: Self.partRows) {
        parts.append(
          Part(table: table, range: first..<min(first + Self.partRows, groups[table].count)))
      }
    }
    pool.forEach(0..<parts.count) { [self] _, task in
      let part = parts[task]
      stageRows(
        staged[part.table], stores[part.table].memory, groups[part.table], part.range, history)
    }
  }

  /// Lane `lane` of the staged batch, as its operations see it.
  func view(lane: Int) -> TableView {
    let (first, rows) = (starts[lane], starts[lane + 1] - starts[lane])
    return sources.view(
      UnsafeBufferPointer(start: slots + first * stores.count, count: rows * stores.count),
      width: stores.count, gradients: gradients.floats.base + first * columns)
  }

  /// Gathers the gradients of all ranks' lookups, each rank having run the lanes of its part. Lookups
  /// lie in the order of the lanes, so the ranks' parts are in their places, and what follows is the
  /// same on every rank.
  func gather(_ ranks: any Communicator) throws {
    if ranks.size == 1 { return }
    let lanes = (starts.count - 1) / ranks.size
    let parts = (0..<ranks.size).map { rank in
      starts[rank * lanes] * columns * MemoryLayout<Float>.stride..<starts[(rank + 1) * lanes]
        * columns * MemoryLayout<Float>.stride
    }
    try ranks.allGather(
      UnsafeMutableRawBufferPointer(gradients.floats.buffer), parts: parts)
  }

  /// Adds up the gradients of every row's lookups; returns Σ g² of all tables.
  func sumGradients(_ pool: WorkerPool) -> Double {
    norms.removeAll(keepingCapacity: true)
    norms.append(contentsOf: repeatElement(0, count: parts.count))
    norms.withUnsafeMutableBufferPointer { norms in
      nonisolated(unsafe) let norms = norms
      pool.forEach(0..<parts.count) { [self] _, task in
        let part = parts[task]
        let width = stores[part.table].slot.width
        var sums = rows(staged[part.table].g, part).mutableSpan
        norms[task] = sumRows(
          into: &sums, groups[part.table], part.range, dY: gradients.floats.base, C: columns,
          column: firstColumn(part.table), width: width)
      }
    }
    return norms.reduce(0, +)
  }

  /// AdamW on the staged rows with their summed gradients, written back as of step `step`.
  func update(step: Int, _ scalars: AdamWScalars, _ pool: WorkerPool) {
    pool.forEach(0..<parts.count) { [self] _, task in
      let part = parts[task]
      updateRows(
        stores[part.table].memory, staged[part.table], groups[part.table], part.range, step: step,
        scalars)
    }
  }

  func rowCount(table: Int) -> Int { groups[table].count }

  /// The rows of the staged batch and their summed gradients (U, width), before clipping.
  func gradient(table: Int) -> (rows: [Int32], values: [Float]) {
    let count = groups[table].count * stores[table].slot.width
    return (
      Array(groups[table].rows),
      Array(UnsafeBufferPointer(start: staged[table].g, count: count))
    )
  }

  /// The first staged array that is not finite.
  func firstBadTensor() -> String? {
    for (table, store) in stores.enumerated() {
      let count = groups[table].count * store.slot.width
      let isFinite = { (base: UnsafeMutablePointer<Float>) in
        UnsafeBufferPointer(start: base, count: count).allSatisfy(\.isFinite)
      }
      if !isFinite(staged[table].p) { return "weight \(store.slot.name)" }
      if !isFinite(staged[table].g) { return "gradient of \(store.slot.name)" }
    }
    return nil
  }

  private func rows(
    _ base: UnsafeMutablePointer<Float>, _ part: Part
  ) -> UnsafeMutableBufferPointer<Float> {
    let width = stores[part.table].slot.width
    return UnsafeMutableBufferPointer(
      start: base + part.range.lowerBound * width, count: part.range.count * width)
  }

  private func firstColumn(_ table: Int) -> Int {
    stores[..<table].reduce(0) { $0 + $1.slot.width }
  }
}

/// A box for the noncopyable buffer.
private final class TableBuffer {
  let floats: FloatBuffer
  init(count: Int) { floats = FloatBuffer(count: count) }
}

/// Copies of the rows of a batch.
private final class TableBuffers {
  private let p, m, v, g: FloatBuffer

  init(count: Int) {
    p = FloatBuffer(count: count)
    m = FloatBuffer(count: count)
    v = FloatBuffer(count: count)
    g = FloatBuffer(count: count)
  }

  var staged: StagedRows { StagedRows(p: p.base, m: m.base, v: v.base, g: g.base) }
}
