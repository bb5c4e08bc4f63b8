import Foundation
import Kernels
import Support
import Testing

extension Twin {
  static func softmax(_ x: ArraySlice<Double>) -> [Double] {
    let top = x.max() ?? 0
    let total = x.reduce(0) { $0 + exp($1 - top) }
    return x.map { exp($0 - top) / total }
  }

  /// The k largest by a stable sort, then ascending.
  static func choices(_ p: [Double], k: Int) -> [Int] {
    let order = p.indices.sorted { (p[$1], $0) < (p[$0], $1) }
    return order.prefix(k).sorted()
  }

  /// Σ over slots of gate · (silu(x·Wg) ∘ (x·Wu))·Wd, expert by expert in Double; weights are
  /// (E, C, F), (E, C, F) and (E, F, C).
  static func experts(
    _ x: [Double], gates: [Double], choices: [Int],
    _ w: (gate: [Double], up: [Double], down: [Double]),
    N: Int, k: Int, C: Int, F: Int
  ) -> [Double] {
    var y = [Double](repeating: 0, count: N * C)
    for n in 0..<N {
      for s in 0..<k {
        let e = choices[n * k + s]
        let row = { (w: [Double]) in
          Twin.product(1, C, F, { _, c in x[n * C + c] }, { c, f in w[(e * C + c) * F + f] })
        }
        let h = Twin.swiGLU(row(w.gate), row(w.up))
        for c in 0..<C {
          for f in 0..<F { y[n * C + c] += gates[n * k + s] * h[f] * w.down[(e * F + f) * C + c] }
        }
      }
    }
    return y
  }
}

@Suite struct RoutingTests {
  struct Routed {
    var probabilities, choices, gates: [Float]
  }

  static func routed(
    _ logits: [Float], E: Int, k: Int, normalizes: Bool = false
  ) -> Routed {
    let N = logits.count / E
    var (p, c, g) = (
      logits, [Float](repeating: -1, count: N * k), [Float](repeating: .nan, count: N * k)
    )
    var pSpan = p.mutableSpan
    var cSpan = c.mutableSpan
    var gSpan = g.mutableSpan
    route(
      probabilities: &pSpan, choices: &cSpan, gates: &gSpan, logits.span, N: N, E: E, k: k,
      normalizes: normalizes)
    return Routed(probabilities: p, choices: c, gates: g)
  }

