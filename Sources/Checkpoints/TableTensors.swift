import Engine
import Kernels
import Parallel
import Support

/// The tables of a parameter store as tensors.
///
/// A snapshot has `<table>` (rows, width), every row brought to the last step while it is written, the
/// store untouched. A checkpoint has the rows as they lie in memory instead, and what brings them up to
/// date later: `rows/<table>`, `firstMoment/<table>`, `secondMoment/<table>` in the form of
/// `TableMoments`, `lastStep/<table>` (rows) of U32, and one `tableHistory` for all tables.
enum TableTensors {
  static let history = "tableHistory"

  /// Name, form and shape of what a file holds of the tables.
  struct Description: Equatable {
    let name: String
    let dtype: SafeTensors.DType
    let shape: [Int]
  }

  // MARK: - Writing

  static func weights(of store: ParameterStore, threads: Int) -> [SafeTensors.Tensor] {
    store.tables.map { table in
      SafeTensors.Tensor(name: table.slot.name, dtype: .float32, shape: table.slot.shape) {
        append in
        try export(table, store.tableHistory, threads: threads, append)
      }
    }
  }

  /// Parts in parallel, some at a time, appended in order.
  private static func export(
    _ table: TableStore, _ history: AdamWHistory, threads: Int,
    _ append: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let pool = WorkerPool(threads: max(threads, 1))
    let partCount = table.rowsPerPart * table.slot.width
    let together = min(table.parts, 8 * max(threads, 1))
    let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: max(together * partCount, 1))
    defer { buffer.deallocate() }
    nonisolated(unsafe) let shared = buffer
    for first in stride(from: 0, to: table.parts, by: max(together, 1)) {
      let parts = first..<min(first + together, table.parts)
      let counts = parts.map { table.rows(ofPart: $0).count * table.slot.width }
      pool.forEach(parts) { _, part in
        let place = (part - first) * partCount
        let count = counts[part - first]
        table.export(
          part: part, into: UnsafeMutableBufferPointer(rebasing: shared[place..<place + count]),
          history)
      }
      // Only the last part of a table is shorter, so the parts lie end to end.
      let bytes = 4 * counts.reduce(0, +)
      try append(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<bytes]))
    }
  }

  static func state(of store: ParameterStore) -> [SafeTensors.Tensor] {
    if store.tables.isEmpty { return [] }
    let values = store.tableHistory.values
    var tensors = [
      SafeTensors.Tensor(name: history, dtype: .float32, shape: [values.count]) { append in
        try values.withUnsafeBytes(append)
      }
    ]
    for table in store.tables {
      for (description, bytes) in zip(
        states(of: table.slot, moments: table.moments), memory(of: table))
      {
        tensors.append(
          SafeTensors.Tensor(
            name: description.name, dtype: description.dtype, shape: description.shape
          ) { append in try append(UnsafeRawBufferPointer(bytes)) })
      }
    }
    return tensors
  }

  private static func memory(of table: TableStore) -> [UnsafeMutableRawBufferPointer] {
    [
      UnsafeMutableRawBufferPointer(table.weights), table.firstMoment, table.secondMoment,
      UnsafeMutableRawBufferPointer(table.lastStep),
    ]
  }

  // MARK: - Descriptions

  /// Of a snapshot.
  static func weights(of slot: TableSlot) -> Description {
    Description(name: slot.name, dtype: .float32, shape: slot.shape)
  }

  /// Of a checkpoint, in the order of `memory(of:)`.
  static func states(of slot: TableSlot, moments: TableMoments?) -> [Description] {
    let dtype: SafeTensors.DType = moments == .bfloat16 ? .bfloat16 : .float32
    return [
      Description(name: "rows/" + slot.name, dtype: .float32, shape: slot.shape),
      Description(name: "firstMoment/" + slot.name, dtype: dtype, shape: slot.shape),
      Description(
        name: "secondMoment/" + slot.name, dtype: dtype,
        shape: moments == .rowwise ? [slot.rows] : slot.shape),
      Description(name: "lastStep/" + slot.name, dtype: .uint32, shape: [slot.rows]),
    ]
  }

  /// Names that a file of this model may have for its tables.
  static func names(of layout: ParameterLayout) -> [String] {
    layout.tables.isEmpty
      ? []
      : [history]
        + layout.tables.flatMap { [$0.name] + states(of: $0, moments: nil).map(\.name) }
  }

  // MARK: - Reading

  static func readWeights(into store: ParameterStore, from file: SafeTensorsFile) throws {
    for table in store.tables {
      try file.read(
        table.slot.name, dtype: .float32, shape: table.slot.shape,
        into: UnsafeMutableRawBufferPointer(table.weights))
    }
  }

  static func readState(into store: ParameterStore, from file: SafeTensorsFile) throws {
    if store.tables.isEmpty { return }
    let count = file.tensors[history]?.shape.first ?? 0
    var values = [Float](repeating: 0, count: count)
    try values.withUnsafeMutableBytes {
      try file.read(history, dtype: .float32, shape: [count], into: $0)
    }
    guard let steps = AdamWHistory(values: values) else {
      throw UserError(
        "\(file.path): tensor \(history)", expected: "3 numbers, and 3 for each step",
        found: "\(count)", remedy: "The file is damaged.")
    }
    for table in store.tables {
      for (description, memory) in zip(
        states(of: table.slot, moments: table.moments), memory(of: table))
      {
        try file.read(
          description.name, dtype: description.dtype, shape: description.shape, into: memory)
      }
      if let late = table.lastStep.first(where: { $0 > steps.count }) {
        throw UserError(
          "\(file.path): tensor lastStep/\(table.slot.name)",
          expected: "steps up to \(steps.count)",
          found: "\(late)", remedy: "The file is damaged.")
      }
    }
    store.restoreTableHistory(steps)
  }
}
