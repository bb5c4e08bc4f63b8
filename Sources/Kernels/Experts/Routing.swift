#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The routing of a mixture of experts: which k of E experts a row goes to, and with which weights.
/// Everything in single precision, whatever the precision of the products.

/// Of each row of logits (N, E):
///
///     p = softmax(logits) over all E
///     choices = the k experts of the largest p, ties to the lowest index, in ascending order
///     gates = p of the choices, divided by their sum where `normalizes`
///
/// The experts of a row are numbered by slots 0 ..< k in ascending order, so that the order of slots is
/// that in which experts are worked through. Bits of a row depend on its logits alone; sums run in
/// sixteen lanes, in the order of experts.
///
/// Source: OLMoE (Muennighoff et al. 2024, §2 and appendix B): softmax before the choice, no
/// normalization of what is chosen.
///
/// - Parameters:
///   - probabilities: (N, E).
///   - choices: (N, k), numbers of experts.
///   - gates: (N, k).
/// - Complexity: O(N·E) exponentials, and N·E·k comparisons at most.
package func route(
  probabilities: inout MutableSpan<Float>, choices: inout MutableSpan<Float>,
  gates: inout MutableSpan<Float>, _ logits: Span<Float>, N: Int, E: Int, k: Int, normalizes: Bool
) {
  precondition(
    logits.count == N * E && probabilities.count == N * E && choices.count == N * k
      && gates.count == N * k && k >= 1 && k <= E,
    "route: logits \(logits.count), choices \(choices.count) for N \(N), E \(E), k \(k)")
  let (source, p, chosen, weights) = (
    logits.base, probabilities.base, choices.base, gates.base
  )
  for n in 0..<N {
    let row = p + n &* E
    _ = softmax(into: row, source + n &* E, E: E)
    let (experts, gates) = (chosen + n &* k, weights + n &* k)
    choose(k, of: row, E: E, experts: experts, values: gates)
    if !normalizes { continue }
    var total: Float = 0
    for s in 0..<k { total += gates[s] }
    for s in 0..<k { gates[s] /= total }
  }
}

/// dLogits = or += the gradient of `route` in its logits, given those in probabilities and gates.
/// `choices` have none. `dProbabilities` is used up.
///
///     dp += dgates at the choices; where normalized, (dgates − Σ dgates·gates) / Σ p of the choices
///     dLogits = p ∘ (dp − Σ p·dp)
package func routeBackward(
  into dLogits: inout MutableSpan<Float>, dProbabilities: inout MutableSpan<Float>,
  dGates: Span<Float>, probabilities: Span<Float>, choices: Span<Float>, gates: Span<Float>,
  N: Int, E: Int, k: Int, normalizes: Bool, adding: Bool
) {
  precondition(
    dLogits.count == N * E && dProbabilities.count == N * E && probabilities.count == N * E
      && dGates.count == N * k && choices.count == N * k && gates.count == N * k,
    "routeBackward: dLogits \(dLogits.count), dGates \(dGates.count) for N \(N), E \(E), k \(k)")
  let (target, upstream, p) = (dLogits.base, dProbabilities.base, probabilities.base)
  let (experts, weights, slopes) = (choices.base, gates.base, dGates.base)
  for n in 0..<N {
    let (row, dRow, to) = (p + n &* E, upstream + n &* E, target + n &* E)
    let (chosen, gate, dGate) = (experts + n &* k, weights + n &* k, slopes + n &* k)
    var (mean, total): (Float, Float) = (0, 1)
    if normalizes {
      total = 0
      for s in 0..<k {
        mean += dGate[s] * gate[s]
        total += row[Int(chosen[s])]
      }
    }
    for s in 0..<k { dRow[Int(chosen[s])] += (dGate[s] - mean) / total }
    var products = Vector.zero
    forEachVector(E) { products.add(product: row.load($0, $1), dRow.load($0, $1)) }
    let shift = Vector(repeating: sum(products))
    forEachVector(E) { index, lanes in
      let d = row.load(index, lanes) * (dRow.load(index, lanes) - shift)
      to.store(adding ? to.load(index, lanes) + d : d, index, lanes)
    }
  }
}

/// p = softmax(x) over E values; returns log Σ e^x.
@inline(__always)
private func softmax(
  into p: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, E: Int
) -> Float {
  var largest = x[0]
  for e in 1..<max(E, 1) where x[e] > largest { largest = x[e] }
  let top = Vector(repeating: largest)
  var total = Vector.zero
  forEachVector(E) { index, lanes in
    let power = exponential(x.load(index, lanes) - top)
    total += lanes == 16 ? power : firstLanes(lanes, of: power, else: 0)
    p.store(power, index, lanes)
  }
  let scale = sum(total)
  let share = Vector(repeating: 1 / scale)
  forEachVector(E) { index, lanes in p.store(p.load(index, lanes) * share, index, lanes) }
  return largest + logf(scale)
}

