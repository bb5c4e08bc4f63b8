import Support
import Testing

@Suite struct RandomStreamTests {
  /// The known answers of Random123 (kat_vectors, philox4x32 with 10 rounds).
  @Test(arguments: [
    (
      SIMD4<UInt32>(repeating: 0), SIMD2<UInt32>(repeating: 0),
      SIMD4<UInt32>(0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8)
    ),
    (
      SIMD4<UInt32>(repeating: .max), SIMD2<UInt32>(repeating: .max),
      SIMD4<UInt32>(0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd)
    ),
    (
      SIMD4<UInt32>(0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344),
      SIMD2<UInt32>(0xa409_3822, 0x299f_31d0),
      SIMD4<UInt32>(0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1)
    ),
  ])
  func philox(counter: SIMD4<UInt32>, key: SIMD2<UInt32>, expected: SIMD4<UInt32>) {
    #expect(RandomStream.philox(counter: counter, key: key) == expected)
  }

  /// key = first 8 bytes of SHA-256("overtoken stream\0" ‖ 7 as 64 bits ‖ "train"), index 2³² + 5.
  @Test func keyAndCounterAreAsDocumented() {
    let text = Array("overtoken stream\0".utf8) + [7, 0, 0, 0, 0, 0, 0, 0] + Array("train".utf8)
    var hash = SHA256()
    hash.update(text)
    let digest = hash.finalize()
    let word = { (i: Int) in (0..<4).reduce(UInt32(0)) { $0 | UInt32(digest[i + $1]) << (8 * $1) } }
    var stream = RandomStream(seed: 7, name: "train").at(index: 1 << 32 | 5)
    for block in 0..<3 as Range<UInt32> {
      let expected = RandomStream.philox(
        counter: SIMD4(block, 0, 5, 1), key: SIMD2(word(0), word(4)))
      for i in 0..<4 { #expect(stream.next32() == expected[i]) }
    }
  }

  @Test func streamsDifferByNameSeedAndIndex() {
    var streams = [
      RandomStream(seed: 1, name: "a"), RandomStream(seed: 1, name: "b"),
      RandomStream(seed: 2, name: "a"), RandomStream(seed: 1, name: "a", index: 1),
    ]
    let first = streams.indices.map { streams[$0].next64() }
    #expect(Set(first).count == 4)
    var again = RandomStream(seed: 1, name: "a").at(index: 1)
    #expect(again.next64() == first[3])
  }

  @Test(arguments: [1, 2, 3, 7, 1000, 1 << 31, UInt32.max])
  func belowStaysBelow(n: UInt32) {
    var stream = RandomStream(seed: 3, name: "below")
    for _ in 0..<1000 { #expect(stream.below(n) < n) }
  }

  /// χ² of 60,000 draws below 6: 99.9999 % of fair dice stay under 35.9 (5 degrees of freedom).
  @Test func belowIsFair() {
    var stream = RandomStream(seed: 4, name: "dice")
    var counts = [Int](repeating: 0, count: 6)
    for _ in 0..<60_000 { counts[Int(stream.below(6))] += 1 }
    let chiSquared = counts.reduce(0.0) { $0 + Double(($1 - 10_000) * ($1 - 10_000)) / 10_000 }
    #expect(chiSquared < 35.9)
  }

  /// Mean of n uniforms: standard error 1/√(12 n); of n normals 1/√n; variance of normals ±√(2/n).
  @Test func momentsAreRight() {
    var stream = RandomStream(seed: 5, name: "moments")
    let n = 100_000
    var sum = 0.0
    var normalSum = 0.0
    var normalSquares = 0.0
    for _ in 0..<n {
      let u = stream.uniform()
      #expect(u >= 0 && u < 1)
      sum += u
      let z = stream.normal()
      normalSum += z
      normalSquares += z * z
    }
    #expect(abs(sum / Double(n) - 0.5) < 5 / (12 * Double(n)).squareRoot())
    #expect(abs(normalSum / Double(n)) < 5 / Double(n).squareRoot())
    #expect(abs(normalSquares / Double(n) - 1) < 5 * (2 / Double(n)).squareRoot())
  }

  /// Published quantiles to 15 digits (Wichura 1988, check values; R's qnorm).
  @Test(arguments: [
    (0.5, 0.0), (0.25, -0.6744897501960817), (0.001, -3.090232306167814),
    (1e-20, -9.262340089798408), (0.975, 1.959963984540054), (0.9, 1.2815515655446004),
  ])
  func normalQuantile(p: Double, expected: Double) {
    #expect(abs(Normal.quantile(p) - expected) <= 4e-15 * max(1, abs(expected)))
  }

  @Test(arguments: [
    (1.0, 0.0), (2.0, 0.6931471805599453), (10.0, 2.302585092994046),
    (0.1, -2.302585092994046), (1e300, 690.7755278982137), (1.4142135623730954, 0.3465735902799729),
  ])
  func logarithm(x: Double, expected: Double) {
    #expect(abs(Normal.logarithm(x) - expected) <= 2 * expected.ulp)
  }
}

@Suite struct PermutationTests {
  @Test(arguments: [0, 1, 2, 3, 4, 5, 15, 16, 17, 1000, 65_537])
  func isABijection(count: Int) {
    let permutation = Permutation(count: count, seed: 1, name: "order")
    #expect(Set((0..<count).map { permutation[$0] }) == Set(0..<count))
  }

  @Test func dependsOnSeedAndName() {
    let order = { (seed: UInt64, name: String) in
      let permutation = Permutation(count: 100, seed: seed, name: name)
      return (0..<100).map { permutation[$0] }
    }
    #expect(order(1, "a") == order(1, "a"))
    #expect(order(1, "a") != order(2, "a"))
    #expect(order(1, "a") != order(1, "b"))
    #expect(order(1, "a") != Array(0..<100))
  }

  /// Every one of the 24 orders of 4 turns up about equally often over 24,000 seeds.
  @Test func coversAllOrdersOfFour() {
    var counts: [[Int]: Int] = [:]
    for seed in 0..<24_000 as Range<UInt64> {
      let permutation = Permutation(count: 4, seed: seed, name: "four")
      counts[(0..<4).map { permutation[$0] }, default: 0] += 1
    }
    #expect(counts.count == 24)
    #expect(counts.values.allSatisfy { abs($0 - 1000) < 200 })
  }
}
