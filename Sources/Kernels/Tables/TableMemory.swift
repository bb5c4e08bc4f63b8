import CKernels
import Support

/// Where a table and its optimizer state lie: weights (rows, width), moments in the form of
/// `moments`, and the last step that each row has been brought to (0: never touched, moments are 0).
///
/// A borrow of its owner's memory. Functions below that take different rows may run at the same time.
// Unchecked: see above.
package struct TableMemory: @unchecked Sendable {
  package let rows: Int
  package let width: Int
  package let moments: TableMoments
  package let weights: UnsafeMutablePointer<Float>
  /// (rows, width) of fp32 or bfloat16.
  package let firstMoment: UnsafeMutableRawPointer
  /// (rows, width) of fp32 or bfloat16, or (rows) of fp32 when row-wise.
  package let secondMoment: UnsafeMutableRawPointer
  package let lastStep: UnsafeMutablePointer<UInt32>
  /// Whether a row is whole cache lines, so that it may be written past the caches.
  private let isLines: Bool

  package init(
    rows: Int, width: Int, moments: TableMoments, weights: UnsafeMutablePointer<Float>,
    firstMoment: UnsafeMutableRawPointer, secondMoment: UnsafeMutableRawPointer,
    lastStep: UnsafeMutablePointer<UInt32>
  ) {
    self.rows = rows
    self.width = width
    self.moments = moments
    self.weights = weights
    self.firstMoment = firstMoment
    self.secondMoment = secondMoment
    self.lastStep = lastStep
    let addresses =
      UInt(bitPattern: weights) | UInt(bitPattern: firstMoment) | UInt(bitPattern: secondMoment)
    isLines = width & 15 == 0 && addresses & 63 == 0
  }
}

/// fp32 copies of some rows, packed: p, m, v and g are (U, width) each; where the second moment is
/// row-wise, row u's is the first float of its v.
package struct StagedRows {
  package let p: UnsafeMutablePointer<Float>
  package let m: UnsafeMutablePointer<Float>
  package let v: UnsafeMutablePointer<Float>
  package let g: UnsafeMutablePointer<Float>

  package init(
    p: UnsafeMutablePointer<Float>, m: UnsafeMutablePointer<Float>,
    v: UnsafeMutablePointer<Float>, g: UnsafeMutablePointer<Float>
  ) {
    self.p = p
    self.m = m
    self.v = v
    self.g = g
  }
}

/// How many rows ahead the memory is asked for a row: some 10 cache lines are in flight at a time.
private let lookahead = 4

// MARK: - Out of the table

/// Copies the rows of groups `range` to their places in `staged` (p, m and v), brought to the end of
/// `history`. The table is only read.
///
/// - Complexity: for each row its bytes once, and a replay of the steps since it was last written.
package func stageRows(
  _ staged: StagedRows, _ table: TableMemory, _ groups: RowGroups, _ range: Range<Int>,
  _ history: borrowing AdamWHistory
) {
  let (rows, w) = (groups.rows, table.width)
  precondition(range.upperBound <= rows.count, "groups \(range) of \(rows.count)")
  for u in range {
    if u &+ lookahead < range.upperBound { table.prefetchRow(Int(rows[u &+ lookahead])) }
    table.read(
      Int(rows[u]), staged.p + u &* w, staged.m + u &* w, staged.v + u &* w, history, .state)
  }
}

/// Weights of rows `range` at the end of `history` into `weights` (range.count, width). The table is
/// only read.
///
/// - Parameter scratch: at least 2·width floats.
package func exportRows(
  into weights: UnsafeMutablePointer<Float>, _ table: TableMemory, _ range: Range<Int>,
  _ history: borrowing AdamWHistory, scratch: UnsafeMutablePointer<Float>
) {
  let w = table.width
  precondition(range.lowerBound >= 0 && range.upperBound <= table.rows, "rows \(range)")
  for row in range {
    table.read(
      row, weights + (row &- range.lowerBound) &* w, scratch, scratch + w, history, .weights)
  }
}

