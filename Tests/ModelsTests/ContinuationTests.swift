import Engine
import Models
import Support
import Testing

/// Continuations of beginnings that run once.
@Suite struct ContinuationTests {
  private static let context = 40

  private func model(_ trunk: any Trunk.Type, isOverEncoded: Bool) throws -> ModelConfiguration {
    let plain = TableSum([InputTable(order: 1, rows: 14)])
    let input: any Input = isOverEncoded ? try overEncoded(width: 16).input : plain
    return try ModelConfiguration(
      input: input,
      trunk: makeTrunk(
        trunk, TrunkSize(layers: 2, width: 16, heads: 2, context: Self.context)),
      labels: 14)
  }

  private func rows(_ model: ModelConfiguration, _ count: Int, _ stream: inout RandomStream)
    -> [Int32]
  {
    (0..<count).flatMap { _ in
      model.input.columnRows.map { Int32(stream.below(UInt32($0))) }
    }
  }

  /// Beginnings of 0, 1 and more rows with 0 to 4 continuations each; some fill the context.
  private func requests(_ model: ModelConfiguration, _ count: Int) -> [ContinuationEngine.Request] {
    var stream = RandomStream(seed: 3, name: "requests")
    return (0..<count).map { i in
      let beginning = i < 2 ? i : Int(stream.below(35))
      return ContinuationEngine.Request(
        beginning: rows(model, beginning, &stream),
        continuations: (0..<i % 5).map { c in
          let length = c == 3 ? Self.context - beginning : 1 + Int(stream.below(5))
          return .init(
            inputs: rows(model, length, &stream),
            labels: (0..<length).map { _ in Int32(stream.below(14)) })
        })
    }
  }

  /// Σ log p, one sequence after the other and one row a step.
  private func plain(
    _ model: ModelConfiguration, _ store: ParameterStore, _ request: ContinuationEngine.Request
  ) -> [Double] {
    let G = model.inputColumns
    let engine = DecodingEngine(model, parameters: store, capacity: 1)
    return request.continuations.map { continuation in
      engine.reset(sequences: 1)
      let inputs = request.beginning + continuation.inputs
      let first = request.beginning.count / G
      return (0..<inputs.count / G).reduce(0.0) { sum, row in
        engine.step(inputs: Array(inputs[row * G..<(row + 1) * G]), tables: G) { rows in
          row < first ? sum : sum + Double(rows[Int(continuation.labels[row - first])])
        }
      }
    }
  }

  @Test(arguments: allTrunks.indices, [false, true])
  func sharedBeginningsChangeNoBit(trunk: Int, isOverEncoded: Bool) throws {
    let model = try model(allTrunks[trunk], isOverEncoded: isOverEncoded)
    let store = model.makeParameters(moments: false)
    store.initialize(seed: 9)
    let engine = ContinuationEngine(model, parameters: store)
    let requests = requests(model, 3 * engine.capacity / 2)
    let expected = requests.map { plain(model, store, $0) }
    var found: [[Double]] = []
    for start in stride(from: 0, to: requests.count, by: engine.capacity) {
      found += engine.score(Array(requests[start...].prefix(engine.capacity)))
    }
    #expect(found == expected)
    #expect(requests.map { engine.score([$0])[0] } == expected)
    // Each beginning once: more than 128 rows, so that they run in several parts.
    let G = model.inputColumns
    let rows = requests.reduce(0) { sum, request in
      sum + request.beginning.count / G
        + request.continuations.reduce(0) { $0 + $1.labels.count }
    }
    #expect(engine.computedRows == 2 * rows && rows > 256)
    #expect(engine.score([]) == [])
  }

  /// Other weights, the same engine.
  @Test func weightsMayChange() throws {
    let model = try model(OLMo2.self, isOverEncoded: true)
    let store = model.makeParameters(moments: false)
    let engine = ContinuationEngine(model, parameters: store)
    let requests = requests(model, 5)
    for seed in [1, 2] as [UInt64] {
      store.initialize(seed: seed)
      #expect(engine.score(requests) == requests.map { plain(model, store, $0) })
    }
  }
}
