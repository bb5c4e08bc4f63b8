import Kernels
import Parallel

/// The tables' part of a training step, whoever holds their rows. Every rank calls the same operations.
///
/// Before `update` the tables are only read, so a step that fails leaves no trace. Any number of threads and
/// ranks gives the same bits.
protocol TableStep: AnyObject, Sendable {
  var bytes: Int { get }

  /// Brings the rows that a batch uses, as they are at the end of `history`, to the lanes that use them.
  func stage(_ batch: [PackedLane], _ history: AdamWHistory, _ pool: WorkerPool) throws

  /// Lane `lane` of the staged batch, one of this rank's, as its operations see it.
  func view(lane: Int) -> TableView

  /// Brings the gradients of lookups to the ranks that have the rows, and adds up those of every row in the
  /// order of the lanes and of the rows in them; returns Σ g² of all tables.
  func sumGradients(_ pool: WorkerPool) throws -> Double

  /// AdamW on the staged rows with their summed gradients, written back as of step `step`.
  func update(step: Int, _ scalars: AdamWScalars, _ pool: WorkerPool)

  /// Different rows of a table in the staged batch.
  func rowCount(table: Int) -> Int

  /// The rows of the staged batch that are here, and their summed gradients (rows, width), before clipping.
  func gradient(table: Int) -> (rows: [Int32], values: [Float])

  /// The first array here that is not finite: 2 · table for its weights, one more for their gradients.
  func firstBadArray() -> Int?
}

/// Rows that are summed and measured at a time: a table's batch, ascending, is cut into such parts.
let tablePartRows = 64

/// The tables' part of a training step on a rank that has them whole.
///
/// 1. `stage`: the rows that the batch uses are grouped, copied once each and brought up to date.
/// 2. Lanes look up those copies, and leave the gradient of every lookup (occurrences, Σ widths).
/// 3. `sumGradients`: each rank gets the gradients of the others' lanes, and adds them up.
/// 4. `update`: one AdamW step on the copies, which go back into the table.
///
/// Work is cut into fixed parts of the batch. Nothing is as large as a table.
// Unchecked: the loops below give each worker its own rows.
final class TableBatch: TableStep, @unchecked Sendable {
  private let ranks: any Communicator
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

  /// - Parameter capacity: positions of a batch.
  init(
    _ stores: [TableStore], lanes: Int, capacity: Int, ranks: any Communicator
  ) {
    self.ranks = ranks
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
    let mostParts = stores.count * (capacity / tablePartRows + 1)
    parts.reserveCapacity(mostParts)
    norms.reserveCapacity(mostParts)
  }

  deinit { slots.deallocate() }

  var bytes: Int { capacity * (columns * 4 * 5 + stores.count * 28) }

  func stage(_ batch: [PackedLane], _ history: AdamWHistory, _ pool: WorkerPool) {
    starts.removeAll(keepingCapacity: true)
    starts.append(0)
    for lane in batch { starts.append(starts[starts.count - 1] + lane.rows) }
    precondition(starts[batch.count] <= capacity, "a batch of \(starts[batch.count]) positions")
    pool.forEach(0..<stores.count) { [self] _, table in
      groups[table].fill(
        batch, tables: stores.count, table: table, rows: stores[table].slot.rows,
        slots: slots + table)
    }
    parts.removeAll(keepingCapacity: true)
    for table in stores.indices {
      for first in stride(from: 0, to: groups[table].count, by: tablePartRows) {
        parts.append(
          Part(table: table, range: first..<min(first + tablePartRows, groups[table].count)))
      }
    }
    pool.forEach(0..<parts.count) { [self] _, task in
      let part = parts[task]
      stageRows(
        staged[part.table], stores[part.table].memory, groups[part.table], part.range, history)
    }
  }

  func view(lane: Int) -> TableView {
    let (first, rows) = (starts[lane], starts[lane + 1] - starts[lane])
    return sources.view(
      UnsafeBufferPointer(start: slots + first * stores.count, count: rows * stores.count),
      width: stores.count, gradients: gradients.floats.base + first * columns)
  }

  func sumGradients(_ pool: WorkerPool) throws -> Double {
    try gather()
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

  /// Gathers the gradients of all ranks' lookups, each rank having run the lanes of its part. Lookups
  /// lie in the order of the lanes, so the ranks' parts are in their places, and what follows is the
  /// same on every rank.
  private func gather() throws {
    if ranks.size == 1 { return }
    let lanes = (starts.count - 1) / ranks.size
    let parts = (0..<ranks.size).map { rank in
      starts[rank * lanes] * columns * MemoryLayout<Float>.stride..<starts[(rank + 1) * lanes]
        * columns * MemoryLayout<Float>.stride
    }
    try ranks.allGather(
      UnsafeMutableRawBufferPointer(gradients.floats.buffer), parts: parts)
  }

  func update(step: Int, _ scalars: AdamWScalars, _ pool: WorkerPool) {
    pool.forEach(0..<parts.count) { [self] _, task in
      let part = parts[task]
      updateRows(
        stores[part.table].memory, staged[part.table], groups[part.table], part.range, step: step,
        scalars)
    }
  }

  func rowCount(table: Int) -> Int { groups[table].count }

  func gradient(table: Int) -> (rows: [Int32], values: [Float]) {
    staged[table].gradients(of: groups[table], width: stores[table].slot.width)
  }

  func firstBadArray() -> Int? {
    staged.indices.lazy.compactMap { [self] table in
      staged[table].firstBadArray(count: groups[table].count * stores[table].slot.width)
        .map { 2 * table + $0 }
    }.first
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
final class TableBuffer {
  let floats: FloatBuffer
  init(count: Int) { floats = FloatBuffer(count: count) }
}

/// Copies of the rows of a batch.
final class TableBuffers {
  private let p, m, v, g: FloatBuffer

  init(count: Int) {
    p = FloatBuffer(count: count)
    m = FloatBuffer(count: count)
    v = FloatBuffer(count: count)
    g = FloatBuffer(count: count)
  }

  var staged: StagedRows { StagedRows(p: p.base, m: m.base, v: v.base, g: g.base) }
}

extension StagedRows {
  func gradients(of groups: RowGroups, width: Int) -> (rows: [Int32], values: [Float]) {
    (
      Array(groups.rows),
      Array(UnsafeBufferPointer(start: g, count: groups.count * width))
    )
  }

  /// 0 for the weights, 1 for their gradients.
  func firstBadArray(count: Int) -> Int? {
    let isFinite = { (base: UnsafeMutablePointer<Float>) in
      UnsafeBufferPointer(start: base, count: count).allSatisfy(\.isFinite)
    }
    return isFinite(p) ? isFinite(g) ? nil : 1 : 0
  }
}

extension RowGroups {
  /// Groups what column `table` of the last `tables` columns of a batch looks up in a table of `rows` rows;
  /// the group of occurrence i goes to `slots[i · tables]`.
  func fill(
    _ batch: [PackedLane], tables: Int, table: Int, rows: Int, slots: UnsafeMutablePointer<Int32>
  ) {
    removeAll()
    for lane in batch {
      lane.inputs.withUnsafeBufferPointer { ids in
        append(ids, width: lane.tables, column: lane.tables - tables + table, rows: rows)
      }
    }
    group(rows: rows, slots: slots, stride: tables)
  }
}
