import Exchange
import Foundation
import Testing

/// How tokens are drawn, against the definition on a grid of uniform numbers.
@Suite struct SamplingTests {
  private static let p = [0.1, 0.4, 0.05, 0.05, 0.3, 0.1]
  private static let grid = 20_000

  /// The share of the grid that each token gets.
  private func shares(_ sampling: Sampling) -> [Double] {
    let logP = Self.p.map { Float(log($0)) }
    var counts = [Int](repeating: 0, count: logP.count)
    logP.withUnsafeBufferPointer { logP in
      for i in 0..<Self.grid {
        counts[sampling.draw(logP, (Double(i) + 0.5) / Double(Self.grid))] += 1
      }
    }
    return counts.map { Double($0) / Double(Self.grid) }
  }

  @Test(arguments: [
    (1.0, 0, 1.0, [0, 1, 2, 3, 4, 5]), (0.5, 0, 1, [0, 1, 2, 3, 4, 5]),
    (2, 0, 1, [0, 1, 2, 3, 4, 5]),
    // Of equals the first: 0 before 5, 2 before 3.
    (1, 3, 1, [0, 1, 4]), (1, 5, 1, [0, 1, 2, 4, 5]), (0.7, 1, 1, [1]),
    // 0.4, 0.7, 0.8, 0.9, 0.95, 1.
    (1, 0, 0.39, [1]), (1, 0, 0.41, [1, 4]), (1, 0, 0.69, [1, 4]), (1, 0, 0.75, [0, 1, 4]),
    (1.5, 0, 0.89, [0, 1, 4, 5]), (1, 0, 0.94, [0, 1, 2, 4, 5]),
    // The share is of what topK leaves: of 0.7 its 0.57 is the first token.
    (1, 2, 0.5, [1]), (1, 2, 0.6, [1, 4]), (1, 100, 1, [0, 1, 2, 3, 4, 5]),
  ])
  func sharesAreTheDefinitions(temperature: Double, topK: Int, topP: Double, kept: [Int]) {
    let found = shares(Sampling(temperature: temperature, topK: topK, topP: topP))
    let weights = Self.p.indices.map {
      kept.contains($0) ? pow(Self.p[$0], 1 / temperature) : 0
    }
    let total = weights.reduce(0, +)
    for (share, weight) in zip(found, weights) {
      #expect(abs(share - weight / total) < 2 / Double(Self.grid))
    }
  }

  @Test func zeroTakesTheFirstOfTheMostProbable() {
    #expect(shares(Sampling(temperature: 0)) == [0, 1, 0, 0, 0, 0])
    let equal: [Float] = [-2, -1, -1, -3]
    equal.withUnsafeBufferPointer {
      #expect(Sampling(temperature: 0).draw($0, 0.99) == 1)
      // However cold, nothing overflows.
      #expect(Sampling(temperature: 1e-9).draw($0, 0.99) == 2)
      #expect(Sampling(temperature: 1e-9).draw($0, 0) == 1)
    }
    // A label that cannot come is never drawn, at the end of the range neither.
    let impossible: [Float] = [-.infinity, 0, -.infinity]
    impossible.withUnsafeBufferPointer {
      #expect(Sampling(temperature: 1).draw($0, 0) == 1)
      #expect(Sampling(temperature: 1).draw($0, 1 - 0x1p-53) == 1)
    }
  }
}
