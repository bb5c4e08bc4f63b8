import Engine
import Kernels
import Parallel
import Support
import Testing

/// The mean of 200 vectors, each a parameter: more than any mask of a word's bits could name.
private struct ManyVectors: CPUOperation {
  let input: Tensor
  let parameters: [Parameter]
  let output: Tensor

  var name: String { "mean of \(parameters.count) vectors" }
  var inputs: [Tensor] { [input] }
  var outputs: [Tensor] { [output] }
  var saved: [Tensor] { [] }
  func flops(position: Double) -> Double { Double(parameters.count) }

  func forward(_ w: borrowing Workspace) {
    let (x, y, C) = (w.value(input), w.value(output), input.columns)
    for i in y.indices {
      y[i] = x[i] + parameters.reduce(0) { $0 + w.weight($1)[i % C] } / Float(parameters.count)
    }
  }

  func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    let (dY, dX, C) = (w.gradient(output), w.gradient(input), input.columns)
    for i in dX.indices { dX[i] = (accumulation.addsInput(0) ? dX[i] : 0) + dY[i] }
    for (k, parameter) in parameters.enumerated() {
      let dP = w.gradient(parameter)
      if !accumulation.addsParameter(k) { dP.update(repeating: 0) }
      for i in dY.indices { dP[i % C] += dY[i] / Float(parameters.count) }
    }
  }
}

/// Tables, a shared table, a residual, and 200 parameters of which every other one is used twice.
private func graph() -> GraphBuilder {
  var g = GraphBuilder(mode: .training)
  let table = g.parameter("table", [7, 16], .normal(0.5))
  var x = g.overEncoding(
    tables: [(rows: 50, width: 8), (rows: 31, width: 4)], tokens: table, positions: nil,
    columns: 16, scale: 0.5, deviation: 0.3, projectionDeviation: 0.3, named: "m")
  let vectors = (0..<200).map { g.parameter("v\($0)", [16], .normal(0.2)) }
  for used in [vectors, vectors.enumerated().filter { $0.offset % 2 == 0 }.map(\.element)] {
    let y = g.tensor(columns: 16)
    g.append(ManyVectors(input: x, parameters: used, output: y))
    x = g.linear(
      g.layerNorm(y, named: "n\(used.count)"), to: 16, named: "f\(used.count)",
      deviation: 0.4, residual: y)
  }
  g.addLoss("next", g.labelHead(x, weight: table, labels: 7))
  return g
}

/// The same tables under a dense table of several chunks of floats.
private func largeGraph() -> GraphBuilder {
  var g = GraphBuilder(mode: .training)
  let table = g.parameter("table", [1700, 64], .normal(0.5))
  let x = g.overEncoding(
    tables: [(rows: 50, width: 8), (rows: 31, width: 4)], tokens: table, positions: nil,
    columns: 64, scale: 0.5, deviation: 0.3, projectionDeviation: 0.3, named: "m")
  let y = g.linear(g.layerNorm(x, named: "n"), to: 64, named: "f", deviation: 0.4, residual: x)
  g.addLoss("next", g.labelHead(y, weight: table, labels: 1700))
  return g
}

private func batch(lanes: Int, step: Int) -> [PackedLane] {
  var result = (0..<lanes).map { _ in PackedLane(tables: 3) }
  for i in 0..<13 {
    let lane = (i * i + step) % lanes
    for t in 0..<(1 + (5 * i + step) % 9) {
      result[lane].appendRow(label: Int32((t * t + i + step) % 7)) { column in
        column == 0
          ? Int32((3 * t + i) % 7) : Int32((t * 5 + i * step + column) % (column == 1 ? 50 : 31))
      }
    }
    result[lane].endSegment()
  }
  return result
}