  @Test(
    arguments: [(0, 4, 2), (3, 1, 1), (5, 3, 2), (7, 15, 4), (4, 16, 16), (6, 17, 5), (9, 64, 8)],
    [false, true])
  func agreesWithTwin(size: (N: Int, E: Int, k: Int), normalizes: Bool) {
    let (N, E, k) = size
    let logits = draws(N * E, "logits", deviation: 2)
    let found = Self.routed(logits, E: E, k: k, normalizes: normalizes)
    let x = logits.doubles
    let p = (0..<N).flatMap { Twin.softmax(x[$0 * E..<($0 + 1) * E]) }
    // e^x within 2e-7, the sum within E + 1 roundings.
    #expect(error(found.probabilities, p) < 3e-7 + Double(E + 1) / Double(1 << 24))
    for n in 0..<N {
      let row = Array(p[n * E..<(n + 1) * E])
      let chosen = Twin.choices(row, k: k)
      #expect(found.choices[n * k..<(n + 1) * k].map { Int($0) } == chosen)
      let total = normalizes ? chosen.reduce(0) { $0 + row[$1] } : 1
      let gates = Array(found.gates[n * k..<(n + 1) * k])
      #expect(error(gates, chosen.map { row[$0] / total }) < 2e-6)
    }
    if k == 1 && normalizes { #expect(found.gates.allSatisfy { $0 == 1 }) }

    let (dP, dG) = (draws(N * E, "dP"), draws(N * k, "dG"))
    let expected = slopes(logits, weights: dP + dG) { x in
      let p = (0..<N).map { Twin.softmax(x[$0 * E..<($0 + 1) * E]) }
      let gates = (0..<N).flatMap { n -> [Double] in
        let chosen = found.choices[n * k..<(n + 1) * k].map { p[n][Int($0)] }
        return chosen.map { normalizes ? $0 / chosen.reduce(0, +) : $0 }
      }
      return p.flatMap { $0 } + gates
    }
    for adding in [false, true] {
      var (dLogits, upstream) = (draws(N * E, "dLogits"), dP)
      let before = dLogits
      var target = dLogits.mutableSpan
      var used = upstream.mutableSpan
      routeBackward(
        into: &target, dProbabilities: &used, dGates: dG.span,
        probabilities: found.probabilities.span, choices: found.choices.span,
        gates: found.gates.span, N: N, E: E, k: k, normalizes: normalizes, adding: adding)
      let all = zip(before, expected).map { adding ? Double($0) + $1 : $1 }
      #expect(error(dLogits, all) < 1e-5)
    }
  }

  /// Equal probabilities go to the experts of the lowest index, whatever stands between them.
  @Test func tiesGoToTheLowestIndex() {
    #expect(Self.routed([0, 0, 0, 0, 0], E: 5, k: 2).choices == [0, 1])
    #expect(Self.routed([1, 2, 1, 2, 2], E: 5, k: 2).choices == [1, 3])
    #expect(Self.routed([1, 2, 1, 0, 1], E: 5, k: 3).choices == [0, 1, 2])
    #expect(Self.routed([0, 1, 1, 3, 1], E: 5, k: 2).choices == [1, 3])
    let many = Self.routed([Float](repeating: 0.25, count: 3 * 33), E: 33, k: 4)
    #expect(many.choices == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3])
  }

  /// Logits that are no numbers choose some expert, so that the loss, not memory, shows them.
  @Test func numbersThatAreNone() {
    let found = Self.routed([.nan, .nan, .nan, 1, .infinity, 2], E: 3, k: 2)
    #expect(found.choices.allSatisfy { (0..<3).contains(Int($0)) })
    #expect(found.gates.contains { !$0.isFinite })
  }

  @Test(arguments: [(0, 3), (1, 1), (40, 1), (37, 5), (64, 16)])
  func sortIsStable(size: (count: Int, E: Int)) {
    let choices = (0..<size.count).map { Float(($0 * 7 + $0 / 3) % size.E) }
    var (slots, offsets) = (
      [Int32](repeating: -1, count: size.count), [Int32](repeating: -1, count: size.E + 1)
    )
    var slotSpan = slots.mutableSpan
    var offsetSpan = offsets.mutableSpan
    sortSlots(into: &slotSpan, offsets: &offsetSpan, choices.span, E: size.E)
    let expected = (0..<size.E).map { e in choices.indices.filter { Int(choices[$0]) == e } }
    #expect(slots == expected.flatMap { $0.map(Int32.init) })
    #expect(
      offsets == (0...size.E).map { Int32(expected.prefix($0).reduce(0) { $0 + $1.count }) })
  }
}

@Suite struct RouterLossTests {
  /// c_e and mean probabilities as they stand, without the rows in between.
  @Test(arguments: [(7, 3, 2), (16, 16, 4), (33, 17, 5)])
  func balance(size: (N: Int, E: Int, k: Int)) {
    let (N, E, k) = size
    let routed = RoutingTests.routed(draws(N * E, "logits"), E: E, k: k)
    var factors = [Float](repeating: .nan, count: E)
    var losses = [Float](repeating: 0.5, count: N)
    var factorSpan = factors.mutableSpan
    var lossSpan = losses.mutableSpan
    routerLoads(into: &factorSpan, routed.choices.span, N: N, E: E, k: k)
    addBalanceLoss(
      to: &lossSpan, routed.probabilities.span, factors: factors.span, N: N, E: E, share: 0.25)
    let counts = (0..<E).map { e in Double(routed.choices.count { Int($0) == e }) }
    let means = (0..<E).map { e in
      (0..<N).reduce(0) { $0 + Double(routed.probabilities[$1 * E + e]) } / Double(N)
    }
    let expected = Double(E) / Double(N * k) * zip(counts, means).reduce(0) { $0 + $1.0 * $1.1 }
    let mean = losses.reduce(0) { $0 + Double($1) - 0.5 } / Double(N)
    #expect(abs(mean - 0.25 * expected) < 1e-6)

    var dP = draws(N * E, "dP")
    let before = dP
    var dPSpan = dP.mutableSpan
    balanceLossBackward(into: &dPSpan, factors: factors.span, N: N, E: E, scale: 0.5, adding: true)
    let all = dP.indices.map {
      Double(before[$0]) + 0.5 * Double(E) / Double(N * k) * counts[$0 % E]
    }
    #expect(error(dP, all) < 1e-5)
  }

  /// Every expert as often as any other and with the same probability: 1, to the bit.
  @Test func balancedIsOne() {
    let (N, E, k) = (8, 16, 4)
    let choices = (0..<N * k).map { Float($0 % E) }
    let p = [Float](repeating: 1 / Float(E), count: N * E)
    var (factors, losses) = ([Float](repeating: 0, count: E), [Float](repeating: 0, count: N))
    var factorSpan = factors.mutableSpan
    var lossSpan = losses.mutableSpan
    routerLoads(into: &factorSpan, choices.span, N: N, E: E, k: k)
    addBalanceLoss(to: &lossSpan, p.span, factors: factors.span, N: N, E: E, share: 1)
    #expect(factors.allSatisfy { $0 == 1 } && losses.allSatisfy { $0 == 1 })
  }

