import Kernels
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The parameters of a plan in groups: those of one operation, or of several that share some. The
/// backward pass begins and ends a group at one operation each.
struct ParameterGroups {
  /// By operation: its group, or −1 without parameters.
  private(set) var groups: [Int]
  /// The operations, in forward order, that the backward pass begins and ends a group with.
  private(set) var begins: [Int] = []
  private(set) var ends: [Int] = []
  /// Parameters of each group.
  private(set) var parameters: [[Parameter]] = []

  init(_ plan: Plan) {
    // Operations that share a parameter, in chains or not, get the number of the first of them.
    var group = Array(plan.operations.indices)
    var owner: [Int: Int] = [:]
    for (i, operation) in plan.operations.enumerated() {
      for parameter in operation.parameters {
        guard let other = owner[parameter.id] else {
          owner[parameter.id] = i
          continue
        }
        let (from, to) = (group[i], group[other])
        for k in group.indices where group[k] == from { group[k] = to }
      }
    }
    groups = plan.operations.map { _ in -1 }
    var numbers: [Int: Int] = [:]
    for (i, operation) in plan.operations.enumerated() where !operation.parameters.isEmpty {
      if let number = numbers[group[i]] {
        groups[i] = number
        begins[number] = i
        parameters[number] += operation.parameters.filter { !parameters[number].contains($0) }
      } else {
        groups[i] = begins.count
        numbers[group[i]] = begins.count
        begins.append(i)
        ends.append(i)
        parameters.append(operation.parameters)
      }
    }
  }
}

/// One flat gradient that two lanes of a pair fill at the same time.
///
/// Which of the two begins the backward pass of a group of parameters first writes it into the
/// gradient; the other one has room for that group alone, and adds when both are done. A sum of two has
/// the same bits either way. So neither waits, unless the second overtakes the first.
// Unchecked: `states` say who may touch a group.
final class SharedGradient: @unchecked Sendable {
  /// One of the two lanes.
  struct Half: GradientTarget {
    let gradient: SharedGradient
    /// 0 or 1.
    let side: Int

    func begin(_ index: Int) -> GradientPlace { gradient.begin(index, side) }
    func end(_ index: Int) { gradient.end(index, side) }
  }

  private let groups: ParameterGroups
  /// By group: 0, then 1 + the side that writes, then `isDone`.
  private let states: UnsafeMutablePointer<Atomic<Int>>
  private static let isDone = 3
  private let rooms: [FloatBox]
  private let targetOffsets: IndexTable
  private let roomOffsets: IndexTable
  private var target: UnsafeMutablePointer<Float>

  init(_ groups: ParameterGroups, _ layout: ParameterLayout) {
    self.groups = groups
    states = .allocate(capacity: max(groups.begins.count, 1))
    for group in groups.begins.indices { (states + group).initialize(to: Atomic(0)) }
    targetOffsets = IndexTable(layout.slots.map(\.offset))
    let (offsets, room) = Self.layOut(groups, layout)
    roomOffsets = IndexTable(offsets)
    rooms = (0..<2).map { _ in FloatBox(count: room) }
    target = rooms[0].floats.base
  }

  deinit {
    states.deinitialize(count: groups.begins.count)
    states.deallocate()
  }

  var bytes: Int { rooms.reduce(0) { $0 + 4 * $1.floats.count } }

  /// First float of each parameter in a room, and floats of a room: groups of one operation use the
  /// same place one after another, those of several have their own.
  private static func layOut(
    _ groups: ParameterGroups, _ layout: ParameterLayout
  ) -> (offsets: [Int], count: Int) {
    var offsets = [Int](repeating: 0, count: layout.slots.count)
    var (lasting, passing) = (0, 0)
    for group in groups.begins.indices where groups.begins[group] != groups.ends[group] {
      for parameter in groups.parameters[group] {
        offsets[parameter.id] = lasting
        lasting += padded(parameter.count)
      }
    }
    for group in groups.begins.indices where groups.begins[group] == groups.ends[group] {
      var count = 0
      for parameter in groups.parameters[group] {
        offsets[parameter.id] = lasting + count
        count += padded(parameter.count)
      }
      passing = max(passing, count)
    }
    return (offsets, lasting + passing)
  }

  /// Makes ready for another pair of lanes, whose sum goes to `target`.
  func reset(to target: UnsafeMutablePointer<Float>) {
    self.target = target
    for group in groups.begins.indices { states[group].store(0, ordering: .relaxed) }
  }

  private func begin(_ index: Int, _ side: Int) -> GradientPlace {
    let group = groups.groups[index]
    if group >= 0 && writes(group, side, isFirst: groups.begins[group] == index) {
      return GradientPlace(base: target, offsets: targetOffsets.base)
    }
    return GradientPlace(base: rooms[side].floats.base, offsets: roomOffsets.base)
  }

  private func end(_ index: Int, _ side: Int) {
    let group = groups.groups[index]
    guard group >= 0, groups.ends[group] == index else { return }
    if writes(group, side, isFirst: false) {
      states[group].store(Self.isDone, ordering: .releasing)
      return
    }
    var turns = 0
    while states[group].load(ordering: .acquiring) != Self.isDone {
      turns += 1
      if turns > 1000 { sched_yield() }
    }
    for parameter in groups.parameters[group] {
      let part = { (base: UnsafeMutablePointer<Float>, offset: Int) in
        UnsafeMutableBufferPointer(start: base + offset, count: parameter.count)
      }
      var sum = part(target, targetOffsets.base[parameter.id]).mutableSpan
      add(part(rooms[side].floats.base, roomOffsets.base[parameter.id]).span, to: &sum)
    }
  }

  /// Whether `side` is the one that writes this group; whoever begins it first is.
  private func writes(_ group: Int, _ side: Int, isFirst: Bool) -> Bool {
    if isFirst {
      let (won, _) = states[group].compareExchange(
        expected: 0, desired: 1 + side, ordering: .acquiringAndReleasing)
      return won
    }
    return states[group].load(ordering: .acquiring) == 1 + side
  }
}
