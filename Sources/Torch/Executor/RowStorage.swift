import Engine
import Kernels
import Parallel
import Support

/// Where the tables of a model and their moments lie while a device trains it. No bit depends on it.
package enum DeviceTablePlace: String, CaseIterable, Sendable {
  /// On the device.
  case device
  /// In this machine's memory; the rows of a batch travel.
  case host
}

/// Weights and moments of rows on the device, moments in the table's form.
struct RowState {
  var p, m, v: DeviceTensor

  /// The rows at some places, in that order.
  func rows(_ places: DeviceTensor) throws -> RowState {
    RowState(p: try p.rows(places), m: try m.rows(places), v: try v.rows(places))
  }

  func put(_ rows: RowState, at places: DeviceTensor) throws {
    try p.put(rows.p, at: places)
    try m.put(rows.m, at: places)
    try v.put(rows.v, at: places)
  }
}

/// The rows of a batch in one table: all different, ascending, and the order in which copies of them lie.
struct BatchRows {
  let numbers: [Int32]
  /// Places in `numbers`.
  let order: [Int]

  /// Row numbers as copies lie.
  var ordered: [Int32] { order.map { numbers[$0] } }
}

/// One table with its optimizer's state, wherever it lies.
protocol RowStorage: AnyObject {
  /// Takes what the store has, and gives it back.
  func load() throws
  func save() throws
  /// Copies of the rows of a batch, in its order.
  func copies(of batch: BatchRows) throws -> RowState
  /// Takes the rows of that batch back.
  func put(_ rows: RowState, of batch: BatchRows) throws
  /// Says which rows, ascending, the next batch will ask for while `current` is worked on.
  func prepare(_ next: [Int32], after current: BatchRows) throws
}

/// A table on the device.
final class TableOnDevice: RowStorage {
  private let store: TableStore
  private let library: TorchLibrary
  private let table: RowState

  init(_ store: TableStore, _ library: TorchLibrary) throws {
    (self.store, self.library) = (store, library)
    let form = store.momentForm
    table = RowState(
      p: try .zeros(store.slot.shape, .float32, library),
      m: try .zeros(store.slot.shape, form, library), v: try .zeros(store.slot.shape, form, library)
    )
  }

  func load() throws {
    try table.p.fill(from: UnsafeRawBufferPointer(store.weights))
    try table.m.fill(from: UnsafeRawBufferPointer(store.firstMoment))
    try table.v.fill(from: UnsafeRawBufferPointer(store.secondMoment))
  }

  func save() throws {
    try table.p.read(into: UnsafeMutableRawBufferPointer(store.weights))
    try table.m.read(into: store.firstMoment)
    try table.v.read(into: store.secondMoment)
  }

  func copies(of batch: BatchRows) throws -> RowState { try table.rows(places(batch)) }

  func put(_ rows: RowState, of batch: BatchRows) throws { try table.put(rows, at: places(batch)) }

  func prepare(_ next: [Int32], after current: BatchRows) {}

  private func places(_ batch: BatchRows) throws -> DeviceTensor {
    try .copy(ofNumbers: batch.ordered.map(Int64.init), [batch.order.count], library)
  }
}

/// A table in this machine's memory: the store's own. The rows of the next batch are gathered, into memory
/// that the device reads by itself, while it works on this one; those that this one changes are then
/// replaced on the device.
final class TableOnHost: RowStorage {
  private let store: TableStore
  private let library: TorchLibrary
  private let pool: WorkerPool
  private let capacity: Int
  /// For what goes to the device: while one is read the other is filled.
  private var outgoing: [RowRoom] = []
  private var incoming: RowRoom?
  private var turn = 0
  private var prepared: Prepared?
  /// What the last batch left.
  private var changed: RowState?

  /// Rows that lie in the room of this turn.
  private struct Prepared {
    let numbers: [Int32]
    /// Where the batch before has some of them, among its copies, and where they are here.
    let from, to: [Int64]
  }

  /// - Parameter capacity: different rows of a batch.
  init(_ store: TableStore, capacity: Int, _ pool: WorkerPool, _ library: TorchLibrary) {
    (self.store, self.capacity, self.pool, self.library) = (store, capacity, pool, library)
  }

  /// The store has other values now than what was gathered of it.
  func load() { (prepared, changed) = (nil, nil) }

  func save() {}