  @Test(arguments: [(3, 1), (5, 7), (4, 16), (2, 33)])
  func zLoss(size: (N: Int, E: Int)) {
    let (N, E) = size
    let logits = draws(N * E, "logits", deviation: 2)
    let squares = { (x: [Double]) in
      (0..<N).map { n in
        let size = log(x[n * E..<(n + 1) * E].reduce(0) { $0 + exp($1) })
        return size * size
      }
    }
    var (losses, scratch) = ([Float](repeating: 0, count: N), [Float](repeating: 0, count: E))
    var lossSpan = losses.mutableSpan
    var scratchSpan = scratch.mutableSpan
    addRouterZLoss(
      to: &lossSpan, logits.span, N: N, E: E, share: 0.5, scratch: &scratchSpan)
    #expect(error(losses, squares(logits.doubles).map { 0.5 * $0 }) < 1e-5)
    let expected = slopes(logits, weights: [Float](repeating: 0.25, count: N), squares)
    for adding in [false, true] {
      var dLogits = draws(N * E, "dLogits")
      let before = dLogits
      var target = dLogits.mutableSpan
      routerZLossBackward(
        into: &target, logits.span, N: N, E: E, scale: 0.25, adding: adding,
        scratch: &scratchSpan)
      let all = zip(before, expected).map { adding ? Double($0) + $1 : $1 }
      #expect(error(dLogits, all) < 1e-5)
    }
  }
}

private func dot(_ a: [Double], _ b: [Double]) -> Double {
  a.indices.reduce(0) { $0 + a[$1] * b[$1] }
}

@Suite struct ExpertTests {
  /// N rows to k of E experts; the last expert has none.
  private struct Case {
    let N, E, k, C, F: Int
    let x, gates: [Float]
    let choices: [Float]
    /// (E, C, F), (E, C, F), (E, F, C).
    let gate, up, down: [Float]

    init(N: Int, E: Int, k: Int, C: Int, F: Int) {
      (self.N, self.E, self.k, self.C, self.F) = (N, E, k, C, F)
      x = draws(N * C, "x")
      gates = draws(N * k, "gates")
      choices = (0..<N).flatMap { n in (0..<k).map { s in (n + s * 2) % (E - 1) }.sorted() }
        .map { Float($0) }
      let deviation = 1 / Double(C).squareRoot()
      gate = draws(E * C * F, "gate", deviation: deviation)
      up = draws(E * C * F, "up", deviation: deviation)
      down = draws(E * F * C, "down", deviation: 1 / Double(F).squareRoot())
    }

    func twin(_ x: [Double], _ gates: [Double], _ w: (gate: [Double], up: [Double], down: [Double]))
      -> [Double]
    {
      Twin.experts(x, gates: gates, choices: choices.map { Int($0) }, w, N: N, k: k, C: C, F: F)
    }

    var weights: (gate: [Double], up: [Double], down: [Double]) {
      (gate.doubles, up.doubles, down.doubles)
    }

    func packed(_ w: ArraySlice<Float>, K: Int, M: Int, _ precision: Precision) -> [Float] {
      if precision == .float32 { return Array(w) }
      var result = [Float](repeating: 0, count: packedCount(K: K, M: M))
      var span = result.mutableSpan
      packWeights(into: &span, Array(w).span, K: K, M: M)
      return result
    }

    /// Weights of one expert as the kernels want them.
    func factors(of e: Int, _ precision: Precision) -> (gate: [Float], up: [Float], down: [Float]) {
      let range = e * C * F..<(e + 1) * C * F
      return (
        packed(gate[range], K: C, M: F, precision), packed(up[range], K: C, M: F, precision),
        packed(down[range], K: F, M: C, precision)
      )
    }

    var order: (slots: [Int32], offsets: [Int]) {
      var (slots, offsets) = (
        [Int32](repeating: 0, count: N * k), [Int32](repeating: 0, count: E + 1)
      )
      var slotSpan = slots.mutableSpan
      var offsetSpan = offsets.mutableSpan
      sortSlots(into: &slotSpan, offsets: &offsetSpan, choices.span, E: E)
      return (slots, offsets.map { Int($0) })
    }

