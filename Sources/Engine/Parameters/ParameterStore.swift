import Kernels
import Parallel
import Support

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
  package private(set) var tableHistory = AdamWHistory()

  /// All zeros.
  ///
  /// - Parameter tableMoments: the form of the tables' moments, where there are moments.
  package init(layout: ParameterLayout, moments: Bool, tableMoments: TableMoments = .float32) {
    self.layout = layout
    hasMoments = moments
    tables = layout.tables.map { TableStore($0, moments: moments ? tableMoments : nil) }
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
      case .constant(let value): target.update(repeating: Float(value), count: slot.count)
      case .normal(let deviation):
        var stream = RandomStream(seed: seed, name: "weights/" + slot.name)
        for i in 0..<slot.count { target[i] = Float(stream.normal() * deviation) }
      }
    }
    firstMoment.buffer.update(repeating: 0)
    secondMoment.buffer.update(repeating: 0)
  }

  /// The tables of a model as they are here, for its lookups; nil without tables.
  func sources(of layout: ParameterLayout) -> TableSources? {
    let used = layout.tables.compactMap { slot in tables.first { $0.slot.name == slot.name } }
    return used.isEmpty
      ? nil : TableSources(used.map { (UnsafePointer($0.memoryOfWeights), $0.slot.rows) })
  }

  /// Makes `history` the steps that the tables' rows may have missed: those up to the engine's step.
  package func restoreTableHistory(_ history: AdamWHistory) { tableHistory = history }

  package func appendToTableHistory(_ step: AdamWScalars) { tableHistory.append(step) }

  /// Makes room for `steps` steps in all, so that a training step asks for no memory.
  package func reserveTableHistory(steps: Int) {
    if !tables.isEmpty { tableHistory.reserve(steps: steps) }
  }

  /// The values of one slot.
  package func values(_ slot: ParameterSlot, of array: ParameterArray = .weights) -> [Float] {
    withFloats(slot, of: array) { Array($0) }
  }

  /// Lends the floats of one slot for reading: the memory itself, or a copy of it where an executor
  /// keeps the parameters on a device.
  package func withFloats<R>(
    _ slot: ParameterSlot, of array: ParameterArray,
    _ body: (UnsafeBufferPointer<Float>) throws -> R
  ) rethrows -> R {
    try body(UnsafeBufferPointer(start: base(of: array) + slot.offset, count: slot.count))
  }

  /// Lends room for the floats of one slot, as they are, and takes what `body` leaves there. Not while
  /// an engine runs on the store.
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
