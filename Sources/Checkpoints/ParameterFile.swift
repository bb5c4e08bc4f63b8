import Engine
import Parallel
import Support

/// Parameter stores as safetensors files: a snapshot has the weights, a resume checkpoint the moments
/// too.
///
/// A weight has the name of its slot; moments are `firstMoment/<slot>` and `secondMoment/<slot>`. How
/// tables are kept, see `TableTensors`.
package enum ParameterFile {
  /// Writes arrays of `store` atomically; returns the digest as `SafeTensors.write`.
  ///
  /// - Parameters:
  ///   - arrays: the weights for a snapshot, all for a checkpoint.
  ///   - threads: workers that bring rows of tables up to date for a snapshot; they change no bit.
  @discardableResult
  package static func write(
    _ store: ParameterStore, arrays: [ParameterArray], metadata: [String: String] = [:],
    isSealed: Bool = false, threads: Int = 1, to path: String
  ) throws -> String {
    let digest = try write(
      store, arrays: arrays, metadata: metadata, isSealed: isSealed, threads: threads,
      ranks: LocalCommunicator(), to: path)
    guard let digest else { preconditionFailure("one rank alone writes") }
    return digest
  }

  /// The same where ranks share the arrays: each calls this, and rank 0 writes the same bytes as one that has
  /// all. Returns the digest on rank 0, nil elsewhere.
  @discardableResult
  package static func write(
    _ store: ParameterStore, arrays: [ParameterArray], metadata: [String: String] = [:],
    isSealed: Bool = false, threads: Int = 1, ranks: any Communicator, to path: String
  ) throws -> String? {
    let shared = SharedTensors(ranks: ranks)
    var tensors: [SafeTensors.Tensor] = []
    for array in arrays {
      for slot in store.layout.slots {
        tensors.append(
          SafeTensors.Tensor(
            name: name(of: slot, in: array), dtype: .float32, shape: slot.shape
          ) { try shared.collect(slot, of: array, store, $0) })
      }
    }
    tensors +=
      isCheckpoint(arrays)
      ? TableTensors.state(of: store, shared)
      : TableTensors.weights(of: store, threads: threads, shared)
    if ranks.decides {
      return try SafeTensors.write(
        to: path, metadata: metadata, isSealed: isSealed, tensors: tensors)
    }
    for tensor in tensors { try tensor.content { _ in } }
    return nil
  }

  /// Fills arrays of `store` from a file and returns the file's metadata.
  ///
  /// Every slot must be there in its shape, and nothing else but arrays that were not asked for. All
  /// names and shapes are checked before the first value is read.
  ///
  /// - Throws: `UserError` naming the first tensor that is missing, foreign or of another shape.
  @discardableResult
  package static func read(
    into store: ParameterStore, arrays: [ParameterArray], from path: String
  ) throws -> [String: String] {
    let file = try SafeTensorsFile(path: path)
    try read(into: store, arrays: arrays, from: file, ranks: LocalCommunicator())
    return file.metadata
  }

  /// The same where ranks share the arrays: each calls this, and gets what it holds from rank 0.
  ///
  /// - Parameter file: of rank 0; nil elsewhere.
  package static func read(
    into store: ParameterStore, arrays: [ParameterArray], from file: SafeTensorsFile?,
    ranks: any Communicator
  ) throws {
    let shared = SharedTensors(ranks: ranks)
    if let file { try check(file, against: store, arrays: arrays) }
    for array in arrays {
      for slot in store.layout.slots {
        try shared.scatter(slot, of: array, store) { offset, bytes in
          try file?.read(
            name(of: slot, in: array), dtype: .float32, shape: slot.shape, at: offset, into: bytes)
        }
      }
    }
    if isCheckpoint(arrays) {
      try TableTensors.readState(into: store, from: file, shared)
    } else {
      try TableTensors.readWeights(into: store, from: file, shared)
    }
  }

  /// Fills the weights of one table of `store`, as `read`.
  package static func readTable(
    _ table: TableStore, from file: SafeTensorsFile?, ranks: any Communicator
  ) throws {
    try TableTensors.readWeights(of: table, from: file, SharedTensors(ranks: ranks))
  }

  private static func isCheckpoint(_ arrays: [ParameterArray]) -> Bool {
    arrays.contains(.firstMoment)
  }

  private static func check(
    _ file: SafeTensorsFile, against store: ParameterStore, arrays: [ParameterArray]
  ) throws {
    let layout = store.layout
    let remedy = "It is a checkpoint of another model: choose another file or configuration."
    for array in arrays {
      for slot in layout.slots {
        let name = name(of: slot, in: array)
        let shape = file.tensors[name]?.shape
        guard shape == slot.shape else {
          throw UserError(
            "\(file.path): tensor \(name)", expected: "shape \(slot.shape)",
            found: shape.map { "\($0)" } ?? "no such tensor", remedy: remedy)
        }
      }
    }
    let tables = store.tables.flatMap {
      isCheckpoint(arrays)
        ? TableTensors.states(of: $0.slot, moments: $0.moments)
        : [TableTensors.weights(of: $0.slot)]
    }
    for table in tables {
      let found = file.tensors[table.name]
      guard found?.shape == table.shape, found?.dtype == table.dtype else {
        throw UserError(
          "\(file.path): tensor \(table.name)",
          expected: "\(table.dtype.rawValue) of shape \(table.shape)",
          found: found.map { "\($0.dtype.rawValue) of shape \($0.shape)" } ?? "no such tensor",
          remedy: remedy)
      }
    }
    let known = Set(
      ParameterArray.allCases.flatMap { array in layout.slots.map { name(of: $0, in: array) } }
        + TableTensors.names(of: layout))
    if let foreign = file.tensors.keys.sorted().first(where: { !known.contains($0) }) {
      throw UserError(
        "\(file.path): tensor \(foreign)", expected: "only tensors of the model",
        found: "one that it does not have", remedy: remedy)
    }
  }

  private static func name(of slot: ParameterSlot, in array: ParameterArray) -> String {
    array == .weights ? slot.name : "\(array.rawValue)/\(slot.name)"
  }
}
