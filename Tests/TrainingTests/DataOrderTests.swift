import Testing
import Training

@Suite struct DataOrderTests {
  private func order(documents: Int, batch: Int, seed: UInt64 = 7) -> DataOrder {
    DataOrder(documents: documents, batchSequences: batch, seed: seed)
  }

  private func run(_ order: DataOrder, steps: ClosedRange<Int>) -> [Int] {
    var batch: [Int] = []
    return steps.flatMap { step in
      order.fill(&batch, step: step)
      #expect(batch.count == order.batchSequences)
      return batch
    }
  }

  /// 10 steps of 7 over 35 documents are two epochs exactly; 3 epochs of 10 by batches of 4 wrap inside
  /// a batch.
  @Test(arguments: [(35, 7, 10), (10, 4, 15), (1, 1, 3), (5, 5, 4), (17, 16, 17)])
  func everyEpochVisitsEveryDocumentOnce(documents: Int, batch: Int, steps: Int) {
    let visited = run(order(documents: documents, batch: batch), steps: 1...steps)
    for epoch in 0..<(visited.count / documents) {
      let slice = visited[epoch * documents..<(epoch + 1) * documents]
      #expect(slice.sorted() == Array(0..<documents))
    }
  }

  @Test func epochsAreOrderedDifferently() {
    let visited = run(order(documents: 50, batch: 50), steps: 1...2)
    #expect(Array(visited[0..<50]) != Array(visited[50..<100]))
  }

  @Test func anyStepIsKnownWithoutTheOnesBefore() {
    let order = order(documents: 23, batch: 9)
    let whole = run(order, steps: 1...12)
    for step in [12, 5, 1, 7] {
      #expect(run(order, steps: step...step) == Array(whole[(step - 1) * 9..<step * 9]))
    }
  }

  @Test func theSeedDecidesAndNothingElse() {
    let first = run(order(documents: 40, batch: 8), steps: 1...5)
    #expect(first == run(order(documents: 40, batch: 8), steps: 1...5))
    #expect(first != run(order(documents: 40, batch: 8, seed: 8), steps: 1...5))
    #expect(first == run(order(documents: 40, batch: 20), steps: 1...2))
  }
}

@Suite struct LaneAssignmentTests {
  @Test func longestFirstToTheEmptiestLane() {
    var assignment = LaneAssignment(lanes: 2, batchSequences: 5)
    assignment.assign(lengths: [3, 9, 4, 4, 5])
    #expect(assignment.sentences == [[1, 3], [4, 2, 0]])
    #expect(assignment.rows == [13, 12])
  }

  @Test func oneLaneTakesAll() {
    var assignment = LaneAssignment(lanes: 1, batchSequences: 3)
    assignment.assign(lengths: [1, 3, 2])
    #expect(assignment.sentences == [[1, 2, 0]])
    #expect(assignment.rows == [6])
  }

  @Test func asManyLanesAsSentences() {
    var assignment = LaneAssignment(lanes: 4, batchSequences: 4)
    assignment.assign(lengths: [2, 2, 2, 2])
    #expect(assignment.sentences == [[0], [1], [2], [3]])
  }

  @Test func everySentenceOnceAndNoLaneAboveTheBound() {
    var state: UInt64 = 1
    func draw(_ n: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % n
    }
    for _ in 0..<200 {
      let lanes = 1 << draw(4)
      let count = lanes + draw(40)
      let lengths = (0..<count).map { _ in 1 + draw(30) }
      var assignment = LaneAssignment(lanes: lanes, batchSequences: count)
      assignment.assign(lengths: [Int](repeating: 1, count: count))
      assignment.assign(lengths: lengths)
      #expect(assignment.sentences.flatMap { $0 }.sorted() == Array(0..<count))
      for lane in 0..<lanes {
        #expect(!assignment.sentences[lane].isEmpty)
        #expect(
          assignment.rows[lane] == assignment.sentences[lane].reduce(0) { $0 + lengths[$1] })
      }
      let bound = LaneAssignment.capacity(lengths: lengths, batchSequences: count, lanes: lanes)
      #expect(assignment.rows.allSatisfy { $0 <= bound })
    }
  }

  @Test func capacityCountsADocumentAtMostTwice() {
    // Heaviest batch of 3: the document of 10 rows twice, one of 4; 24 rows.
    #expect(LaneAssignment.capacity(lengths: [4, 10, 1], batchSequences: 3, lanes: 1) == 24)
    #expect(LaneAssignment.capacity(lengths: [4, 10, 1], batchSequences: 3, lanes: 2) == 17)
    #expect(LaneAssignment.capacity(lengths: [], batchSequences: 3, lanes: 2) == 0)
  }
}