extension TableMemory {
  /// Asks for the cache lines of a row.
  @inline(__always)
  fileprivate func prefetchRow(_ row: Int) {
    ott_prefetch(lastStep + row)
    prefetch(weights + row &* width, bytes: 4 &* width)
    switch moments {
    case .float32:
      prefetch(firstMoment + 4 &* row &* width, bytes: 4 &* width)
      prefetch(secondMoment + 4 &* row &* width, bytes: 4 &* width)
    case .bfloat16:
      prefetch(firstMoment + 2 &* row &* width, bytes: 2 &* width)
      prefetch(secondMoment + 2 &* row &* width, bytes: 2 &* width)
    case .rowwise:
      prefetch(firstMoment + 4 &* row &* width, bytes: 4 &* width)
      ott_prefetch(secondMoment + 4 &* row)
    }
  }

  private func floats(_ base: UnsafeMutableRawPointer, _ row: Int) -> UnsafeMutablePointer<Float> {
    base.assumingMemoryBound(to: Float.self) + row &* width
  }

  private func halves(_ base: UnsafeMutableRawPointer, _ row: Int) -> UnsafeMutablePointer<UInt16> {
    base.assumingMemoryBound(to: UInt16.self) + row &* width
  }

  private func rowMoment(_ row: Int) -> UnsafeMutablePointer<Float> {
    secondMoment.assumingMemoryBound(to: Float.self) + row
  }

  /// Weights and moments as they lie in the table.
  @inline(__always)
  fileprivate func load(
    _ row: Int, _ p: UnsafeMutablePointer<Float>, _ m: UnsafeMutablePointer<Float>,
    _ v: UnsafeMutablePointer<Float>
  ) {
    copyFloats(p, weights + row &* width, count: width)
    switch moments {
    case .float32:
      copyFloats(m, floats(firstMoment, row), count: width)
      copyFloats(v, floats(secondMoment, row), count: width)
    case .bfloat16:
      widenBFloat16(m, halves(firstMoment, row), count: width)
      widenBFloat16(v, halves(secondMoment, row), count: width)
    case .rowwise:
      copyFloats(m, floats(firstMoment, row), count: width)
      v[0] = rowMoment(row)[0]
    }
  }

  @inline(__always)
  fileprivate func read(
    _ row: Int, _ p: UnsafeMutablePointer<Float>, _ m: UnsafeMutablePointer<Float>,
    _ v: UnsafeMutablePointer<Float>, _ history: borrowing AdamWHistory, _ scope: ReplayScope
  ) {
    let last = Int(lastStep[row])
    if last == 0 {
      copyFloats(p, weights + row &* width, count: width)
      m.update(repeating: 0, count: width)
      v.update(repeating: 0, count: width)
      if !history.decays(after: 0) { return }
    } else {
      load(row, p, m, v)
    }
    if moments == .rowwise {
      replayRowwise(p, m, v, count: width, after: last, history, scope: scope)
    } else {
      replay(p, m, v, count: width, after: last, history, scope: scope)
    }
  }

  // MARK: - Into the table

  /// Sixteen floats or the last `lanes` of a row.
  @inline(__always)
  private func put(_ x: Vector, _ target: UnsafeMutablePointer<Float>, _ index: Int, _ lanes: Int) {
    if lanes == 16 && isLines {
      ott_stream(target + index, x)
    } else {
      target.store(x, index, lanes)
    }
  }

  @inline(__always)
  private func put(
    _ x: Vector, _ target: UnsafeMutablePointer<UInt16>, _ index: Int, _ lanes: Int
  ) {
    let half = roundedToBFloat16(x)
    if lanes == 16 && isLines {
      ott_stream16(target + index, half)
    } else {
      for i in 0..<lanes { target[index + i] = half[i] }
    }
  }

