import Engine
import Kernels
import Parallel
import Support

/// The tables of a parameter store as tensors, whole also where ranks share their rows.
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

    var rowBytes: Int { shape.dropFirst().reduce(dtype.bytes, *) }
  }

  // MARK: - Writing

  static func weights(
    of store: ParameterStore, threads: Int, _ shared: SharedTensors
  ) -> [SafeTensors.Tensor] {
    store.tables.map { table in
      SafeTensors.Tensor(name: table.slot.name, dtype: .float32, shape: table.slot.shape) {
        append in
        try export(table, store.tableHistory, threads: threads, shared, append)
      }
    }
  }

  /// Parts in parallel, some at a time, appended in order.
  private static func export(
    _ table: TableStore, _ history: AdamWHistory, threads: Int, _ shared: SharedTensors,
    _ append: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let pool = WorkerPool(threads: max(threads, 1))
    let together = 8 * max(threads, 1) * table.rowsPerPart
    let piece = SharedTensors.pieceBytes / max(4 * table.slot.width, 1) + 1
    let capacity = max(1, min(table.rows, table.share.isWhole ? together : piece))
    let buffer = UnsafeMutableBufferPointer<Float>.allocate(
      capacity: max(capacity * table.slot.width, 16))
    defer { buffer.deallocate() }
    if !table.share.isWhole {
      return try shared.collect(
        rows: table.slot.rows, of: 4 * table.slot.width, table.share, append
      ) { export($0, of: table, history, pool, into: buffer) }
    }
    guard shared.ranks.decides else { return }
    for first in stride(from: 0, to: table.rows, by: capacity) {
      let rows = first..<min(first + capacity, table.rows)
      try append(export(rows, of: table, history, pool, into: buffer))
    }
  }

  /// Weights of some rows, brought up to date; the bytes lie in `buffer`.
  private static func export(
    _ rows: Range<Int>, of table: TableStore, _ history: AdamWHistory, _ pool: WorkerPool,
    into buffer: UnsafeMutableBufferPointer<Float>
  ) -> UnsafeRawBufferPointer {
    let (width, part) = (table.slot.width, table.rowsPerPart)
    nonisolated(unsafe) let shared = buffer
    pool.forEach(0..<(rows.count + part - 1) / part) { _, task in
      let first = rows.lowerBound + task * part
      let some = first..<min(first + part, rows.upperBound)
      let place = (first - rows.lowerBound) * width
      table.export(
        some,
        into: UnsafeMutableBufferPointer(
          rebasing: shared[place..<place + some.count * width]), history)
    }
    return UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: buffer[..<(rows.count * width)]))
  }

  static func state(
    of store: ParameterStore, _ shared: SharedTensors
  ) -> [SafeTensors.Tensor] {
    if store.tables.isEmpty { return [] }
    let values = store.tableHistory.values
    var tensors = [
      SafeTensors.Tensor(name: history, dtype: .float32, shape: [values.count]) { append in
        if shared.ranks.decides { try values.withUnsafeBytes(append) }
      }
    ]
    for table in store.tables {
      for (description, bytes) in zip(
        states(of: table.slot, moments: table.moments), memory(of: table))
      {
        tensors.append(
          SafeTensors.Tensor(
            name: description.name, dtype: description.dtype, shape: description.shape
          ) { append in
            let bytes = UnsafeRawBufferPointer(bytes)
            if table.share.isWhole {
              if shared.ranks.decides { try append(bytes) }
              return
            }
            let rowBytes = description.rowBytes
            try shared.collect(rows: table.slot.rows, of: rowBytes, table.share, append) {
              UnsafeRawBufferPointer(
                rebasing: bytes[($0.lowerBound * rowBytes)..<($0.upperBound * rowBytes)])
            }
          })
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

  /// - Parameter file: of rank 0.
  static func readWeights(
    into store: ParameterStore, from file: SafeTensorsFile?, _ shared: SharedTensors
  ) throws {
    for table in store.tables { try readWeights(of: table, from: file, shared) }
  }

  static func readWeights(
    of table: TableStore, from file: SafeTensorsFile?, _ shared: SharedTensors
  ) throws {
    try read(
      weights(of: table.slot), into: UnsafeMutableRawBufferPointer(table.weights), table, file,
      shared)
  }

  private static func read(
    _ description: Description, into memory: UnsafeMutableRawBufferPointer, _ table: TableStore,
    _ file: SafeTensorsFile?, _ shared: SharedTensors
  ) throws {
    if table.share.isWhole {
      try file?.read(
        description.name, dtype: description.dtype, shape: description.shape, into: memory)
      return try shared.broadcast(memory)
    }
    try shared.scatter(
      rows: table.slot.rows, of: description.rowBytes, table.share, into: memory
    ) { offset, bytes in
      try file?.read(
        description.name, dtype: description.dtype, shape: description.shape, at: offset,
        into: bytes)
    }
  }

  /// - Parameter file: of rank 0.
  static func readState(
    into store: ParameterStore, from file: SafeTensorsFile?, _ shared: SharedTensors
  ) throws {
    if store.tables.isEmpty { return }
    let count = try shared.ranks.broadcast(file?.tensors[history]?.shape.first ?? 0)
    var values = [Float](repeating: 0, count: count)
    try values.withUnsafeMutableBytes {
      try file?.read(history, dtype: .float32, shape: [count], into: $0)
      try shared.broadcast($0)
    }
    let path = file?.path ?? "a checkpoint"
    guard let steps = AdamWHistory(values: values) else {
      throw UserError(
        "\(path): tensor \(history)", expected: "3 numbers, and 3 for each step",
        found: "\(count)", remedy: "The file is damaged.")
    }
    for table in store.tables {
      for (description, memory) in zip(
        states(of: table.slot, moments: table.moments), memory(of: table))
      {
        try read(description, into: memory, table, file, shared)
      }
      if let late = table.lastStep.first(where: { $0 > steps.count }) {
        throw UserError(
          "\(path): tensor lastStep/\(table.slot.name)",
          expected: "steps up to \(steps.count)",
          found: "\(late)", remedy: "The file is damaged.")
      }
    }
    store.restoreTableHistory(steps)
  }
}