/// All arrays after some steps, of every rank.
private func train(
  lanes: Int, threads: Int, ranks: Int, sharesPairs: Bool
) throws -> [[[Float]]] {
  try ThreadCommunicator.run(size: ranks) { ranks in
    let engine = try makeEngine(
      graph(), limits: Limits(rows: 128, segment: 12), lanes: lanes, threads: threads,
      ranks: ranks, sharesPairs: sharesPairs)
    var told: [Float] = []
    for step in 0..<5 {
      let statistics = try engine.step(
        batch(lanes: lanes, step: step), learningRate: 0.02, optimizer: .init(),
        tableOptimizer: TableOptimizer(learningRateMultiplier: 2, weightDecay: 0.01))
      told += [Float(statistics.lossSum), Float(statistics.gradientNorm)]
    }
    return state(engine.parameters) + [told]
  }
}

@Suite struct RankTests {
  @Test func gradientsOfTwoHundredParameters() throws {
    let engine = try makeEngine(graph(), limits: Limits(rows: 128, segment: 12), lanes: 2)
    try checkGradients(engine, batch(lanes: 2, step: 0))
  }

  /// One, two and four ranks of one to five threads, gradients shared by pairs or not: the same bits.
  @Test(arguments: [1, 2, 4, 8]) func everyBitDependsOnTheLanesAlone(lanes: Int) throws {
    let expected = try train(lanes: lanes, threads: 1, ranks: 1, sharesPairs: false)[0]
    for ranks in [1, 2, 4] where ranks <= lanes {
      for (threads, sharesPairs) in [(1, true), (2, false), (2, true), (3, true), (5, true)] {
        let found = try train(
          lanes: lanes, threads: threads, ranks: ranks, sharesPairs: sharesPairs)
        #expect(found.count == ranks)
        for state in found {
          #expect(
            state == expected,
            "\(lanes) lanes, \(ranks) ranks of \(threads) threads, pairs \(sharesPairs)")
        }
      }
    }
  }

  /// Each rank with its part of the moments, and the tables shared or whole: together the same bits.
  @Test(arguments: [2, 4, 8], TableMoments.allCases)
  func sharesAreTheWhole(ranks: Int, moments: TableMoments) throws {
    let train = { (ranks: Int, threads: Int, isShared: Bool, sharesTables: Bool) in
      try ThreadCommunicator.run(size: ranks) { ranks -> (ParameterStore, [Double]) in
        let engine = try makeEngine(
          largeGraph(), limits: Limits(rows: 128, segment: 12), lanes: 8, threads: threads,
          ranks: ranks, isShared: isShared, sharesTables: sharesTables, tableMoments: moments)
        var told: [Double] = []
        for step in 0..<5 {
          let statistics = try engine.step(
            batch(lanes: 8, step: step), learningRate: 0.02, optimizer: .init(gradientClip: 0.5),
            tableOptimizer: TableOptimizer(learningRateMultiplier: 2, weightDecay: 0.01))
          told += [statistics.lossSum, statistics.gradientNorm]
          told += (0..<2).map { Double(engine.tableRows($0)) }
        }
        return (engine.parameters, told)
      }
    }
    let one = try train(1, 1, false, false)[0]
    for (threads, sharesTables) in [(1, true), (3, true), (2, false)] {
      let found = try train(ranks, threads, true, sharesTables)
      for (store, told) in found {
        #expect(told == one.1)
        for slot in store.layout.slots { #expect(store.values(slot) == one.0.values(slot)) }
      }
      #expect(state(found.map(\.0)) == state(one.0), "\(ranks) ranks of \(threads) threads")
    }
  }

  /// A batch of which all lookups are in the last lane, rows of one owner, and none at all.
  @Test func ranksWithoutLookupsTakePart() throws {
    @Sendable func lanes(_ id: Int32) -> [PackedLane] {
      var lanes = (0..<4).map { _ in PackedLane(tables: 3) }
      for _ in 0..<9 { lanes[3].appendRow(label: 2) { $0 == 0 ? 1 : id } }
      lanes[3].endSegment()
      return lanes
    }
    let train = { (ranks: Int, isShared: Bool) in
      try ThreadCommunicator.run(size: ranks) { ranks in
        let engine = try makeEngine(
          graph(), limits: Limits(rows: 16, segment: 16), lanes: 4, ranks: ranks,
          isShared: isShared)
        for id: Int32 in [4, 4, 7, 30] {
          _ = try engine.step(lanes(id), learningRate: 0.02, optimizer: .init())
        }
        _ = try engine.step(
          (0..<4).map { _ in PackedLane(tables: 3) }, learningRate: 0.02, optimizer: .init())
        return engine.parameters
      }
    }
    let expected = state(try train(1, false)[0])
    for ranks in [2, 4] { #expect(state(try train(ranks, true)) == expected) }
  }

  /// The first array that is not finite is named as one rank names it, by all, wherever it lies.
  @Test func whatIsNotFiniteIsNamedByAllRanks() throws {
    let names = { (table: Int, row: Int, scale: Float, ranks: Int) in
      try ThreadCommunicator.run(size: ranks) { ranks -> String? in
        let engine = try makeEngine(
          graph(), limits: Limits(rows: 128, segment: 12), lanes: 4, ranks: ranks, isShared: true)
        let store = engine.parameters.tables[table]
        if row % ranks.size == ranks.rank {
          store.weights[row / ranks.size * store.slot.width + 1] = scale
        }
        var lanes = (0..<4).map { _ in PackedLane(tables: 3) }
        lanes[1].appendRow(label: 2) { column in column == 0 ? 1 : Int32(row) }
        lanes[1].endSegment()
        let error = #expect(throws: NonFiniteError.self) {
          try engine.step(lanes, learningRate: 0.02, optimizer: .init())
        }
        return error?.tensor
      }
    }
    for (table, row) in [(0, 3), (1, 4), (0, 8)] {
      for scale in [Float.infinity, .nan] {
        let expected = try names(table, row, scale, 1)
        #expect(expected[0] != nil)
        #expect(try names(table, row, scale, 4) == Array(repeating: expected[0], count: 4))
      }
    }
  }

  /// Parts do not overlap, fill the array, and hold a fair part of it.
  @Test(arguments: [0, 1, 32_767, 32_768, 32_769, 100_000, 1_000_000])
  func partsFillTheArray(count: Int) {
    for size in [1, 2, 4, 16] {
      let parts = RankShare(rank: 0, size: size).all.map { $0.part(of: count) }
        .sorted { ($0.lowerBound, $0.upperBound) < ($1.lowerBound, $1.upperBound) }
      var end = 0
      for part in parts {
        #expect(part.isEmpty || part.lowerBound == end)
        #expect(part.count <= (count / size / 32_768 + 1) * 32_768)
        end = max(end, part.upperBound)
      }
      #expect(end == count)
    }
  }

  @Test(arguments: [1, 2, 4, 8]) func rowsFillTheTable(size: Int) {
    for rows in [0, 1, 7, 8, 9, 100] {
      let found = RankShare(rank: 0, size: size).all.flatMap { share in
        (0..<share.rows(of: rows)).map { share.place(of: $0) }
      }
      #expect(found.sorted() == Array(0..<rows))
    }
  }

  /// Pairs hold one gradient, and room for the largest operation, where each worker held its own.
  @Test func pairsHoldOneGradient() throws {
    func bytes(_ sharesPairs: Bool) throws -> Int {
      var g = GraphBuilder(mode: .training)
      let table = g.parameter("table", [7, 64], .normal(0.5))
      var x = g.embeddingSum(tables: [table], positions: nil, columns: 64)
      for i in 0..<8 { x = g.linear(x, to: 64, named: "f\(i)", deviation: 0.1) }
      g.addLoss("next", g.labelHead(x, weight: table, labels: 7))
      return try makeEngine(
        g, limits: Limits(rows: 16, segment: 16), lanes: 2, threads: 2, sharesPairs: sharesPairs
      ).workingBytes
    }
    let saved = try bytes(false) - bytes(true)
    let (gradient, room) = (4 * (8 * 64 * 65 + 7 * 64), 4 * (64 * 65 + 7 * 64))
    #expect(saved == gradient - 2 * room)
  }
}