    /// Y from `start`, and gate and up.
    func forward(_ start: [Float], _ precision: Precision) -> (y: [Float], hidden: [[Float]]) {
      var (y, hidden) = (start, [[Float]]())
      let (slots, offsets) = order
      var scratch = [Float](repeating: .nan, count: expertScratch(C: C, F: F, precision))
      for e in 0..<E {
        let list = Array(slots[offsets[e]..<offsets[e + 1]])
        let w = factors(of: e, precision)
        var rows = [Float](repeating: .nan, count: list.count * 2 * F)
        var ySpan = y.mutableSpan
        var rowSpan = rows.mutableSpan
        var room = scratch.mutableSpan
        expert(
          addingTo: &ySpan, gateUp: &rowSpan, x.span, gates: gates.span, slots: list.span, k: k,
          gate: w.gate.span, up: w.up.span, down: w.down.span, C: C, F: F, precision: precision,
          scratch: &room)
        hidden.append(rows)
      }
      return (y, hidden)
    }

    struct Gradients {
      var dX, dGates, dGate, dUp, dDown: [Float]
    }

    /// All gradients, added to those of `start`; of weights where `adding`.
    func backward(
      _ dY: [Float], _ hidden: [[Float]], _ start: Gradients, adding: Bool, _ precision: Precision
    ) -> Gradients {
      var result = start
      var (dX, dGates) = (start.dX, start.dGates)
      let (slots, offsets) = order
      var scratch = [Float](repeating: .nan, count: expertScratch(C: C, F: F, precision))
      for e in 0..<E {
        let list = Array(slots[offsets[e]..<offsets[e + 1]])
        let (w, rows) = (factors(of: e, precision), hidden[e])
        let range = e * C * F..<(e + 1) * C * F
        var (dGate, dUp, dDown) = (
          Array(start.dGate[range]), Array(start.dUp[range]), Array(start.dDown[range])
        )
        var dXSpan = dX.mutableSpan
        var dGatesSpan = dGates.mutableSpan
        var dGateSpan = dGate.mutableSpan
        var dUpSpan = dUp.mutableSpan
        var dDownSpan = dDown.mutableSpan
        var room = scratch.mutableSpan
        expertBackward(
          addingTo: &dXSpan, dGates: &dGatesSpan, dGate: &dGateSpan, dUp: &dUpSpan,
          dDown: &dDownSpan, dY.span, gateUp: rows.span, x.span, gates: gates.span,
          slots: list.span, k: k, gate: w.gate.span, up: w.up.span, down: w.down.span, C: C, F: F,
          precision: precision, adding: (adding, adding, adding), scratch: &room)
        result.dGate.replaceSubrange(range, with: dGate)
        result.dUp.replaceSubrange(range, with: dUp)
        result.dDown.replaceSubrange(range, with: dDown)
      }
      (result.dX, result.dGates) = (dX, dGates)
      return result
    }
  }

  /// Two products of C and F terms follow each other; rounded factors err by 2⁻⁹ each.
  private static func bound(_ c: Case, _ precision: Precision) -> Double {
    let terms = Double(c.k * (c.C + c.F + 32))
    return precision == .float32 ? terms * 4 / Double(1 << 24) : 0.15
  }

  /// Odd columns, columns of the register tile, more rows than a block, weights for the library, none
  /// for the last expert.
  private static let cases: [(N: Int, E: Int, k: Int, C: Int, F: Int)] = [
    (1, 2, 1, 1, 1), (7, 4, 2, 15, 17), (9, 3, 2, 16, 16), (33, 5, 3, 20, 9), (70, 6, 4, 64, 32),
    (300, 3, 1, 32, 16), (530, 2, 1, 17, 16), (40, 4, 2, 272, 256), (5, 3, 1, 300, 260),
  ]

  @Test(arguments: cases, [Precision.float32, .bfloat16])
  func forwardAgreesWithTwin(
    size: (N: Int, E: Int, k: Int, C: Int, F: Int), precision: Precision
  ) {
    if !precision.isAvailable { return }
    let c = Case(N: size.N, E: size.E, k: size.k, C: size.C, F: size.F)
    let start = draws(c.N * c.C, "start")
    let mixed = c.twin(c.x.doubles, c.gates.doubles, c.weights)
    let expected = mixed.indices.map { mixed[$0] + Double(start[$0]) }
    let (y, hidden) = c.forward(start, precision)
    #expect(error(y, expected) < Self.bound(c, precision) * KernelsTests.size(expected))
    #expect(hidden.map(\.count).reduce(0, +) == c.N * c.k * 2 * c.F)
    #expect(hidden.last?.isEmpty == true)
  }

