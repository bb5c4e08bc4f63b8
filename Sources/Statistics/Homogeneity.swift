import Glibc

/// p of Bartlett's test that k groups with ν degrees of freedom each have one variance.
///
/// `T = ν (k ln s̄² − Σ ln sᵢ²) / (1 + (k+1)/(3kν))`, χ² with k − 1 degrees, s̄² being the mean of the
/// variances. No variance at all, and one group alone, are homogeneous: 1; some without any are not: 0.
/// Source: M. S. Bartlett, Proc. R. Soc. A 160 (1937).
package func bartlettTest(variances: [Double], degreesOfFreedom nu: Double) -> Double {
  precondition(nu > 0, "every group has degrees of freedom")
  let k = Double(variances.count)
  let mean = variances.reduce(0, +) / k
  if variances.count < 2 || mean == 0 { return 1 }
  if variances.contains(0) { return 0 }
  let sum = variances.reduce(0) { $0 + log($1) }
  let statistic = nu * (k * log(mean) - sum) / (1 + (k + 1) / (3 * k * nu))
  return chiSquaredTail(max(0, statistic), degreesOfFreedom: k - 1)
}

/// Holm's adjusted p of a family of tests: with the p in ascending order,
/// `p̃₍ᵢ₎ = max over j ≤ i of min(1, (m − j + 1) p₍ⱼ₎)`. Rejecting where p̃ < α keeps the chance of any
/// false rejection below α, whatever depends on whatever. Source: S. Holm, Scand. J. Stat. 6 (1979).
package func holmAdjusted(_ p: [Double]) -> [Double] {
  var adjusted = p
  var largest = 0.0
  let order = p.indices.sorted { (p[$0], $0) < (p[$1], $1) }
  for (rank, i) in order.enumerated() {
    largest = max(largest, min(1, Double(p.count - rank) * p[i]))
    adjusted[i] = largest
  }
  return adjusted
}