  /// Writes the row that `values` makes, sixteen columns at a time.
  @inline(__always)
  fileprivate func write(
    _ row: Int, step: UInt32,
    _ values: (_ index: Int, _ lanes: Int) -> (p: Vector, m: Vector, v: Vector)
  ) {
    let p = weights + row &* width
    if moments == .bfloat16 {
      let (m, v) = (halves(firstMoment, row), halves(secondMoment, row))
      forEachVector(width) { index, lanes in
        let x = values(index, lanes)
        put(x.p, p, index, lanes)
        put(x.m, m, index, lanes)
        put(x.v, v, index, lanes)
      }
    } else {
      let (m, v) = (floats(firstMoment, row), floats(secondMoment, row))
      forEachVector(width) { index, lanes in
        let x = values(index, lanes)
        put(x.p, p, index, lanes)
        put(x.m, m, index, lanes)
        put(x.v, v, index, lanes)
      }
    }
    lastStep[row] = step
  }

  /// Writes a row with one second moment.
  @inline(__always)
  fileprivate func write(_ row: Int, step: UInt32, _ staged: StagedRows, at offset: Int) {
    let (p, m) = (weights + row &* width, floats(firstMoment, row))
    forEachVector(width) { index, lanes in
      put(staged.p.load(offset + index, lanes), p, index, lanes)
      put(staged.m.load(offset + index, lanes), m, index, lanes)
    }
    rowMoment(row)[0] = staged.v[offset]
    lastStep[row] = step
  }
}

/// One AdamW step for the staged rows of groups `range` with their gradients g, into the table, which
/// says then that they have seen step `step`. Where rows are whole cache lines they are written past
/// the caches. The staged rows are left in an undefined state.
package func updateRows(
  _ table: TableMemory, _ staged: StagedRows, _ groups: RowGroups, _ range: Range<Int>, step: Int,
  _ scalars: AdamWScalars
) {
  let (rows, w) = (groups.rows, table.width)
  precondition(
    range.upperBound <= rows.count && step > 0 && step <= UInt32.max,
    "groups \(range) of \(rows.count), step \(step)")
  let constants = AdamWVectors(scalars)
  for u in range {
    let (row, offset) = (Int(rows[u]), u &* w)
    if table.moments == .rowwise {
      adamWRowwise(
        staged.p + offset, staged.m + offset, staged.v + offset, staged.g + offset, count: w,
        scalars)
      table.write(row, step: UInt32(step), staged, at: offset)
    } else {
      table.write(row, step: UInt32(step)) { index, lanes in
        let i = offset &+ index
        var x = (
          p: staged.p.load(i, lanes), m: staged.m.load(i, lanes), v: staged.v.load(i, lanes)
        )
        constants.update(&x.p, m: &x.m, v: &x.v, staged.g.load(i, lanes))
        return x
      }
    }
  }
  ott_fence()
}

@inline(__always)
private func copyFloats(
  _ to: UnsafeMutablePointer<Float>, _ from: UnsafePointer<Float>, count: Int
) {
  forEachVector(count) { to.store(from.load($0, $1), $0, $1) }
}

/// Moves the bytes of the rows of groups `range` out of the table and then back, and does nothing
/// else: the floor of `stageRows` and `updateRows`. `buffer` holds 3·width floats.
package func moveRows(
  _ table: TableMemory, _ groups: RowGroups, _ range: Range<Int>,
  buffer: UnsafeMutablePointer<Float>
) {
  let (rows, w) = (groups.rows, table.width)
  for u in range {
    if u &+ lookahead < range.upperBound { table.prefetchRow(Int(rows[u &+ lookahead])) }
    table.load(Int(rows[u]), buffer, buffer + w, buffer + 2 * w)
  }
  for u in range {
    let (row, step) = (Int(rows[u]), table.lastStep[Int(rows[u])])
    if table.moments == .rowwise {
      let staged = StagedRows(p: buffer, m: buffer + w, v: buffer + 2 * w, g: buffer)
      table.write(row, step: step, staged, at: 0)
    } else {
      table.write(row, step: step) { index, lanes in
        (
          buffer.load(index, lanes), buffer.load(w + index, lanes),
          buffer.load(2 * w + index, lanes)
        )
      }
    }
  }
  ott_fence()
}