  /// Against differences of the twin, in some directions of each argument.
  @Test(arguments: cases, [Precision.float32, .bfloat16])
  func gradientsAgreeWithTwin(
    size: (N: Int, E: Int, k: Int, C: Int, F: Int), precision: Precision
  ) {
    if !precision.isAvailable { return }
    let c = Case(N: size.N, E: size.E, k: size.k, C: size.C, F: size.F)
    let dY = draws(c.N * c.C, "dY")
    let (_, hidden) = c.forward([Float](repeating: 0, count: c.N * c.C), precision)
    let start = Case.Gradients(
      dX: draws(c.N * c.C, "dX"), dGates: [Float](repeating: .nan, count: c.N * c.k),
      dGate: draws(c.gate.count, "dGate"), dUp: draws(c.up.count, "dUp"),
      dDown: draws(c.down.count, "dDown"))
    for adding in [false, true] {
      let found = c.backward(dY, hidden, start, adding: adding, precision)
      func less(_ a: [Float], _ b: [Float], _ isAdded: Bool) -> [Double] {
        isAdded ? a.indices.map { Double(a[$0]) - Double(b[$0]) } : a.doubles
      }
      let parts: [[Double]] = [
        less(found.dX, start.dX, true), found.dGates.doubles,
        less(found.dGate, start.dGate, adding), less(found.dUp, start.dUp, adding),
        less(found.dDown, start.dDown, adding),
      ]
      func objective(_ moved: [[Double]]) -> Double {
        dot(c.twin(moved[0], moved[1], (moved[2], moved[3], moved[4])), dY.doubles)
      }
      let base: [[Double]] = [
        c.x.doubles, c.gates.doubles, c.weights.gate, c.weights.up, c.weights.down,
      ]
      for part in parts.indices {
        let isFinite = parts[part].allSatisfy { $0.isFinite }
        #expect(isFinite)
        // Along the gradient, and along draws of its size.
        let norm = dot(parts[part], parts[part]).squareRoot()
        for direction in [parts[part], draws(parts[part].count, "d", deviation: norm).doubles] {
          let length = max(dot(direction, direction).squareRoot(), 1e-12)
          let h = 1e-4 / length
          func value(_ sign: Double) -> Double {
            var moved = base
            for i in moved[part].indices { moved[part][i] += sign * h * direction[i] }
            return objective(moved)
          }
          let slope = (value(1) - value(-1)) / (2 * h * length)
          let product = dot(parts[part], direction) / length
          let bound = (precision == .float32 ? 1e-4 : 0.03) * norm + 1e-5
          #expect(abs(slope - product) < bound, "part \(part): \(slope) for \(product)")
        }
      }
      // The last expert has no rows.
      let last = (c.E - 1) * c.C * c.F..<c.E * c.C * c.F
      let zeros = [Float](repeating: 0, count: last.count)
      #expect(found.dGate[last] == (adding ? start.dGate[last] : zeros[...]))
      #expect(found.dUp[last] == (adding ? start.dUp[last] : zeros[...]))
      #expect(found.dDown[last] == (adding ? start.dDown[last] : zeros[...]))
    }
  }

  /// A row has the same bits alone and among others, whatever expert they go to, at every size.
  @Test(arguments: cases)
  func companyChangesNoBit(size: (N: Int, E: Int, k: Int, C: Int, F: Int)) {
    let c = Case(N: size.N, E: size.E, k: size.k, C: size.C, F: size.F)
    let together = c.forward([Float](repeating: 0, count: c.N * c.C), .float32).y
    var scratch = [Float](repeating: .nan, count: expertScratch(C: c.C, F: c.F, .float32))
    for n in [0, c.N / 2, c.N - 1] {
      let x = Array(c.x[n * c.C..<(n + 1) * c.C])
      let gates = Array(c.gates[n * c.k..<(n + 1) * c.k])
      var y = [Float](repeating: 0, count: c.C)
      for s in 0..<c.k {
        let w = c.factors(of: Int(c.choices[n * c.k + s]), .float32)
        var hidden = [Float](repeating: .nan, count: 2 * c.F)
        var ySpan = y.mutableSpan
        var rowSpan = hidden.mutableSpan
        var room = scratch.mutableSpan
        expert(
          addingTo: &ySpan, gateUp: &rowSpan, x.span, gates: gates.span, slots: [Int32(s)].span,
          k: c.k, gate: w.gate.span, up: w.up.span, down: w.down.span, C: c.C, F: c.F,
          precision: .float32, scratch: &room)
      }
      #expect(y == Array(together[n * c.C..<(n + 1) * c.C]))
    }
  }
}
