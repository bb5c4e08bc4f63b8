/// The integers of the lane that an executor works on, as workspaces point to them.
///
/// The positions' inputs, labels and offsets are lent by the lane; what belongs to other spaces is
/// copied, so that any number of them can be lent together.
final class LaneMemory {
  /// What a lane brings of one space.
  private struct Space {
    let limits: Limits.Rows
    /// nil for a space whose rows the lane brings.
    let parent: (space: Int, count: Int)?
    let inputs: UnsafeMutableBufferPointer<Int32>
    let positions: UnsafeMutableBufferPointer<Int32>
    let offsets: UnsafeMutableBufferPointer<Int>
  }

  private let memory: [Space]
  private let views: UnsafeMutablePointer<RowsView>
  private let links: [UnsafeMutableBufferPointer<Int32>]
  private let linkViews: UnsafeMutablePointer<UnsafeBufferPointer<Int32>>
  private let labels: UnsafeMutableBufferPointer<Int32>
  private let extents: [Int]
  private let scratchCount: Int

  init(_ plan: Plan, scratchCount: Int) {
    let limits = plan.rowLimits
    memory = limits.enumerated().map { id, limits in
      var parent: (Int, Int)?
      if id > 0, case .multiple(let space, let count) = plan.spaces[id - 1] {
        parent = (space.id, count)
      }
      let isGiven = id > 0 && parent == nil
      let positions = UnsafeMutableBufferPointer<Int32>.allocate(capacity: max(limits.rows, 1))
      positions.initialize(repeating: 0)
      return Space(
        limits: limits, parent: parent,
        inputs: .allocate(capacity: isGiven ? max(limits.rows * limits.tables, 1) : 1),
        positions: positions, offsets: .allocate(capacity: isGiven ? limits.rows + 1 : 1))
    }
    views = .allocate(capacity: limits.count)
    links = plan.links.map { .allocate(capacity: max(limits[$0.from.id].rows, 1)) }
    linkViews = .allocate(capacity: max(links.count, 1))
    let columns = plan.operations.reduce(0) { max($0, $1.countedLabels ?? 0) }
    labels = .allocate(capacity: max(columns * plan.limits.rows, 1))
    extents = plan.extents
    self.scratchCount = scratchCount
  }

  deinit {
    for space in memory {
      space.inputs.deallocate()
      space.positions.deallocate()
      space.offsets.deallocate()
    }
    for link in links { link.deallocate() }
    views.deallocate()
    linkViews.deallocate()
    labels.deallocate()
  }

  /// By space; of the lane that was loaded last.
  var spaces: UnsafePointer<RowsView> { UnsafePointer(views) }

  /// Lends `lane` as workspaces see it, for the time of `body`, and its inputs.
  func load(
    _ lane: borrowing PackedLane, _ plan: Plan,
    _ body: (_ view: inout LaneView, _ inputs: UnsafeBufferPointer<Int32>) -> Void
  ) {
    let rows = lane.rows
    precondition(
      rows <= plan.limits.rows && lane.longestSegment <= plan.limits.segment
        && lane.segmentOffsets[lane.segments] == rows,
      "a lane of \(rows) rows, sentences up to \(lane.longestSegment), for a plan of \(plan.limits)"
    )
    let further = loadLabels(lane)
    let positions = loadPositions(lane.segmentOffsets, of: memory[0])
    lane.inputs.withUnsafeBufferPointer { inputs in
      lane.labels.withUnsafeBufferPointer { labels in
        lane.segmentOffsets.withUnsafeBufferPointer { offsets in
          loadSpaces(
            lane,
            positions: RowsView(
              rows: rows, stride: CPUProgram.padded(rows), start: scratchCount, inputs: inputs,
              tables: lane.tables, positions: positions, offsets: offsets))
          var view = LaneView(
            labels: labels, furtherLabels: further, links: loadLinks(lane, plan))
          body(&view, inputs)
        }
      }
    }
  }

