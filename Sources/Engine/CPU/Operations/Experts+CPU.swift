import Kernels

extension Experts: CPUOperation {
  package func scratch(_ limits: Limits) -> Int {
    SlotOrder.count(slots: limits.rows * k, E: E) + expertScratch(C: C, F: F, limits.precision)
  }

  package func forward(_ w: borrowing Workspace) {
    var y = w.value(output).mutableSpan
    if !w.areShared(residual, output) { copy(w.value(residual).span, into: &y) }
    let order = SlotOrder(w.value(routing.choices), E: E, in: w.scratch)
    var scratch = order.rest.mutableSpan
    for e in 0..<E where !order[e].isEmpty {
      var hidden = rows(of: order[e], w).mutableSpan
      expert(
        addingTo: &y, gateUp: &hidden, w.value(input).span, gates: w.value(routing.gates).span,
        slots: order.slots(order[e]).span, k: k, gate: weight(experts[e].gate, w).span,
        up: weight(experts[e].up, w).span, down: weight(experts[e].down, w).span, C: C, F: F,
        precision: w.precision, helpers: w.helpers, scratch: &scratch)
    }
  }

  package func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    let dY = w.gradient(output).span
    var dX = w.gradient(input).mutableSpan
    var dGates = w.gradient(routing.gates).mutableSpan
    if !accumulation.addsInput(0) { dX.update(repeating: 0) }
    let order = SlotOrder(w.value(routing.choices), E: E, in: w.scratch)
    var scratch = order.rest.mutableSpan
    for e in 0..<E {
      var dGate = w.gradient(experts[e].gate).mutableSpan
      var dUp = w.gradient(experts[e].up).mutableSpan
      var dDown = w.gradient(experts[e].down).mutableSpan
      expertBackward(
        addingTo: &dX, dGates: &dGates, dGate: &dGate, dUp: &dUp, dDown: &dDown, dY,
        gateUp: rows(of: order[e], w).span, w.value(input).span, gates: w.value(routing.gates).span,
        slots: order.slots(order[e]).span, k: k, gate: weight(experts[e].gate, w).span,
        up: weight(experts[e].up, w).span, down: weight(experts[e].down, w).span, C: C, F: F,
        precision: w.precision,
        adding: (
          accumulation.addsParameter(3 * e), accumulation.addsParameter(3 * e + 1),
          accumulation.addsParameter(3 * e + 2)
        ), helpers: w.helpers, scratch: &scratch)
    }
    passGradient(w, dY, to: residual, at: 2, accumulation)
  }

  /// A weight, packed where the products are of bfloat16.
  private func weight(
    _ parameter: Parameter, _ w: borrowing Workspace
  ) -> UnsafeBufferPointer<Float> { w.packed(parameter) ?? w.weight(parameter) }

  /// The rows of gate and up of some slots in the order of experts.
  private func rows(
    of slots: Range<Int>, _ w: borrowing Workspace
  ) -> UnsafeMutableBufferPointer<Float> {
    UnsafeMutableBufferPointer(
      rebasing: w.value(hidden)[slots.lowerBound * 2 * F..<slots.upperBound * 2 * F])
  }
}

/// The slots of a lane sorted by expert, in the first part of the scratch.
private struct SlotOrder {
  private let sorted: UnsafeBufferPointer<Int32>
  private let offsets: UnsafeBufferPointer<Int32>
  /// The scratch behind it.
  let rest: UnsafeMutableBufferPointer<Float>

  /// Floats of scratch.
  static func count(slots: Int, E: Int) -> Int { padded(slots) + padded(E + 1) }

  init(
    _ choices: UnsafeMutableBufferPointer<Float>, E: Int,
    in scratch: UnsafeMutableBufferPointer<Float>
  ) {
    let count = Self.count(slots: choices.count, E: E)
    let integers = UnsafeMutableRawBufferPointer(
      UnsafeMutableBufferPointer(rebasing: scratch[..<count])
    ).assumingMemoryBound(to: Int32.self)
    let slots = UnsafeMutableBufferPointer(rebasing: integers[..<choices.count])
    let starts = UnsafeMutableBufferPointer(
      rebasing: integers[padded(choices.count)..<padded(choices.count) + E + 1])
    var order = slots.mutableSpan
    var places = starts.mutableSpan
    sortSlots(into: &order, offsets: &places, choices.span, E: E)
    (sorted, offsets) = (UnsafeBufferPointer(slots), UnsafeBufferPointer(starts))
    rest = UnsafeMutableBufferPointer(rebasing: scratch[count...])
  }

  /// The places of an expert's slots.
  subscript(e: Int) -> Range<Int> { Int(offsets[e])..<Int(offsets[e + 1]) }

  func slots(_ places: Range<Int>) -> UnsafeBufferPointer<Int32> {
    UnsafeBufferPointer(rebasing: sorted[places])
  }
}
