import Kernels
import Parallel

/// The tables' part of a training step where each rank has its share of the rows.
///
/// 1. `stage`: every rank groups the rows of the whole batch, so that no id travels. It copies those that it
///    owns and brings them up to date, and sends each rank the weights of those that this one's lanes use.
/// 2. Lanes look up what has come, and leave the gradient of every lookup.
/// 3. `sumGradients`: these go to the owners, rank after rank the occurrences of each row in the order of the
///    batch, who add them up. Σ g² keeps its order as well (`RowNorms`).
/// 4. `update`: the owner's AdamW on its copies, which go back into its rows.
///
/// So in a step a row travels once to each rank that uses it, and the gradient of a lookup once. Buffers are
/// laid out for a batch of which all rows have one owner; only what is used takes memory.
// Unchecked: the loops below give each worker its own rows.
final class SharedTableBatch: TableStep, @unchecked Sendable {
  private let stores: [TableStore]
  private let ranks: any Communicator
  private let capacity: Int
  private let ownCapacity: Int
  private let columns: Int
  private let groups: [RowGroups]
  private let routes: [RowRoutes]
  private let norms: RowNorms
  /// Copies of owned rows.
  private let buffers: [TableBuffers]
  private let staged: [StagedRows]
  /// By table: rows for the ranks that use them; rows that come; gradients for the owners; gradients that come.
  private let sentRows: [TableBuffer]
  private let comingRows: [TableBuffer]
  private let sentGradients: [TableBuffer]
  private let comingGradients: [TableBuffer]
  /// Of this rank's lookups: (occurrences, Σ widths).
  private let gradients: TableBuffer
  private let slots: UnsafeMutablePointer<Int32>
  private let sources: TableSources
  /// First position of each lane, and of the lanes of each rank; then how many there are.
  private var starts: [Int] = []
  private var bounds: [Int] = []
  private var parts: [Part] = []

  /// Some owned rows of one table's batch.
  private struct Part {
    let table: Int
    let range: Range<Int>
  }

  /// - Parameters:
  ///   - stores: this rank's share of each table.
  ///   - capacity: positions of a batch.
  init(_ stores: [TableStore], lanes: Int, capacity: Int, ranks: any Communicator) {
    self.stores = stores
    self.ranks = ranks
    self.capacity = capacity
    ownCapacity = capacity / ranks.size
    columns = stores.reduce(0) { $0 + $1.slot.width }
    let own = ownCapacity
    groups = stores.map { _ in RowGroups(capacity: capacity) }
    routes = stores.map { _ in
      RowRoutes(rank: ranks.rank, of: ranks.size, capacity: capacity, ownCapacity: own)
    }
    norms = RowNorms(tables: stores.count, capacity: capacity, ranks: ranks)
    buffers = stores.map { TableBuffers(count: capacity * $0.slot.width) }
    staged = buffers.map(\.staged)
    sentRows = stores.map { TableBuffer(count: capacity * $0.slot.width) }
    comingRows = stores.map { TableBuffer(count: own * $0.slot.width) }
    sentGradients = stores.map { TableBuffer(count: own * $0.slot.width) }
    comingGradients = stores.map { TableBuffer(count: capacity * $0.slot.width) }
    gradients = TableBuffer(count: own * columns)
    slots = .allocate(capacity: max(capacity * stores.count, 1))
    sources = TableSources(comingRows.map { (UnsafePointer($0.floats.base), own) })
  }

  deinit { slots.deallocate() }

  /// Where rows are shared out evenly.
  var bytes: Int {
    ownCapacity * columns * 4 * 9
      + stores.count * (capacity * (40 + RowNorms.bytesPerRow) + ownCapacity * 32)
  }

  // MARK: - Rows to the lanes

