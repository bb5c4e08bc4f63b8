import Engine
import Foundation
import Models
import Support
import Testing

/// Decoding token by token, sequences leaving as they end, against packed scoring.
func expectDecodingAgrees(_ configuration: ModelConfiguration) {
  let store = configuration.makeParameters(moments: false)
  store.initialize(seed: 2)
  let lengths = [19, 1, 40, 16, 17]
  let lane = makeLanes(configuration, lengths: lengths, lanes: 1, labelColumns: 1)[0]
  let V = configuration.labels
  let expected = ScoringEngine(configuration, parameters: store, laneCapacity: 100, threads: 1)
    .logProbabilities([lane])[0]
  let engine = DecodingEngine(configuration, parameters: store, capacity: 8)
  for _ in 0..<2 {
    engine.reset(sequences: lengths.count)
    var live = Array(lengths.indices)
    var position = 0
    while !live.isEmpty {
      let inputs = live.flatMap { segment in
        let row = lane.segmentOffsets[segment] + position
        return lane.inputs[row * lane.tables..<(row + 1) * lane.tables]
      }
      engine.step(inputs: inputs, tables: lane.tables) { rows in
        #expect(rows.count == live.count * V)
        for (i, segment) in live.enumerated() {
          let row = lane.segmentOffsets[segment] + position
          for v in 0..<V { #expect(abs(rows[i * V + v] - expected[row * V + v]) < 2e-5) }
        }
      }
      position += 1
      let going = live.map { lengths[$0] > position }
      engine.retain { going[$0] }
      live = live.filter { lengths[$0] > position }
      #expect(engine.live == live.count)
    }
  }
}

@Suite struct DecodingTests {
  @Test(arguments: [(16, 2), (20, 5), (64, 4), (32, 8)], Architecture.allCases)
  func agreesWithPackedScoring(
    sizes: (width: Int, heads: Int), architecture: Architecture
  ) throws {
    expectDecodingAgrees(
      try smallConfiguration(architecture, width: sizes.width, heads: sizes.heads))
  }

  /// Who else is in the batch, when a sequence joins, and where it lies in the caches change no bit,
  /// at widths of the register tile, of partial vectors and of the library.
  @Test(
    arguments: Architecture.allCases, [(8, 2), (20, 5), (32, 2), (260, 5), (272, 4)])
  func companyChangesNoBit(architecture: Architecture, size: (width: Int, heads: Int)) throws {
    let configuration = try smallConfiguration(
      architecture, width: size.width, heads: size.heads, layers: 1)
    let store = configuration.makeParameters(moments: false)
    store.initialize(seed: 2)
    let lengths = [5, 40, 1, 17, 33, 3, 16]
    /// Log-probabilities of every sequence, `capacity` side by side, begun in the given order.
    func rows(_ order: [Int], capacity: Int) -> [[Float]] {
      let engine = DecodingEngine(configuration, parameters: store, capacity: capacity)
      var result = [[Float]](repeating: [], count: lengths.count)
      var (live, waiting) = ([Int](), order)
      engine.reset(sequences: 0)
      while !live.isEmpty || !waiting.isEmpty {
        let count = min(capacity - live.count, waiting.count)
        engine.begin(sequences: count)
        live += waiting.prefix(count)
        waiting.removeFirst(count)
        let inputs = live.enumerated().flatMap { row, sequence in
          let position = engine.nextPositions[row]
          return [Int32((sequence + Int(position)) % 5), position]
        }
        engine.step(inputs: inputs, tables: 2) { values in
          for (row, sequence) in live.enumerated() {
            result[sequence] +=
              values[row * configuration.labels..<(row + 1) * configuration.labels]
          }
        }
        let going = live.indices.map { Int(engine.nextPositions[$0]) < lengths[live[$0]] }
        engine.retain { going[$0] }
        live = live.indices.filter { going[$0] }.map { live[$0] }
      }
      return result
    }
    let alone = rows(Array(lengths.indices), capacity: 1)
    #expect(alone.map(\.count) == lengths.map { $0 * configuration.labels })
    for (order, capacity) in [
      ([0, 1, 2, 3, 4, 5, 6], 7), ([6, 5, 4, 3, 2, 1, 0], 2), ([3, 0, 6, 1, 5, 2, 4], 3),
      ([2, 4, 1, 0, 6, 3, 5], 5),
    ] {
      #expect(rows(order, capacity: capacity) == alone)
    }
  }
}

@Suite struct BeginningsTests {
  /// Sequences of few inputs, so that many begin alike: row t of sequence n reads `input(n, t)`.
  private static let lengths = (0..<40).map { [1, 12, 7, 18, 17, 3][$0 % 6] }

  private static func input(_ sequence: Int, _ position: Int) -> Int32 {
    position == 0 ? 0 : Int32(2 + (sequence >> min(position - 1, 5)) % 2)
  }

  /// Log-probabilities of every sequence, `capacity` side by side, and the rows computed for them.
  private func generate(
    _ configuration: ModelConfiguration, _ store: ParameterStore, _ sequences: [Int],
    capacity: Int, beginnings: Int
  ) -> (rows: [Int: [Float]], computed: Int) {
    let engine = DecodingEngine(
      configuration, parameters: store, capacity: capacity, beginnings: beginnings)
    let (G, V) = (configuration.inputColumns, configuration.labels)
    var result: [Int: [Float]] = [:]
    var (live, waiting) = ([Int](), sequences)
    engine.reset(sequences: 0)
    while !live.isEmpty || !waiting.isEmpty {
      let count = min(capacity - live.count, waiting.count)
      engine.begin(sequences: count)
      live += waiting.prefix(count)
      waiting.removeFirst(count)
      let inputs = live.enumerated().flatMap { row, sequence in
        [Int32](
          repeating: Self.input(sequence, Int(engine.nextPositions[row])), count: G)
      }
      engine.step(inputs: inputs, tables: G) { values in
        for (row, sequence) in live.enumerated() {
          result[sequence, default: []] += values[row * V..<(row + 1) * V]
        }
      }
      let going = live.indices.map { Int(engine.nextPositions[$0]) < Self.lengths[live[$0]] }
      engine.retain { going[$0] }
      live = live.indices.filter { going[$0] }.map { live[$0] }
    }
    return (result, engine.computedRows)
  }

  /// A row that is remembered has the bits that it has computed, with room for any number of them.
  @Test(
    arguments: Architecture.allCases, [(1, 200), (7, 200), (40, 200), (40, 1), (9, 5), (16, 20)])
  func rememberedRowsHaveTheirBits(
    architecture: Architecture, room: (capacity: Int, beginnings: Int)
  ) throws {
    for configuration in try [
      smallConfiguration(architecture, width: 20, heads: 5), overEncoded(architecture, rows: 300),
    ] {
      let store = configuration.makeParameters(moments: false)
      store.initialize(seed: 2)
      let all = Array(Self.lengths.indices)
      let alone = generate(configuration, store, all, capacity: 3, beginnings: 0)
      #expect(alone.computed == Self.lengths.reduce(0, +))
      let shared = generate(
        configuration, store, all, capacity: room.capacity, beginnings: room.beginnings)
      #expect(shared.rows == alone.rows)
      #expect(shared.computed < alone.computed)
      #expect(room.beginnings > 1 || shared.computed == alone.computed - 39)
    }
  }

  /// Other weights after a reset are not mixed with what the former ones gave.
  @Test func resetForgets() throws {
    let configuration = try smallConfiguration()
    let store = configuration.makeParameters(moments: false)
    let engine = DecodingEngine(configuration, parameters: store, capacity: 2, beginnings: 8)
    var rows: [[Float]] = []
    for seed in [1, 2, 1] as [UInt64] {
      store.initialize(seed: seed)
      engine.reset(sequences: 2)
      engine.step(inputs: [0, 0, 0, 0], tables: 2) { rows.append(Array($0)) }
    }
    #expect(engine.computedRows == 3)
    #expect(rows[0] == rows[2] && rows[0] != rows[1])
  }
}
