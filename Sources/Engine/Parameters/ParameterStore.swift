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
///
/// Where ranks share a training, each has all dense weights, its part of their moments, and its rows of the
/// tables.
// Unchecked: engines share it, and write it only between their parallel loops or in disjoint parts.
package final class ParameterStore: @unchecked Sendable {
  package let layout: ParameterLayout
  package let hasMoments: Bool
  /// What this rank holds of the moments.
  package let share: RankShare
  let weights: FloatBuffer
  /// The floats of the moments that are here.
  private let part: Range<Int>
  private let firstMoment: FloatBuffer
  private let secondMoment: FloatBuffer
  /// One for each table of the layout.
  package let tables: [TableStore]
  /// The steps that rows of tables may have to catch up with.
  package private(set) var tableHistory = AdamWHistory()

  /// All zeros.
  ///
  /// - Parameters:
  ///   - tableMoments: the form of the tables' moments, where there are moments.
  ///   - share: what this rank holds of the moments.
  ///   - tableShare: and of the rows of tables; nil: the same.
  package init(
    layout: ParameterLayout, moments: Bool, tableMoments: TableMoments = .float32,
    share: RankShare = .whole, tableShare: RankShare? = nil
  ) {
    self.layout = layout
    hasMoments = moments
    self.share = share
    tables = layout.tables.map {
      TableStore($0, moments: moments ? tableMoments : nil, share: tableShare ?? share)
    }
    weights = FloatBuffer(count: layout.count)
    part = share.part(of: layout.count)
    firstMoment = FloatBuffer(count: moments ? part.count : 0)
    secondMoment = FloatBuffer(count: moments ? part.count : 0)
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
    precondition(used.allSatisfy(\.share.isWhole), "lookups in a share of a table")
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

  // MARK: - Floats

  /// The floats of a flat array that this rank holds.
  package func held(of array: ParameterArray) -> Range<Int> {
    array == .weights ? 0..<layout.count : part
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
    try withFloats(slot.range, of: array, body)
  }

  /// Lends floats of a flat array that this rank holds.
  package func withFloats<R>(
    _ range: Range<Int>, of array: ParameterArray,
    _ body: (UnsafeBufferPointer<Float>) throws -> R
  ) rethrows -> R {
    try body(UnsafeBufferPointer(floats(range, of: array)))
  }

  /// Lends room for the floats of one slot, as they are, and takes what `body` leaves there. Not while
  /// an engine runs on the store.
  package func withMutableFloats<R>(
    _ slot: ParameterSlot, of array: ParameterArray,
    _ body: (UnsafeMutableBufferPointer<Float>) throws -> R
  ) rethrows -> R {
    try withMutableFloats(slot.range, of: array, body)
  }

  /// The same for floats of a flat array that this rank holds.
  package func withMutableFloats<R>(
    _ range: Range<Int>, of array: ParameterArray,
    _ body: (UnsafeMutableBufferPointer<Float>) throws -> R
  ) rethrows -> R {
    try body(floats(range, of: array))
  }

  /// Floats of a flat array that this rank holds.
  func floats(_ range: Range<Int>, of array: ParameterArray) -> UnsafeMutableBufferPointer<Float> {
    precondition(array == .weights || hasMoments, "this parameter store keeps no moments")
    let held = held(of: array)
    precondition(
      range.isEmpty || held.contains(range.lowerBound) && range.upperBound <= held.upperBound,
      "floats \(range) of \(array.rawValue) on a rank that holds \(held)")
    let base =
      switch array {
      case .weights: weights.base
      case .firstMoment: firstMoment.base
      case .secondMoment: secondMoment.base
      }
    return UnsafeMutableBufferPointer(
      start: base + (range.lowerBound - held.lowerBound), count: range.count)
  }
}
