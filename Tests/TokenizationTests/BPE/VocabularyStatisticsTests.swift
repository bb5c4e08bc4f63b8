import Support
import Testing
import Tokenization

@Suite struct VocabularyStatisticsTests {
  @Test(arguments: [1, 2, 4])
  func equalsSetsOfArrays(_ orders: Int) {
    var random = RandomStream(seed: 21, name: "statistics")
    let documents = (0..<40).map { length in
      (0..<length).map { _ in random.below(length % 2 == 0 ? 5 : 1000) }
    }
    var statistics = VocabularyStatistics(orders: orders, firstPoint: 16)
    var sets = [Set<[UInt32]>](repeating: [], count: orders)
    for document in documents {
      document.withUnsafeBufferPointer { statistics.add($0, bytes: 3 * document.count) }
      for order in 1...orders {
        for start in 0..<max(0, document.count - order + 1) {
          sets[order - 1].insert(Array(document[start..<start + order]))
        }
      }
    }
    let points = statistics.finish()
    let total = documents.reduce(0) { $0 + $1.count }
    for order in 1...orders {
      let last = points.last { $0.measure == "distinct" && $0.order == order }
      #expect(last?.tokens == total)
      #expect(last?.value == Double(sets[order - 1].count))
    }
    #expect(points.allSatisfy { $0.measure != "bytesPerToken" || abs($0.value - 3) < 0.2 })
    #expect(Set(points.map(\.tokens)) == [16, 32, 64, 128, 256, 512, total])
    #expect(points.last { $0.measure == "vocabularyUsed" }?.value == Double(sets[0].count))
  }

  @Test func nothingOfNothing() {
    var statistics = VocabularyStatistics(orders: 2)
    statistics.add(UnsafeBufferPointer(start: nil, count: 0), bytes: 0)
    #expect(statistics.finish().isEmpty)
  }
}
