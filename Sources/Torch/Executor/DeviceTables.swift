import Engine
import Kernels
import Parallel
import Support

/// The rows of tables that a batch looks up.
protocol LookedUpRows: AnyObject {
  /// (N, width).
  func rows(of table: Int) throws -> DeviceTensor
  /// Sums the gradients (N, width) of each row's lookups.
  func addGradient(_ dX: DeviceTensor, of table: Int) throws
}

/// The tables of a model that is only scored, on the device.
final class FrozenTables: LookedUpRows {
  private let tables: [DeviceTensor]
  private var numbers: [DeviceTensor] = []

  /// - Parameter stores: one for each table of the plan, in its order.
  init(_ stores: [TableStore], _ library: TorchLibrary) throws {
    tables = try stores.map { try .zeros($0.slot.shape, .float32, library) }
  }

  func load(_ stores: [TableStore]) throws {
    for (table, store) in zip(tables, stores) {
      try table.fill(from: UnsafeRawBufferPointer(store.weights))
    }
  }

  /// Takes the last columns of a batch's ids.
  func stage(_ rows: DeviceRows) { numbers = rows.inputs.suffix(tables.count) }

  func rows(of table: Int) throws -> DeviceTensor { try tables[table].rows(numbers[table]) }

  func addGradient(_ dX: DeviceTensor, of table: Int) throws {
    preconditionFailure("tables that are only read have no gradients")
  }
}

/// The tables of a model that a device trains, and the rows of them that a batch looks up.
///
/// 1. `stage`: copies of the rows that the batch uses, once each, brought up to date on the device.
/// 2. Operations look up those copies, and leave the sum of each row's gradients.
/// 3. `update`: one AdamW step on the copies, which go back into the tables.
///
/// A row that steps went by replays them in order, with the operators of `update` at a gradient of 0: the
/// same bits as if every step had updated the whole table. Of more than `replayedSteps` steps those behind
/// them change a weight by less than 2⁻⁴⁰ of what the first one could, and are left out; moments get
/// there by one multiplication, and so do weights by what decay leaves of them.
final class DeviceTables: LookedUpRows {
  private let stores: [TableStore]
  private let library: TorchLibrary
  private let tables: [any RowStorage]
  private let groups: [RowGroups]
  private var staged: [Staged] = []
  private var prepared: (lanes: [PackedLane], lookups: [Lookups])?
  /// (rows) of each table: the step that each row is of.
  private var lastSteps: [[UInt32]]

  /// What a batch looks up in a table.
  private struct Lookups {
    /// Different rows, ascending.
    let numbers: [Int32]
    /// (N): the place of each lookup's row among them.
    let slots: [Int32]
  }

  /// Copies of the rows of a batch.
  private struct Staged {
    /// Those that most steps went by first.
    let rows: BatchRows
    /// Their numbers.
    let numbers: [Int32]
    /// (N): the copy that each row of the batch looks up.
    let slots: DeviceTensor
    /// (U, width), in single precision.
    var p, m, v: DeviceTensor
    var gradient: DeviceTensor?
  }

  /// - Parameters:
  ///   - capacity: rows of a batch.
  ///   - threads: that move rows of tables in this machine's memory.
  init(
    _ stores: [TableStore], in memory: DeviceTablePlace, capacity: Int, threads: Int,
    _ library: TorchLibrary
  ) throws {
    self.stores = stores
    self.library = library
    groups = stores.map { _ in RowGroups(capacity: capacity) }
    switch memory {
    case .device: tables = try stores.map { try TableOnDevice($0, library) }
    case .host:
      let pool = WorkerPool(threads: threads)
      tables = stores.map {
        TableOnHost($0, capacity: min(capacity, $0.slot.rows), pool, library)
      }
    }
    lastSteps = stores.map { Array(repeating: 0, count: $0.slot.rows) }
  }

  // MARK: - To and from a store

  func load() throws {
    prepared = nil
    for (i, store) in stores.enumerated() {
      try tables[i].load()
      lastSteps[i] = Array(store.lastStep)
    }
  }

  func save() throws {
    for (i, store) in stores.enumerated() {
      try tables[i].save()
      for (row, step) in lastSteps[i].enumerated() { store.lastStep[row] = step }
    }
  }

  // MARK: - A step

  /// Does for the next batch what can be done while the device works on this one.
  func prepare(_ lanes: [PackedLane]) throws {
    let all = stores.indices.map { lookups(of: $0, lanes) }
    for (i, table) in tables.enumerated() where i < staged.count {
      try table.prepare(all[i].numbers, after: staged[i].rows)
    }
    prepared = (lanes, all)
  }