  /// One row a sequence, when decoding.
  func loadRows(
    inputs: UnsafeBufferPointer<Int32>, tables: Int, positions: UnsafeBufferPointer<Int32>
  ) {
    let rows = positions.count
    views.initialize(
      to: RowsView(
        rows: rows, stride: CPUProgram.padded(rows), start: scratchCount, inputs: inputs,
        tables: tables, positions: positions,
        offsets: UnsafeBufferPointer(start: nil, count: 0)))
    precondition(memory.count == 1, "decoding knows the positions alone")
  }

  private func loadPositions(
    _ offsets: [Int], of space: Space
  ) -> UnsafeBufferPointer<Int32> {
    for segment in 0..<offsets.count - 1 {
      let (first, end) = (offsets[segment], offsets[segment + 1])
      for row in first..<end { space.positions[row] = Int32(truncatingIfNeeded: row - first) }
    }
    return UnsafeBufferPointer(rebasing: space.positions[..<offsets[offsets.count - 1]])
  }

  /// The columns of labels behind the first.
  private func loadLabels(_ lane: borrowing PackedLane) -> UnsafeBufferPointer<Int32> {
    let rows = lane.rows
    precondition(
      lane.furtherLabels.count * rows <= labels.count || rows == 0,
      "\(lane.furtherLabels.count + 1) columns of labels, more than the plan reads")
    for (column, values) in lane.furtherLabels.enumerated() {
      precondition(values.count == rows, "a lane with \(values.count) labels for \(rows) rows")
      for row in 0..<rows { labels[column * rows + row] = values[row] }
    }
    return UnsafeBufferPointer(rebasing: labels[..<(lane.furtherLabels.count * rows)])
  }

  private func loadSpaces(_ lane: borrowing PackedLane, positions: RowsView) {
    views.initialize(to: positions)
    var start = scratchCount + extents[0] * positions.stride
    var given = 0
    for id in memory.indices.dropFirst() {
      let space = memory[id]
      var view = RowsView(
        rows: 0, stride: 0, start: start, inputs: UnsafeBufferPointer(start: nil, count: 0),
        tables: 0, positions: UnsafeBufferPointer(start: nil, count: 0),
        offsets: UnsafeBufferPointer(start: nil, count: 0))
      if let parent = space.parent {
        view.rows = parent.count * views[parent.space].rows
      } else {
        precondition(given < lane.spaces.count, "a lane without its rows of space \(id)")
        let rows = lane.spaces[given]
        given += 1
        precondition(
          rows.rows <= space.limits.rows && rows.longestSegment <= space.limits.segment
            && rows.tables == space.limits.tables
            && rows.segmentOffsets[rows.segmentOffsets.count - 1] == rows.rows,
          "\(rows.rows) rows in segments up to \(rows.longestSegment) of \(rows.tables) tables "
            + "for limits of \(space.limits)")
        view.rows = rows.rows
        view.tables = rows.tables
        for (i, input) in rows.inputs.enumerated() { space.inputs[i] = input }
        for (i, offset) in rows.segmentOffsets.enumerated() { space.offsets[i] = offset }
        view.inputs = UnsafeBufferPointer(rebasing: space.inputs[..<rows.inputs.count])
        view.offsets = UnsafeBufferPointer(rebasing: space.offsets[..<rows.segmentOffsets.count])
        view.positions = loadPositions(rows.segmentOffsets, of: space)
      }
      view.stride = CPUProgram.padded(view.rows)
      (views + id).initialize(to: view)
      start += extents[id] * view.stride
    }
  }

  private func loadLinks(
    _ lane: borrowing PackedLane, _ plan: Plan
  ) -> UnsafePointer<UnsafeBufferPointer<Int32>>? {
    precondition(lane.links.count == links.count, "\(lane.links.count) links for \(links.count)")
    for (id, rows) in lane.links.enumerated() {
      let link = plan.links[id]
      let target = Int32(views[link.to.id].rows)
      precondition(
        rows.count == views[link.from.id].rows
          && rows.allSatisfy { $0 == RowLink.none || $0 >= 0 && $0 < target },
        "link \(id): \(rows.count) rows of \(views[link.from.id].rows) to \(target)")
      for (i, row) in rows.enumerated() { links[id][i] = row }
      (linkViews + id).initialize(
        to: UnsafeBufferPointer(rebasing: links[id][..<rows.count]))
    }
    return links.isEmpty ? nil : UnsafePointer(linkViews)
  }
}
