import Kernels
import Parallel
import Support

/// A parameter as operations hold it: where it lies in every flat array of the store.
package struct Parameter: Hashable, Sendable {
  package let id: Int
  let offset: Int
  package let count: Int
}

/// How a parameter starts.
package enum Initializer: Sendable, Equatable {
  case zeros
  case ones
  /// Independent normal draws of mean 0 and this standard deviation, from a stream named after the
  /// parameter: adding a layer changes no other draw.
  case normal(Double)
}

/// A named array in the store.
package struct ParameterSlot: Sendable, Equatable {
  /// The name that Hugging Face's GPT-2 gives it, where it has one.
  package let name: String
  package let shape: [Int]
  /// First float in the flat arrays; a multiple of 16.
  package let offset: Int
  package let count: Int
  /// Whether AdamW decays it: matrices and tables do, biases and norms do not.
  package let decay: Bool
  package let initializer: Initializer

  package var range: Range<Int> { offset..<offset + count }
}

/// Names, shapes and places of all parameters of a model.
package struct ParameterLayout: Sendable, Equatable {
  package private(set) var slots: [ParameterSlot] = []
  /// Tables outside of the flat arrays, in the order of their columns of ids.
  package private(set) var tables: [TableSlot] = []
  /// Floats of a flat array, alignment gaps included.
  package private(set) var count = 0

  package init() {}

  /// Number of parameters, without gaps, tables included.
  package var parameterCount: Int {
    slots.reduce(0) { $0 + $1.count } + tables.reduce(0) { $0 + $1.count }
  }

  package func slot(named name: String) -> ParameterSlot? { slots.first { $0.name == name } }

  mutating func add(_ name: String, _ shape: [Int], _ initializer: Initializer, decay: Bool)
    -> Parameter
  {
    precondition(slot(named: name) == nil, "parameter \(name) is declared twice")
    let size = shape.reduce(1, *)
    let slot = ParameterSlot(
      name: name, shape: shape, offset: count, count: size, decay: decay, initializer: initializer)
    slots.append(slot)
    count += (size + 15) & ~15
    return Parameter(id: slots.count - 1, offset: slot.offset, count: size)
  }

  mutating func addTable(_ slot: TableSlot) -> Table {
    precondition(
      self.slot(named: slot.name) == nil && !tables.contains { $0.name == slot.name },
      "table \(slot.name) is declared twice")
    tables.append(slot)
    return Table(id: tables.count - 1, width: slot.width)
  }
}

/// The flat arrays that a checkpoint is made of.
package enum ParameterArray: String, CaseIterable, Sendable {
  case weights
  case firstMoment
  case secondMoment
}

/// Weights, and the optimizer's moments where training goes on.
// Unchecked: engines share it, and write it only between their parallel loops or in disjoint parts.
package final class ParameterStore: @unchecked Sendable {
  package let layout: ParameterLayout
  package let hasMoments: Bool
  let weights: FloatBuffer
  let firstMoment: FloatBuffer
  let secondMoment: FloatBuffer
  /// One for each table of the layout.
  package let tables: [TableStore]
  /// The steps that rows of tables may have to catch up with.
  package internal(set) var tableHistory = AdamWHistory()
  /// The tables as they are, for lookups; nil without tables.
  let tableSources: TableSources?

  /// All zeros.
  ///
  /// - Parameter tableMoments: the form of the tables' moments, where there are moments.
  package init(layout: ParameterLayout, moments: Bool, tableMoments: TableMoments = .float32) {
    self.layout = layout
    hasMoments = moments
    tables = layout.tables.map { TableStore($0, moments: moments ? tableMoments : nil) }
    tableSources =
      tables.isEmpty
      ? nil
      : TableSources(tables.map { (UnsafePointer($0.memoryOfWeights), $0.slot.rows) })
    weights = FloatBuffer(count: layout.count)
    firstMoment = FloatBuffer(count: moments ? layout.count : 0)
    secondMoment = FloatBuffer(count: moments ? layout.count : 0)
  }

  /// Draws every weight anew from the streams of `seed`; moments become zero.
  ///
  /// - Parameter threads: workers for the tables; they change no bit.
  package func initialize(seed: UInt64, threads: Int = 1) {
    tableHistory = AdamWHistory()
    if !tables.isEmpty {
      let pool = WorkerPool(threads: threads)
      for table in tables {
        pool.forEach(0..<table.parts) { _, part in table.initialize(part: part, seed: seed) }
      }
    }
    for slot in layout.slots {
      let target = weights.base + slot.offset
      switch slot.initializer {
      case .zeros: target.update(repeating: 0, count: slot.count)
      case .ones: target.update(repeating: 1, count: slot.count)
      case .normal(let deviation):
        var stream = RandomStream(seed: seed, name: "weights/" + slot.name)
        for i in 0..<slot.count { target[i] = Float(stream.normal() * deviation) }
      }
    }
    firstMoment.buffer.update(repeating: 0)
    secondMoment.buffer.update(repeating: 0)
  }

  /// Makes `history` the steps that the tables' rows may have missed: those up to the engine's step.
  package func restoreTableHistory(_ history: AdamWHistory) { tableHistory = history }

  /// Makes room for `steps` steps in all, so that a training step asks for no memory.
  package func reserveTableHistory(steps: Int) {
    if !tables.isEmpty { tableHistory.reserve(steps: steps) }
  }

  /// The values of one slot.
  package func values(_ slot: ParameterSlot, of array: ParameterArray = .weights) -> [Float] {
    withFloats(slot, of: array) { Array($0) }
  }

  /// Lends the floats of one slot for reading.
  package func withFloats<R>(
    _ slot: ParameterSlot, of array: ParameterArray,
    _ body: (UnsafeBufferPointer<Float>) throws -> R
  ) rethrows -> R {
    try body(UnsafeBufferPointer(start: base(of: array) + slot.offset, count: slot.count))
  }

  /// Lends the floats of one slot for writing. Not while an engine runs on the store.
  package func withMutableFloats<R>(
    _ slot: ParameterSlot, of array: ParameterArray,
    _ body: (UnsafeMutableBufferPointer<Float>) throws -> R
  ) rethrows -> R {
    try body(UnsafeMutableBufferPointer(start: base(of: array) + slot.offset, count: slot.count))
  }

  private func base(of array: ParameterArray) -> UnsafeMutablePointer<Float> {
    precondition(array == .weights || hasMoments, "this parameter store keeps no moments")
    switch array {
    case .weights: return weights.base
    case .firstMoment: return firstMoment.base
    case .secondMoment: return secondMoment.base
    }
  }
}