  private func lookups(of table: Int, _ lanes: [PackedLane]) -> Lookups {
    let rows = lanes.reduce(0) { $0 + $1.rows }
    let group = groups[table]
    group.removeAll()
    for lane in lanes {
      lane.inputs.withUnsafeBufferPointer {
        group.append(
          $0, width: lane.tables, column: lane.tables - stores.count + table,
          rows: stores[table].slot.rows)
      }
    }
    var slots = [Int32](repeating: 0, count: max(rows, 1))
    slots.withUnsafeMutableBufferPointer { slots in
      guard let base = slots.baseAddress else { return }
      group.group(rows: stores[table].slot.rows, slots: base, stride: 1)
    }
    return Lookups(numbers: Array(group.rows), slots: Array(slots[..<rows]))
  }

  /// Copies the rows of a batch, as they are at the end of `history`.
  func stage(_ lanes: [PackedLane], _ history: AdamWHistory) throws {
    let isPrepared =
      prepared.map { prepared in
        prepared.lanes.count == lanes.count
          && zip(prepared.lanes, lanes).allSatisfy { $0.inputs == $1.inputs }
      } ?? false
    let known = isPrepared ? prepared?.lookups : nil
    prepared = nil
    staged = []
    for table in stores.indices {
      let lookups = known?[table] ?? lookups(of: table, lanes)
      let order = lookups.numbers.indices.sorted {
        (lastSteps[table][Int(lookups.numbers[$0])], $0)
          < (lastSteps[table][Int(lookups.numbers[$1])], $1)
      }
      var place = [Int64](repeating: 0, count: order.count)
      for (copy, number) in order.enumerated() { place[number] = Int64(copy) }
      let rows = BatchRows(numbers: lookups.numbers, order: order)
      let numbers = rows.ordered
      let state = try tables[table].copies(of: rows)
      var copies = Staged(
        rows: rows, numbers: numbers,
        slots: try DeviceTensor.copy(
          ofNumbers: lookups.slots.map { place[Int($0)] }, [lookups.slots.count], library),
        p: state.p, m: try state.m.cast(to: .float32), v: try state.v.cast(to: .float32))
      try replay(&copies, numbers.map { Int(lastSteps[table][Int($0)]) }, history)
      staged.append(copies)
    }
  }

  /// (N, width): the rows that the batch looks up.
  func rows(of table: Int) throws -> DeviceTensor { try staged[table].p.rows(staged[table].slots) }

  /// Sums the gradients (N, width) of each row's lookups.
  func addGradient(_ dX: DeviceTensor, of table: Int) throws {
    let sum = try dX.sumOfRows(by: staged[table].slots, count: staged[table].numbers.count)
    staged[table].gradient = try staged[table].gradient?.plus(sum) ?? sum
  }

  /// Σ g² of each table in double precision, on the device.
  func squaredNorms() throws -> [DeviceTensor] {
    try staged.compactMap(\.gradient).map { try $0.times($0).total() }
  }

  /// AdamW on the copies with their gradients, written back as of step `step`.
  func update(step: Int, _ scalars: AdamWScalars) throws {
    for (i, copies) in staged.enumerated() {
      guard let gradient = copies.gradient else { continue }
      let rates = RowRates(
        keep: try number(scalars.keep), negativeStep: try number(-scalars.stepSize),
        correction: try number(scalars.inverseRootCorrection))
      let g = try scalars.gradientScale == 1 ? gradient : gradient.times(scalars.gradientScale)
      let (p, m, v) = try adamW(
        copies.p, copies.m, copies.v, g, rates, beta1: scalars.beta1, beta2: scalars.beta2,
        epsilon: scalars.epsilon)
      let form = stores[i].momentForm
      try tables[i].put(
        RowState(p: p, m: m.cast(to: form), v: v.cast(to: form)), of: copies.rows)
      for row in copies.numbers { lastSteps[i][Int(row)] = UInt32(step) }
    }
  }

  /// The rows of the last batch, ascending, and their gradients.
  func gradient(of table: Int) throws -> (rows: [Int32], values: [Float]) {
    let copies = staged[table]
    let width = stores[table].slot.width
    let values = try copies.gradient?.floats() ?? []
    let order = copies.numbers.indices.sorted { copies.numbers[$0] < copies.numbers[$1] }
    return (
      order.map { copies.numbers[$0] },
      values.isEmpty ? [] : order.flatMap { values[$0 * width..<($0 + 1) * width] }
    )
  }

  /// The first array of the batch that is not finite.
  func firstBadTensor() throws -> String? {
    for (store, copies) in zip(stores, staged) {
      if try !copies.p.floats().allSatisfy(\.isFinite) { return "weight \(store.slot.name)" }
      if try !(copies.gradient?.floats() ?? []).allSatisfy(\.isFinite) {
        return "gradient of \(store.slot.name)"
      }
    }
    return nil
  }

