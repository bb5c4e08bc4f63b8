import Engine
import Shards
import Support
import Testing
import Training

@Suite struct TrainingDataTests {
  @Test(arguments: [ElementType.u8, .u16, .u32])
  func packsDocumentsAsTheyAreWritten(element: ElementType) throws {
    try withTemporaryDirectory { directory in
      let input = try MapFixture.write(in: directory, element: element)
      let data = try TrainingData(input, threads: 2)
      #expect(data.sentences == MapFixture.documents)
      #expect(data.longestSentence == 11)
      #expect(data.tables.map(\.rows) == [5, 14])
      // Shard 0 has the even documents, shard 1 the odd ones.
      let order =
        (0..<MapFixture.documents).filter { $0 % 2 == 0 }
        + (0..<MapFixture.documents).filter { $0 % 2 == 1 }
      var lane = PackedLane(tables: 2)
      for (document, d) in order.enumerated() {
        lane.removeAll()
        data.append(document, to: &lane)
        let rows = MapFixture.rows(d)
        #expect(lane.labels == rows.labels.map(Int32.init))
        #expect(lane.inputs == zip(rows.ones, rows.pairs).flatMap { [Int32($0), Int32($1)] })
        #expect(lane.segmentOffsets == [0, rows.labels.count])
        #expect(data.symbols(of: document) == MapFixture.symbols(d).count)
        #expect(data.rows(of: document) == rows.labels.count)
      }
      let rows = data.lengths.reduce(0, +)
      #expect(data.bytes == 3 * rows * element.width + 8 * (MapFixture.documents + 1))
    }
  }

  private func message(
    stage: String = "map", changing key: String = "kind", to value: ConfigValue = "grammar"
  ) throws -> String {
    try withTemporaryDirectory { directory in
      guard case .object(var members) = MapFixture.metadata else { return "" }
      members[key] = value
      let input = try MapFixture.write(in: directory, stage: stage, metadata: .object(members))
      let error = #expect(throws: UserError.self) { _ = try TrainingData(input, threads: 1) }
      return try #require(error).description
    }
  }

  @Test func refusesSetsOfOtherKinds() throws {
    #expect(try message(stage: "tokenize").contains("expected a set of stage 'map'"))
    #expect(try message(changing: "inputs", to: .null).contains("inputs"))
  }

  @Test func refusesMetadataThatDoesNotFitTheColumns() throws {
    #expect(
      try message(changing: "inputs", to: [["order": 1, "rows": 4], ["order": 2, "rows": 14]])
        .contains("column 'input0': expected ids below 4"))
    #expect(try message(changing: "labels", to: 6).contains("labelCharacters"))
    #expect(
      try message(
        changing: "inputs",
        to: [["order": 1, "rows": 5], ["order": 2, "rows": 14], ["order": 3, "rows": 9]]
      ).contains("column 'input2'"))
  }

  @Test func refusesAnotherSetThanTheOneNamed() throws {
    try withTemporaryDirectory { directory in
      let input = try MapFixture.write(in: directory)
      let other = StageConfiguration.Input(id: "0123456789ab", path: input.path)
      #expect(throws: UserError.self) { _ = try TrainingData(other, threads: 1) }
    }
  }
}