/// The k largest of E values, of equal ones the first, in ascending order of their places.
@inline(__always)
private func choose(
  _ k: Int, of p: UnsafePointer<Float>, E: Int, experts: UnsafeMutablePointer<Float>,
  values: UnsafeMutablePointer<Float>
) {
  // The best so far, largest first, equal ones in order.
  var count = 0
  for e in 0..<E {
    if count == k && !(p[e] > values[k &- 1]) { continue }
    var place = count < k ? count : k &- 1
    if count < k { count &+= 1 }
    while place > 0 && p[e] > values[place &- 1] {
      values[place] = values[place &- 1]
      experts[place] = experts[place &- 1]
      place &-= 1
    }
    values[place] = p[e]
    experts[place] = Float(e)
  }
  for s in 1..<max(k, 1) {
    let (expert, value) = (experts[s], values[s])
    var place = s
    while place > 0 && experts[place &- 1] > expert {
      experts[place] = experts[place &- 1]
      values[place] = values[place &- 1]
      place &-= 1
    }
    experts[place] = expert
    values[place] = value
  }
}

// MARK: - Losses

/// losses[n] += share · (log Σ_e e^logits[n, e])².
///
/// Source: ST-MoE (Zoph et al. 2022, equation 5).
package func addRouterZLoss(
  to losses: inout MutableSpan<Float>, _ logits: Span<Float>, N: Int, E: Int, share: Float,
  scratch: inout MutableSpan<Float>
) {
  precondition(
    losses.count == N && logits.count == N * E && scratch.count >= E,
    "addRouterZLoss: losses \(losses.count), logits \(logits.count) for N \(N), E \(E)")
  let (target, source, p) = (losses.base, logits.base, scratch.base)
  for n in 0..<N {
    let size = softmax(into: p, source + n &* E, E: E)
    target[n] += share * size * size
  }
}

/// dLogits = or += scale · d(log Σ e^logits)²: 2 · scale · log Σ e^logits · softmax(logits).
package func routerZLossBackward(
  into dLogits: inout MutableSpan<Float>, _ logits: Span<Float>, N: Int, E: Int, scale: Float,
  adding: Bool, scratch: inout MutableSpan<Float>
) {
  precondition(
    dLogits.count == N * E && logits.count == N * E && scratch.count >= E,
    "routerZLossBackward: dLogits \(dLogits.count), logits \(logits.count) for N \(N), E \(E)")
  let (target, source, p) = (dLogits.base, logits.base, scratch.base)
  for n in 0..<N {
    let factor = Vector(repeating: 2 * scale * softmax(into: p, source + n &* E, E: E))
    let to = target + n &* E
    forEachVector(E) { index, lanes in
      let d = factor * p.load(index, lanes)
      to.store(adding ? to.load(index, lanes) + d : d, index, lanes)
    }
  }
}

/// factors[e] = E·c_e / (k·N) for the number c_e of the N·k choices that are e: 1 when balanced.
package func routerLoads(
  into factors: inout MutableSpan<Float>, _ choices: Span<Float>, N: Int, E: Int, k: Int
) {
  precondition(
    factors.count == E && choices.count == N * k,
    "routerLoads: factors \(factors.count), choices \(choices.count) for N \(N), E \(E), k \(k)")
  let (target, chosen) = (factors.base, choices.base)
  target.update(repeating: 0, count: E)
  for i in 0..<N * k { target[Int(chosen[i])] += 1 }
  let share = Float(E) / Float(max(N * k, 1))
  for e in 0..<E { target[e] *= share }
}

/// losses[n] += share · Σ_e factors[e] · probabilities[n, e].
package func addBalanceLoss(
  to losses: inout MutableSpan<Float>, _ probabilities: Span<Float>, factors: Span<Float>, N: Int,
  E: Int, share: Float
) {
  precondition(
    losses.count == N && probabilities.count == N * E && factors.count == E,
    "addBalanceLoss: losses \(losses.count), p \(probabilities.count) for N \(N), E \(E)")
  let (target, p, loads) = (losses.base, probabilities.base, factors.base)
  for n in 0..<N {
    let row = p + n &* E
    var products = Vector.zero
    forEachVector(E) { products.add(product: row.load($0, $1), loads.load($0, $1)) }
    target[n] += share * sum(products)
  }
}

/// dProbabilities = or += scale · factors on each of N rows.
package func balanceLossBackward(
  into dProbabilities: inout MutableSpan<Float>, factors: Span<Float>, N: Int, E: Int,
  scale: Float, adding: Bool
) {
  precondition(
    dProbabilities.count == N * E && factors.count == E,
    "balanceLossBackward: dP \(dProbabilities.count), factors \(factors.count) for N \(N), E \(E)")
  let (target, loads) = (dProbabilities.base, factors.base)
  for n in 0..<N {
    let to = target + n &* E
    forEachVector(E) { index, lanes in
      let d = Vector(repeating: scale) * loads.load(index, lanes)
      to.store(adding ? to.load(index, lanes) + d : d, index, lanes)
    }
  }
}
