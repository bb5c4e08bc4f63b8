import Support

/// The experts of a mixture: of N rows each goes to k of E feed-forward layers, none is dropped.
///
/// The N·k routed slots are sorted by expert, and each expert works through its rows in blocks:
/// gathered, multiplied, and added to the rows that they came from. A slot's row of gate and up lies in
/// the place of the sorted order. Every sum has a fixed order: a row's over its slots, ascending, a
/// weight gradient's over rows, in order, block by block.

/// Rows of an expert that are worked through at a time.
package let expertBlock = 256

/// The numbers t·k + s of N·k slots sorted by the expert that `choices` (N, k) names, those of one expert
/// in their own order: a counting sort.
///
/// - Parameters:
///   - slots: (N·k).
///   - offsets: (E + 1), the first place of each expert, then N·k.
package func sortSlots(
  into slots: inout MutableSpan<Int32>, offsets: inout MutableSpan<Int32>, _ choices: Span<Float>,
  E: Int
) {
  let count = choices.count
  precondition(
    slots.count == count && offsets.count == E + 1,
    "sortSlots: slots \(slots.count), offsets \(offsets.count) for \(count) slots, E \(E)")
  let (target, starts, chosen) = (slots.base, offsets.base, choices.base)
  starts.update(repeating: 0, count: E + 1)
  for slot in 0..<count { starts[Int(chosen[slot]) &+ 1] &+= 1 }
  for e in 0..<E { starts[e &+ 1] &+= starts[e] }
  for slot in 0..<count {
    let expert = Int(chosen[slot])
    target[Int(starts[expert])] = Int32(truncatingIfNeeded: slot)
    starts[expert] &+= 1
  }
  // Every start has moved on to the next one.
  for e in stride(from: E, to: 0, by: -1) { starts[e] = starts[e &- 1] }
  starts[0] = 0
}

/// Floats of scratch that `expert` and `expertBackward` need.
package func expertScratch(C: Int, F: Int, _ precision: Precision) -> Int {
  expertBlock * (2 * C + 3 * F)
    + 2 * ExpertFactor.transposedCount(K: C, M: F, precision)
    + ExpertFactor.transposedCount(K: F, M: C, precision)
    + max(
      ExpertFactor.room(K: C, M: F, precision), ExpertFactor.room(K: F, M: C, precision))
}

/// Of one expert: y[t] += gates[slot] · (silu(x[t]·Wg) ∘ (x[t]·Wu))·Wd for each of its slots, t = slot / k.
///
/// - Parameters:
///   - y: (N, C).
///   - gateUp: (slots, 2F), x·Wg and x·Wu side by side, for the backward pass.
///   - x: (N, C).
///   - gates: (N·k).
///   - slots: those of the expert, ascending, at most one of a row.
///   - gate, up, down: Wg and Wu (C, F), Wd (F, C), packed where the products are of bfloat16.
/// - Complexity: 6·slots·C·F FLOPs.
package func expert(
  addingTo y: inout MutableSpan<Float>, gateUp: inout MutableSpan<Float>, _ x: Span<Float>,
  gates: Span<Float>, slots: Span<Int32>, k: Int, gate: Span<Float>, up: Span<Float>,
  down: Span<Float>, C: Int, F: Int, precision: Precision, helpers: (any Helpers)? = nil,
  scratch: inout MutableSpan<Float>
) {
  precondition(
    y.count == x.count && gates.count * C == x.count * k && gateUp.count == slots.count * 2 * F
      && scratch.count >= expertScratch(C: C, F: F, precision),
    "expert: y \(y.count), x \(x.count), gateUp \(gateUp.count) for \(slots.count) slots, C \(C), F \(F)"
  )
  let wGate = ExpertFactor(gate, K: C, M: F, precision, helpers)
  let wUp = ExpertFactor(up, K: C, M: F, precision, helpers)
  let wDown = ExpertFactor(down, K: F, M: C, precision, helpers)
  let (target, source, hidden) = (y.base, x.base, gateUp.base)
  let (weights, list) = (gates.base, slots.base)
  let rows = scratch.base  // (block, C): x, then what goes to y
  let h = rows + expertBlock * C  // (block, F)
  let room = h + expertBlock * F
  for first in stride(from: 0, to: slots.count, by: expertBlock) {
    let count = min(expertBlock, slots.count - first)
    let (part, block) = (list + first, hidden + first * 2 * F)
    gatherRows(into: rows, source, part, k: k, count: count, C: C)
    wGate.multiply(block, row: 2 * F, rows, row: C, rows: count, room: room)
    wUp.multiply(block + F, row: 2 * F, rows, row: C, rows: count, room: room)
    for i in 0..<count {
      let row = block + i &* 2 &* F
      scaledSwiGLU(
        h + i &* F, gate: row, up: row + F, factor: weights[Int(part[i])], F: F)
    }
    wDown.multiply(rows, row: C, h, row: F, rows: count, room: room)
    addRows(to: target, rows, part, k: k, count: count, C: C)
  }
}

