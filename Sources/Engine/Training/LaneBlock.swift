import Kernels

/// Lanes that are summed one after another, or two by two: the lower part of the lane tree, as a
/// binary counter over units of one lane or of two.
final class LaneBlock: @unchecked Sendable {
  let first: Int
  let units: Int
  /// One flat gradient per level of the tree. The sum ends in the first.
  let buffers: [FloatBox]
  private let lanesPerUnit: Int
  private let offsets: IndexTable

  init(first: Int, lanes: Int, units: Int, layout: ParameterLayout) {
    (self.first, self.units) = (first, units)
    lanesPerUnit = lanes / units
    var levels = 1
    while 1 << (levels - 1) < units { levels += 1 }
    buffers = (0..<levels).map { _ in FloatBox(count: layout.count) }
    offsets = IndexTable(layout.slots.map(\.offset))
  }

  /// Level of a unit's gradient: the units before it fill the levels of its number's one bits.
  private func level(of unit: Int) -> Int { unit.nonzeroBitCount }

  /// How often the last two levels are added up when `unit` is done: once for each unit bit that
  /// carries.
  func additions(after unit: Int) -> Int { (~unit).trailingZeroBitCount }

  /// Where the gradient of `unit` goes.
  func target(of unit: Int) -> UnsafeMutablePointer<Float> {
    buffers[level(of: unit)].floats.base
  }

  /// Addition number `step` after `unit`, of some of the floats.
  func add(after unit: Int, step: Int, _ range: Range<Int>) {
    let depth = level(of: unit) - step
    let part = { (level: Int) in
      UnsafeMutableBufferPointer(
        rebasing: self.buffers[level].floats.buffer[range])
    }
    var sum = part(depth - 1).mutableSpan
    Kernels.add(part(depth).span, to: &sum)
  }

  /// Calls `body` for each lane, one after another, with the gradient to fill, adding up pairs as they
  /// complete.
  func accumulate(_ body: (_ lane: Int, WholeGradient) -> Void) {
    let all = 0..<buffers[0].floats.count
    for unit in 0..<units {
      body(
        first + unit,
        WholeGradient(place: GradientPlace(base: target(of: unit), offsets: offsets.base)))
      for step in 0..<additions(after: unit) { add(after: unit, step: step, all) }
    }
  }
}

/// A flat gradient of one lane alone.
struct WholeGradient: GradientTarget {
  let place: GradientPlace

  func begin(_ index: Int) -> GradientPlace { place }
  func end(_ index: Int) {}
}