  // MARK: - AdamW

  /// What a step multiplies with: numbers, or (U, 1).
  private struct RowRates {
    let keep, negativeStep, correction: DeviceTensor
  }

  private func number(_ value: Float) throws -> DeviceTensor {
    try DeviceTensor.copy(of: [value], [1, 1], library)
  }

  /// m ← m + (g − m)(1 − β₁); v ← β₂v + (1 − β₂)g²; p ← keep·p + negativeStep · m/(√v·correction + ε).
  private func adamW(
    _ p: DeviceTensor, _ m: DeviceTensor, _ v: DeviceTensor, _ g: DeviceTensor?, _ rates: RowRates,
    beta1: Float, beta2: Float, epsilon: Float
  ) throws -> (DeviceTensor, DeviceTensor, DeviceTensor) {
    let gain1 = Double(1 - beta1)
    let m1 =
      try g.map { try m.plus($0.plus(m, times: -1), times: gain1) } ?? m.plus(m, times: -gain1)
    let decayed = try v.times(beta2)
    let v1 = try g.map { try decayed.plus($0.times($0), times: Double(1 - beta2)) } ?? decayed
    let denominator = try v1.root().times(rates.correction).plus(number(epsilon))
    let p1 = try p.times(rates.keep).plus(m1.divided(by: denominator).times(rates.negativeStep))
    return (p1, m1, v1)
  }

  /// Steps that a row replays one after the other: until (β₁/√β₂)^k < 2⁻⁴⁰.
  static func replayedSteps(_ history: AdamWHistory) -> Int {
    let ratio = Double(history.beta1) / Double(history.beta2).squareRoot()
    var (k, rest) = (0, 1.0)
    while rest >= 0x1p-40 && k < 1 << 14 {
      rest *= ratio
      k += 1
    }
    return k
  }

  /// Brings rows from the ends of the steps `last`, ascending, to the end of `history`.
  private func replay(_ copies: inout Staged, _ last: [Int], _ history: AdamWHistory) throws {
    let now = history.count
    let most = Self.replayedSteps(history)
    // Rows without moments, then those that steps went by, then those of the last step.
    let touched = last.firstIndex { $0 > 0 } ?? last.count
    let end = max(touched, last.firstIndex { $0 >= now } ?? last.count)
    if touched < end {
      for k in 1...min(most, now - last[touched]) {
        let count = (touched..<end).first { last[$0] + k > now } ?? end
        try replayStep(
          &copies, touched..<count, steps: last[touched..<count].map { $0 + k }, history)
      }
    }
    try shrink(&copies, touched..<end, last.map { now - $0 - most }, history)
    if history.decays(after: 0) || touched < end {
      let kept = last.enumerated().map { row, step in
        let from = row < touched ? 0 : step + most
        return from < now ? Float(history.kept(after: from, until: now)) : 1
      }
      if kept.contains(where: { $0 != 1 }) {
        copies.p = try copies.p.times(.copy(of: kept, [kept.count, 1], library))
      }
    }
  }

  /// Makes rows `range` see one step each, with a gradient of 0.
  private func replayStep(
    _ copies: inout Staged, _ range: Range<Int>, steps: [Int], _ history: AdamWHistory
  ) throws {
    let column = { [library] (value: (Int) -> Float) in
      try DeviceTensor.copy(of: steps.map(value), [steps.count, 1], library)
    }
    let rates = RowRates(
      keep: try column { history.scalars(ofStep: $0).keep },
      negativeStep: try column { history.scalars(ofStep: $0).negativeStep },
      correction: try column { history.scalars(ofStep: $0).correction })
    let (p, m, v) = try (copies.p.part(range), copies.m.part(range), copies.v.part(range))
    let next = try adamW(
      p, m, v, nil, rates, beta1: history.beta1, beta2: history.beta2, epsilon: history.epsilon)
    try p.take(next.0)
    try m.take(next.1)
    try v.take(next.2)
  }

  /// Moments of rows after so many more steps with a gradient of 0.
  private func shrink(
    _ copies: inout Staged, _ range: Range<Int>, _ steps: [Int], _ history: AdamWHistory
  ) throws {
    guard range.contains(where: { steps[$0] > 0 }) else { return }
    func factors(_ beta: Float) throws -> DeviceTensor {
      try .copy(
        of: steps.enumerated().map { row, count in
          range.contains(row) && count > 0 ? Float(power(Double(beta), count)) : 1
        }, [steps.count, 1], library)
    }
    copies.m = try copies.m.times(factors(history.beta1))
    copies.v = try copies.v.times(factors(history.beta2))
  }
}
