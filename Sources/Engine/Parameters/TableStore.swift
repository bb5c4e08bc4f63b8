import Kernels
import Support

/// A table as operations hold it: its number among the tables of the model.
package struct Table: Hashable, Sendable {
  package let id: Int
  package let width: Int
}

/// A table of which a step reads and writes few rows. It lies outside of the flat arrays: no gradient
/// of its whole ever exists, and its rows are updated when they are used.
package struct TableSlot: Sendable, Equatable {
  package let name: String
  package let rows: Int
  package let width: Int
  /// Standard deviation of the normal draws that it starts with.
  package let deviation: Double

  package init(name: String, rows: Int, width: Int, deviation: Double) {
    self.name = name
    self.rows = rows
    self.width = width
    self.deviation = deviation
  }

  package var count: Int { rows * width }
  package var shape: [Int] { [rows, width] }

  /// Bytes of weights, and of moments and last steps where there are any, of one of so many ranks.
  package func bytes(moments: TableMoments?, ranks: Int = 1) -> Int {
    (rows + ranks - 1) / ranks * (4 * width + (moments.map { $0.bytes(width: width) + 4 } ?? 0))
  }
}

/// Memory of one table, or of a rank's rows of it: weights, and where training goes on the optimizer's state
/// of each row. Rows are counted among those that are here, but for `slot`, which is that of the whole.
///
/// A row's weights and moments are those at the end of step `lastStep[row]`; since then its gradient
/// has been 0. `AdamWHistory` has the steps that it missed.
// Unchecked: written in disjoint rows, between the parallel loops that read it.
package final class TableStore: @unchecked Sendable {
  package let slot: TableSlot
  package let moments: TableMoments?
  package let share: RankShare
  /// Rows that are here.
  package let rows: Int
  private let weightBuffer: FloatBuffer
  private let firstBuffer: FloatBuffer
  private let secondBuffer: FloatBuffer
  private let stepBuffer: FloatBuffer

  init(_ slot: TableSlot, moments: TableMoments?, share: RankShare = .whole) {
    self.slot = slot
    self.moments = moments
    self.share = share
    rows = share.rows(of: slot.rows)
    let count = rows * slot.width
    weightBuffer = FloatBuffer(count: count)
    switch moments {
    case nil:
      firstBuffer = FloatBuffer(count: 0)
      secondBuffer = FloatBuffer(count: 0)
    case .float32:
      firstBuffer = FloatBuffer(count: count)
      secondBuffer = FloatBuffer(count: count)
    case .bfloat16:
      firstBuffer = FloatBuffer(count: (count + 1) / 2)
      secondBuffer = FloatBuffer(count: (count + 1) / 2)
    case .rowwise:
      firstBuffer = FloatBuffer(count: count)
      secondBuffer = FloatBuffer(count: rows)
    }
    stepBuffer = FloatBuffer(count: moments == nil ? 0 : rows)
  }

  /// (rows, width), each row as of its own last step.
  package var weights: UnsafeMutableBufferPointer<Float> { weightBuffer.buffer }

  var memoryOfWeights: UnsafeMutablePointer<Float> { weightBuffer.base }

  /// What `TableMoments` says.
  package var firstMoment: UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: firstBuffer.base, count: momentBytes.first)
  }
  package var secondMoment: UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: secondBuffer.base, count: momentBytes.second)
  }

  private var momentBytes: (first: Int, second: Int) {
    let count = rows * slot.width
    return switch moments {
    case nil: (0, 0)
    case .float32: (4 * count, 4 * count)
    case .bfloat16: (2 * count, 2 * count)
    case .rowwise: (4 * count, 4 * rows)
    }
  }

  /// (rows), or empty without moments.
  package var lastStep: UnsafeMutableBufferPointer<UInt32> {
    UnsafeMutableRawBufferPointer(stepBuffer.buffer).assumingMemoryBound(to: UInt32.self)
  }

  /// The table as kernels see it. Precondition: it has moments.
  package var memory: TableMemory {
    guard let moments, let steps = lastStep.baseAddress else {
      preconditionFailure("table \(slot.name) keeps no moments")
    }
    return TableMemory(
      rows: rows, width: slot.width, moments: moments, weights: weightBuffer.base,
      firstMoment: UnsafeMutableRawPointer(firstBuffer.base),
      secondMoment: UnsafeMutableRawPointer(secondBuffer.base), lastStep: steps)
  }

  /// Rows that are drawn or exported at a time: of a whole table their elements are a multiple of 64.
  package var rowsPerPart: Int { 64 * max(1, 1 << 10 / max(slot.width, 1)) }

  /// Number of parts of `rowsPerPart` rows.
  package var parts: Int { (rows + rowsPerPart - 1) / rowsPerPart }

  package func rows(ofPart part: Int) -> Range<Int> {
    part * rowsPerPart..<min((part + 1) * rowsPerPart, rows)
  }

  /// Weights of one part at the end of `history` into `weights` (rows of the part, width); the table
  /// stays as it is. Parts may be exported at the same time.
  package func export(
    part: Int, into weights: UnsafeMutableBufferPointer<Float>, _ history: AdamWHistory
  ) {
    export(rows(ofPart: part), into: weights, history)
  }

  /// The same of any rows.
  package func export(
    _ rows: Range<Int>, into weights: UnsafeMutableBufferPointer<Float>, _ history: AdamWHistory
  ) {
    precondition(weights.count == rows.count * slot.width, "\(weights.count) floats for \(rows)")
    guard let target = weights.baseAddress else { return }
    guard moments != nil else {
      target.update(from: weightBuffer.base + rows.lowerBound * slot.width, count: weights.count)
      return
    }
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 2 * slot.width) { scratch in
      guard let scratch = scratch.baseAddress else { return }
      exportRows(into: target, memory, rows, history, scratch: scratch)
    }
  }

  /// Draws one part anew; its moments become zero.
  func initialize(part: Int, seed: UInt64) {
    let rows = rows(ofPart: part)
    let (first, end) = (rows.lowerBound * slot.width, rows.upperBound * slot.width)
    let draws = TableInitializer(
      seed: seed, name: "weights/" + slot.name, deviation: slot.deviation)
    if slot.deviation == 0 {
      (weightBuffer.base + first).update(repeating: 0, count: end - first)
    } else if share.isWhole {
      draws.fill(weightBuffer.base + first, first..<end)
    } else {
      for row in rows {
        let place = share.place(of: row) * slot.width
        draws.fillAny(weightBuffer.base + row * slot.width, place..<place + slot.width)
      }
    }
    guard moments != nil else { return }
    // Rows that were never written still lie on untouched pages: leave them there.
    let steps = lastStep
    for row in rows where steps[row] != 0 { steps[row] = 0 }
  }
}