/// The gradients of `expert`: dX[t] += for each of its slots, dGates[slot] =, and those of its weights,
/// = or +=.
///
/// - Parameters:
///   - gateUp: as `expert` left it.
///   - adding: whether each weight's gradient is added to: of gate, up and down.
/// - Complexity: 12·slots·C·F FLOPs.
package func expertBackward(
  addingTo dX: inout MutableSpan<Float>, dGates: inout MutableSpan<Float>,
  dGate: inout MutableSpan<Float>, dUp: inout MutableSpan<Float>, dDown: inout MutableSpan<Float>,
  _ dY: Span<Float>, gateUp: Span<Float>, _ x: Span<Float>, gates: Span<Float>,
  slots: Span<Int32>, k: Int, gate: Span<Float>, up: Span<Float>, down: Span<Float>, C: Int,
  F: Int, precision: Precision, adding: (gate: Bool, up: Bool, down: Bool),
  helpers: (any Helpers)? = nil, scratch: inout MutableSpan<Float>
) {
  precondition(
    dX.count == x.count && dY.count == x.count && dGates.count == gates.count
      && gates.count * C == x.count * k && gateUp.count == slots.count * 2 * F
      && dGate.count == C * F && dUp.count == C * F && dDown.count == C * F
      && scratch.count >= expertScratch(C: C, F: F, precision),
    "expertBackward: dX \(dX.count), x \(x.count) for \(slots.count) slots, C \(C), F \(F)")
  if slots.count == 0 {
    if !adding.gate { dGate.base.update(repeating: 0, count: C * F) }
    if !adding.up { dUp.base.update(repeating: 0, count: C * F) }
    if !adding.down { dDown.base.update(repeating: 0, count: C * F) }
    return
  }
  let wGate = ExpertFactor(gate, K: C, M: F, precision, helpers)
  let wUp = ExpertFactor(up, K: C, M: F, precision, helpers)
  let wDown = ExpertFactor(down, K: F, M: C, precision, helpers)
  let (target, upstream, source, hidden) = (dX.base, dY.base, x.base, gateUp.base)
  let (weights, dWeights, list) = (gates.base, dGates.base, slots.base)
  let (toGate, toUp, toDown) = (dGate.base, dUp.base, dDown.base)
  let rows = scratch.base  // (block, C): x
  let dRows = rows + expertBlock * C  // (block, C): dY, then what goes to dX
  let h = dRows + expertBlock * C  // (block, F): the gradient of h before its factor, then h
  let g = h + expertBlock * F  // (block, F): the gradient of gate
  let u = g + expertBlock * F  // (block, F): the gradient of up
  let gateT = u + expertBlock * F
  let upT = gateT + ExpertFactor.transposedCount(K: C, M: F, precision)
  let downT = upT + ExpertFactor.transposedCount(K: C, M: F, precision)
  let room = downT + ExpertFactor.transposedCount(K: F, M: C, precision)
  wGate.transpose(into: gateT)
  wUp.transpose(into: upT)
  wDown.transpose(into: downT)
  for first in stride(from: 0, to: slots.count, by: expertBlock) {
    let count = min(expertBlock, slots.count - first)
    let (part, block) = (list + first, hidden + first * 2 * F)
    gatherRows(into: dRows, upstream, part, k: k, count: count, C: C)
    wDown.multiplyTransposed(
      h, row: F, dRows, row: C, rows: count, transposed: downT, adding: false, room: room)
    for i in 0..<count {
      let (slot, row) = (Int(part[i]), block + i &* 2 &* F)
      dWeights[slot] = scaledSwiGLUBackward(
        hInPlaceOf: h + i &* F, dGate: g + i &* F, dUp: u + i &* F, gate: row,
        up: row + F, factor: weights[slot], F: F)
    }
    wDown.gradient(
      toDown, h, row: F, dRows, row: C, rows: count, adding: adding.down || first > 0,
      room: room)
    gatherRows(into: rows, source, part, k: k, count: count, C: C)
    wGate.gradient(
      toGate, rows, row: C, g, row: F, rows: count, adding: adding.gate || first > 0,
      room: room)
    wUp.gradient(
      toUp, rows, row: C, u, row: F, rows: count, adding: adding.up || first > 0, room: room)
    wGate.multiplyTransposed(
      dRows, row: C, g, row: F, rows: count, transposed: gateT, adding: false, room: room)
    wUp.multiplyTransposed(
      dRows, row: C, u, row: F, rows: count, transposed: upT, adding: true, room: room)
    addRows(to: target, dRows, part, k: k, count: count, C: C)
  }
}

/// Y[i] = X[slots[i] / k].
@inline(__always)
private func gatherRows(
  into y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, _ slots: UnsafePointer<Int32>,
  k: Int, count: Int, C: Int
) {
  for i in 0..<count { (y + i &* C).update(from: x + Int(slots[i]) / k &* C, count: C) }
}

/// Y[slots[i] / k] += X[i].
@inline(__always)
private func addRows(
  to y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, _ slots: UnsafePointer<Int32>,
  k: Int, count: Int, C: Int
) {
  for i in 0..<count {
    let (to, from) = (y + Int(slots[i]) / k &* C, x + i &* C)
    forEachVector(C) { to.store(to.load($0, $1) + from.load($0, $1), $0, $1) }
  }
}