  func stage(_ batch: [PackedLane], _ history: AdamWHistory, _ pool: WorkerPool) throws {
    starts = batch.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1.rows) }
    precondition(starts[batch.count] <= capacity, "a batch of \(starts[batch.count]) positions")
    bounds = (0...ranks.size).map { starts[$0 * batch.count / ranks.size] }
    pool.forEach(0..<stores.count) { [self] _, table in
      groups[table].fill(
        batch, tables: stores.count, table: table, rows: stores[table].slot.rows,
        slots: slots + table)
      routes[table].find(groups[table], bounds: bounds, slots: slots + table, stride: stores.count)
    }
    parts.removeAll(keepingCapacity: true)
    for table in stores.indices {
      let count = routes[table].owned.count
      for first in stride(from: 0, to: count, by: tablePartRows) {
        parts.append(Part(table: table, range: first..<min(first + tablePartRows, count)))
      }
    }
    pool.forEach(0..<parts.count) { [self] _, task in
      let part = parts[task]
      stageRows(
        staged[part.table], stores[part.table].memory, routes[part.table].owned, part.range,
        history)
    }
    try sendRows(pool)
  }

  private func sendRows(_ pool: WorkerPool) throws {
    forEachPiece(pool, routes.map(\.sentRows.count)) { [self] table, range in
      let (w, rows) = (stores[table].slot.width, routes[table].sentRows)
      let (from, to) = (staged[table].p, sentRows[table].floats.base)
      for i in range { (to + i &* w).update(from: from + Int(rows[i]) &* w, count: w) }
    }
    try ranks.exchange(
      routes.indices.map { pieces(sentRows[$0], routes[$0].sentRowStarts, $0) },
      into: routes.indices.map { mutablePieces(comingRows[$0], routes[$0].comingRowStarts, $0) })
  }

  func view(lane: Int) -> TableView {
    let (first, rows) = (starts[lane], starts[lane + 1] - starts[lane])
    let place = first - bounds[ranks.rank]
    return sources.view(
      UnsafeBufferPointer(start: slots + first * stores.count, count: rows * stores.count),
      width: stores.count, gradients: gradients.floats.base + place * columns)
  }

  // MARK: - Gradients to the owners

  func sumGradients(_ pool: WorkerPool) throws -> Double {
    let own = bounds[ranks.rank + 1] - bounds[ranks.rank]
    forEachPiece(pool, routes.map { _ in own }) { [self] table, range in
      let (w, places) = (stores[table].slot.width, routes[table].gradientPlaces)
      let from = gradients.floats.base + firstColumn(table)
      let to = sentGradients[table].floats.base
      for i in range { (to + Int(places[i]) &* w).update(from: from + i &* columns, count: w) }
    }
    try ranks.exchange(
      routes.indices.map { pieces(sentGradients[$0], routes[$0].sentGradientStarts, $0) },
      into: routes.indices.map {
        mutablePieces(comingGradients[$0], routes[$0].comingGradientStarts, $0)
      })
    nonisolated(unsafe) let found = norms.prepare(routes)
    pool.forEach(0..<parts.count) { [self] _, task in
      let part = parts[task]
      let width = stores[part.table].slot.width
      let place = part.range.lowerBound * width
      var sums = UnsafeMutableBufferPointer(
        start: staged[part.table].g + place, count: part.range.count * width
      ).mutableSpan
      sumRows(
        into: &sums, norms: found[part.table] + part.range.lowerBound, routes[part.table].owned,
        part.range, dY: comingGradients[part.table].floats.base, C: width, column: 0, width: width)
    }
    return try norms.sum(groups, routes)
  }

  func update(step: Int, _ scalars: AdamWScalars, _ pool: WorkerPool) {
    pool.forEach(0..<parts.count) { [self] _, task in
      let part = parts[task]
      updateRows(
        stores[part.table].memory, staged[part.table], routes[part.table].owned, part.range,
        step: step, scalars)
    }
  }

  // MARK: - What a step left

  func rowCount(table: Int) -> Int { groups[table].count }

  func gradient(table: Int) -> (rows: [Int32], values: [Float]) {
    let (store, owned) = (stores[table], routes[table].owned)
    let found = staged[table].gradients(of: owned, width: store.slot.width)
    return (found.rows.map { Int32(store.share.place(of: Int($0))) }, found.values)
  }

  func firstBadArray() -> Int? {
    staged.indices.lazy.compactMap { [self] table in
      staged[table].firstBadArray(count: routes[table].owned.count * stores[table].slot.width)
        .map { 2 * table + $0 }
    }.first
  }

  // MARK: - Pieces

  private func firstColumn(_ table: Int) -> Int {
    stores[..<table].reduce(0) { $0 + $1.slot.width }
  }

  /// Calls `body` for all numbers below the count of each table, some hundred at a time.
  private func forEachPiece(
    _ pool: WorkerPool, _ counts: [Int],
    _ body: @Sendable (_ table: Int, _ range: Range<Int>) -> Void
  ) {
    let piece = 512
    let tasks = counts.enumerated().flatMap { table, count in
      stride(from: 0, to: count, by: piece).map {
        Part(table: table, range: $0..<min($0 + piece, count))
      }
    }
    pool.forEach(0..<tasks.count) { _, task in body(tasks[task].table, tasks[task].range) }
  }

  /// The bytes of rows for each rank, or of each rank.
  private func mutablePieces(
    _ buffer: TableBuffer, _ starts: [Int], _ table: Int
  ) -> [UnsafeMutableRawBufferPointer] {
    let width = stores[table].slot.width
    return (0..<ranks.size).map { q in
      UnsafeMutableRawBufferPointer(
        UnsafeMutableBufferPointer(
          start: buffer.floats.base + starts[q] * width, count: (starts[q + 1] - starts[q]) * width)
      )
    }
  }

  private func pieces(
    _ buffer: TableBuffer, _ starts: [Int], _ table: Int
  ) -> [UnsafeRawBufferPointer] {
    mutablePieces(buffer, starts, table).map { UnsafeRawBufferPointer($0) }
  }
}