  func prepare(_ next: [Int32], after current: BatchRows) throws {
    try gather(next)
    var place = [Int](repeating: 0, count: current.order.count)
    for (copy, number) in current.order.enumerated() { place[number] = copy }
    var (from, to, i) = ([Int64](), [Int64](), 0)
    for (j, number) in next.enumerated() {
      while i < current.numbers.count && current.numbers[i] < number { i += 1 }
      guard i < current.numbers.count else { break }
      if current.numbers[i] == number {
        from.append(Int64(place[i]))
        to.append(Int64(j))
      }
    }
    prepared = Prepared(numbers: next, from: from, to: to)
  }

  func copies(of batch: BatchRows) throws -> RowState {
    defer { (prepared, changed) = (nil, nil) }
    let isPrepared = prepared?.numbers == batch.numbers
    if !isPrepared { try gather(batch.numbers) }
    let rows = try outgoing[turn].copied(count: batch.numbers.count)
    if isPrepared, let prepared, let changed, !prepared.to.isEmpty {
      let count = [prepared.to.count]
      try rows.put(
        changed.rows(.copy(ofNumbers: prepared.from, count, library)),
        at: .copy(ofNumbers: prepared.to, count, library))
    }
    return try rows.rows(
      .copy(ofNumbers: batch.order.map(Int64.init), [batch.order.count], library))
  }

  func put(_ rows: RowState, of batch: BatchRows) throws {
    changed = rows
    let room = try incoming ?? RowRoom(store, capacity: capacity, library)
    incoming = room
    try room.take(rows)
    move(batch.ordered, room) { row, copy, bytes in
      row.copyMemory(from: copy, byteCount: bytes)
    }
  }

  /// Copies rows of the table into the next room.
  private func gather(_ numbers: [Int32]) throws {
    if outgoing.isEmpty {
      outgoing = try (0..<2).map { _ in try RowRoom(store, capacity: capacity, library) }
    }
    turn = 1 - turn
    move(numbers, outgoing[turn]) { row, copy, bytes in
      copy.copyMemory(from: row, byteCount: bytes)
    }
  }

  /// Calls `body` with a row of the table and with its copy, of weights and of each moment.
  private func move(
    _ numbers: [Int32], _ room: RowRoom,
    _ body:
      @Sendable (_ row: UnsafeMutableRawPointer, _ copy: UnsafeMutableRawPointer, _ bytes: Int) ->
      Void
  ) {
    nonisolated(unsafe) let parts = zip(
      [UnsafeMutableRawBufferPointer(store.weights), store.firstMoment, store.secondMoment],
      room.parts
    ).compactMap { table, room in
      table.baseAddress.map { (row: $0, copy: room.base, bytes: room.rowBytes) }
    }
    let grain = 256
    pool.forEach(0..<(numbers.count + grain - 1) / grain) { _, task in
      for place in task * grain..<min((task + 1) * grain, numbers.count) {
        for part in parts {
          body(
            part.row + Int(numbers[place]) * part.bytes, part.copy + place * part.bytes, part.bytes)
        }
      }
    }
  }
}

/// Memory of this machine for the rows of a batch; a GPU reads and writes it by itself.
private final class RowRoom {
  struct Part {
    let tensor: DeviceTensor
    let base: UnsafeMutableRawPointer
    let rowBytes: Int
  }

  /// Weights, first and second moments: (capacity, width) each.
  let parts: [Part]
  private let library: TorchLibrary

  init(_ store: TableStore, capacity: Int, _ library: TorchLibrary) throws {
    self.library = library
    let width = store.slot.width
    parts = try [.float32, store.momentForm, store.momentForm].map { form in
      let tensor = try DeviceTensor.shared([capacity, width], form, library)
      return Part(tensor: tensor, base: try tensor.address(), rowBytes: width * form.bytes)
    }
  }

  /// The first `count` rows on the device, when it comes to them.
  func copied(count: Int) throws -> RowState {
    let copies = try parts.map { part in
      let rows = try part.tensor.part(0..<count)
      let copy = try DeviceTensor.empty(rows.shape, part.tensor.form, library)
      try copy.take(rows, waits: false)
      return copy
    }
    return RowState(p: copies[0], m: copies[1], v: copies[2])
  }

  /// Has the rows when it returns.
  func take(_ rows: RowState) throws {
    for (part, tensor) in zip(parts, [rows.p, rows.m, rows.v]) {
      try part.tensor.part(0..<tensor.shape[0]).take(tensor)
    }
  }
}

extension TableStore {
  var momentForm: ElementForm { moments == .bfloat16 ? .bfloat16 : .float32 }
}
