import Foundation
import Kernels
import Support
import Testing

/// A table that owns its memory.
private final class OwnedTable {
  let memory: TableMemory

  init(rows: Int, width: Int, moments: TableMoments, weights: [Float]) {
    precondition(weights.count == rows * width)
    let bytes = max(4 * rows * width, 4 * rows, 4)
    let p = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
      .bindMemory(to: Float.self, capacity: max(rows * width, 1))
    _ = UnsafeMutableBufferPointer(start: p, count: weights.count).initialize(from: weights)
    // Not zeros: moments of a row that was never touched must not be read.
    let first = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
    let second = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
    first.initializeMemory(as: UInt8.self, repeating: 0xFF, count: bytes)
    second.initializeMemory(as: UInt8.self, repeating: 0xFF, count: bytes)
    let steps = UnsafeMutablePointer<UInt32>.allocate(capacity: max(rows, 1))
    steps.initialize(repeating: 0, count: max(rows, 1))
    memory = TableMemory(
      rows: rows, width: width, moments: moments, weights: p, firstMoment: first,
      secondMoment: second, lastStep: steps)
  }

  deinit {
    memory.weights.deallocate()
    memory.firstMoment.deallocate()
    memory.secondMoment.deallocate()
    memory.lastStep.deallocate()
  }

  func export(_ history: AdamWHistory) -> [Float] {
    let (rows, w) = (memory.rows, memory.width)
    var scratch = [Float](repeating: .nan, count: 2 * w)
    var result = [Float](repeating: .nan, count: rows * w)
    result.withUnsafeMutableBufferPointer { result in
      scratch.withUnsafeMutableBufferPointer { scratch in
        guard let to = result.baseAddress, let scratch = scratch.baseAddress else { return }
        exportRows(into: to, memory, 0..<rows, history, scratch: scratch)
      }
    }
    return result
  }
}

/// The arrays that one step stages into.
private final class Stage {
  var p, m, v, g: [Float]
  init(count: Int) {
    p = [Float](repeating: .nan, count: count)
    (m, v, g) = (p, p, p)
  }

  func with(_ body: (StagedRows) -> Void) {
    p.withUnsafeMutableBufferPointer { p in
      m.withUnsafeMutableBufferPointer { m in
        v.withUnsafeMutableBufferPointer { v in
          g.withUnsafeMutableBufferPointer { g in
            guard let p = p.baseAddress, let m = m.baseAddress, let v = v.baseAddress,
              let g = g.baseAddress
            else { return }
            body(StagedRows(p: p, m: m, v: v, g: g))
          }
        }
      }
    }
  }
}

/// A run of sparse AdamW beside dense AdamW on the same gradients.
private struct Race {
  var rows = 200
  var width = 8
  var steps = 600
  var lookups = 12
  var peak = 1e-2
  var decay = 0.0
  var clip = 1.0
  var beta1 = 0.9
  var beta2 = 0.98
  var epsilon = 1e-8
  var gradient = 0.05
  var deviation = 0.02
  /// Rows are drawn as rows·u^skew: a heavy head and a long tail.
  var skew = 6.0

  func scalars(_ step: Int, norm: Double) -> AdamWScalars {
    let warmup = Double(steps) / 20
    let t = Double(step)
    let rate =
      t <= warmup
      ? peak * t / warmup
      : peak * (0.05 + 0.95 * (1 + cos(.pi * (t - warmup) / (Double(steps) - warmup))) / 2)
    return AdamWScalars(
      step: step, learningRate: rate, beta1: beta1, beta2: beta2, epsilon: epsilon,
      weightDecay: decay, gradientScale: min(1, clip / (norm + 1e-6)))
  }

  struct Result {
    var sparse: (p: [Float], m: [Float], v: [Float])
    var dense: (p: [Float], m: [Float], v: [Float])
    /// Weights as exported now and then, and dense ones at that time.
    var exportsAgree = true
  }

  func run(moments: TableMoments = .float32) -> Result {
    var stream = RandomStream(seed: 7, name: "race")
    let start = (0..<rows * width).map { _ in Float(deviation * stream.normal()) }
    let table = OwnedTable(rows: rows, width: width, moments: moments, weights: start)
    var (p, m, v) = (
      start, [Float](repeating: 0, count: start.count), [Float](repeating: 0, count: start.count)
    )
    var dense = [Float](repeating: 0, count: start.count)
    var history = AdamWHistory()
    let groups = RowGroups(capacity: lookups)
    let stage = Stage(count: lookups * width)
    var slots = [Int32](repeating: -1, count: lookups)
    var result = Result(sparse: ([], [], []), dense: ([], [], []))
    for step in 1...steps {
      let ids = (0..<lookups).map { _ in
        Int32(Double(rows) * pow(stream.uniform(), skew))
      }
      // Magnitudes spread over many binades, exact zeros and subnormal squares among them.
      let dY = (0..<lookups * width).map { i in
        i % 29 == 3 ? 0 : Float(gradient * stream.normal() * exp2(-Double(i % 24)))
      }
      groups.removeAll()
      ids.withUnsafeBufferPointer { groups.append($0, width: 1, column: 0, rows: rows) }
      slots.withUnsafeMutableBufferPointer { slots in
        guard let slots = slots.baseAddress else { return }
        groups.group(rows: rows, slots: slots, stride: 1)
      }
      var norm = 0.0
      let all = 0..<groups.count
      stage.with { stageRows($0, table.memory, groups, all, history) }
      var gradients = [Float](repeating: .nan, count: groups.count * width)
      dY.withUnsafeBufferPointer { dY in
        guard let dY = dY.baseAddress else { return }
        var span = gradients.mutableSpan
        norm = sumRows(
          into: &span, groups, all, dY: dY, C: width, column: 0, width: width
        ).squareRoot()
      }
      for i in gradients.indices { stage.g[i] = gradients[i] }
      for (u, row) in groups.rows.enumerated() {
        for i in 0..<width { dense[Int(row) * width + i] = gradients[u * width + i] }
      }
      let scalars = scalars(step, norm: norm)
      stage.with { updateRows(table.memory, $0, groups, all, step: step, scalars) }
      history.append(scalars)
      var pSpan = p.mutableSpan
      var mSpan = m.mutableSpan
      var vSpan = v.mutableSpan
      adamW(&pSpan, m: &mSpan, v: &vSpan, dense.span, scalars)
      for row in groups.rows {
        for i in 0..<width { dense[Int(row) * width + i] = 0 }
      }
      if step % 97 == 0 && moments == .float32 {
        result.exportsAgree =
          result.exportsAgree && table.export(history).elementsEqual(p, by: same)
      }
    }
    result.dense = (p, m, v)
    // Catch up with everything.
    let whole = RowGroups(capacity: rows)
    let everyRow = (0..<Int32(rows)).map { $0 }
    everyRow.withUnsafeBufferPointer { whole.append($0, width: 1, column: 0, rows: rows) }
    var allSlots = [Int32](repeating: 0, count: rows)
    allSlots.withUnsafeMutableBufferPointer {
      guard let slots = $0.baseAddress else { return }
      whole.group(rows: rows, slots: slots, stride: 1)
    }
    let end = Stage(count: rows * width)
    end.with { stageRows($0, table.memory, whole, 0..<rows, history) }
    result.sparse = (end.p, end.m, end.v)
    return result
  }
}

private func same(_ a: Float, _ b: Float) -> Bool { a.bitPattern == b.bitPattern }

/// Positions where two arrays have different bits.
private func differences(_ a: [Float], _ b: [Float]) -> Int {
  zip(a, b).reduce(0) { $0 + (same($1.0, $1.1) ? 0 : 1) }
}

@Suite struct SparseAdamWTests {
  private func expectEqualBits(_ race: Race, _ label: String = "") {
    let result = race.run()
    #expect(result.exportsAgree, "\(label)")
    #expect(differences(result.sparse.p, result.dense.p) == 0, "\(label): weights")
    #expect(differences(result.sparse.m, result.dense.m) == 0, "\(label): first moments")
    #expect(differences(result.sparse.v, result.dense.v) == 0, "\(label): second moments")
  }

  @Test(arguments: [1, 4, 15, 16, 17, 32, 33, 64, 80, 128])
  func bitsOfDenseAdamW(width: Int) {
    expectEqualBits(Race(rows: 60, width: width, steps: 500), "width \(width)")
  }

  @Test(arguments: [0.1, 3])
  func decayOfRowsThatAreNotTouched(decay: Double) {
    expectEqualBits(Race(rows: 300, width: 20, steps: 700, decay: decay))
  }

  @Test func constantsAtTheirEdges() {
    expectEqualBits(Race(beta1: 0, beta2: 0.98), "no momentum")
    expectEqualBits(Race(beta1: 0.3, beta2: 0.5), "short memory, moments reach zero")
    expectEqualBits(Race(beta1: 0.99, beta2: 0.9), "first moments outlast second ones")
    expectEqualBits(Race(steps: 1500, beta2: 0), "no second moment")
    expectEqualBits(Race(epsilon: 1e-30), "no epsilon to speak of")
    expectEqualBits(Race(epsilon: 1), "much epsilon")
    expectEqualBits(Race(clip: 1e-3), "hard clipping")
    expectEqualBits(Race(peak: 0), "no learning")
    expectEqualBits(Race(peak: 3), "wild learning")
    expectEqualBits(Race(deviation: 0), "weights from zero")
    expectEqualBits(Race(gradient: 1e-18), "gradients whose squares underflow")
    expectEqualBits(Race(gradient: 1e15), "gradients whose squares are huge")
  }

  /// Long enough for both moments of the tail to get stuck among the subnormal numbers.
  @Test func longGaps() {
    expectEqualBits(Race(rows: 400, width: 16, steps: 6000, lookups: 4, skew: 12))
  }

  /// As long as a training is.
  @Test(arguments: [0, 0.1])
  func tenThousandSteps(decay: Double) {
    expectEqualBits(
      Race(
        rows: 2_000, width: 32, steps: 10_000, lookups: 64, peak: 1e-3, decay: decay, skew: 8))
  }

  @Test func historiesSurviveAsNumbers() throws {
    let race = Race()
    var history = AdamWHistory()
    for step in 1...200 { history.append(race.scalars(step, norm: 1)) }
    let copy = try #require(AdamWHistory(values: history.values))
    #expect(copy == history)
    #expect(AdamWHistory(values: [1, 2]) == nil)
    #expect(AdamWHistory(values: [1, 2, 3, 4]) == nil)
    #expect(try #require(AdamWHistory(values: AdamWHistory().values)).count == 0)
  }

  /// The lighter states learn as the full one does, but for their rounding.
  @Test(arguments: [TableMoments.bfloat16, .rowwise])
  func lighterMomentsStayNear(moments: TableMoments) {
    let race = Race(rows: 50, width: 24, steps: 300, gradient: 1e-3)
    let (full, light) = (race.run(), race.run(moments: moments))
    let scale = full.dense.p.reduce(0.0) { $0 + abs(Double($1)) }
    let distance = zip(full.sparse.p, light.sparse.p).reduce(0.0) { $0 + abs(Double($1.0 - $1.1)) }
    #expect(distance > 0)
    #expect(distance / scale < (moments == .bfloat16 ? 0.05 : 2), "\(distance / scale)")
    let isFinite = light.sparse.p.allSatisfy(\.isFinite)
    #expect(isFinite)
  }
}

@Suite struct RowGroupTests {
  @Test(arguments: [(0, 5), (1, 1), (7, 3), (1000, 70), (513, 2_000_000), (4096, 13_000_000)])
  func groupsAreTheSortedOccurrences(count: Int, rows: Int) {
    var stream = RandomStream(seed: 3, name: "groups")
    let ids = (0..<2 * count).map { _ in Int32(stream.below(UInt32(rows))) }
    let groups = RowGroups(capacity: 2 * count)
    var slots = [Int32](repeating: -1, count: 3 * max(count, 1))
    for _ in 0..<2 {
      groups.removeAll()
      // Two lanes, the second column of two.
      for lane in [0..<2 * (count / 3), 2 * (count / 3)..<2 * count] {
        Array(ids[lane]).withUnsafeBufferPointer {
          groups.append($0, width: 2, column: 1, rows: rows)
        }
      }
      slots.withUnsafeMutableBufferPointer {
        guard let slots = $0.baseAddress else { return }
        groups.group(rows: rows, slots: slots + 2, stride: 3)
      }
      let column = (0..<count).map { ids[2 * $0 + 1] }
      #expect(Array(groups.rows) == Set(column).sorted())
      for u in 0..<groups.count {
        let members = (0..<count).filter { column[$0] == groups.rows[u] }.map(Int32.init)
        #expect(Array(groups.members(u)) == members)
        for member in members { #expect(slots[3 * Int(member) + 2] == Int32(u)) }
      }
    }
  }
}

@Suite struct TableRowTests {
  @Test(arguments: [(0, 4), (1, 1), (5, 16), (33, 17), (20, 128)])
  func gatherAndSum(N: Int, w: Int) {
    let rows = 11
    var stream = RandomStream(seed: 5, name: "rows")
    let table = (0..<rows * w).map { _ in Float(stream.normal()) }
    let ids = (0..<2 * N).map { _ in Int32(stream.below(UInt32(rows))) }
    let C = w + 5
    var y = [Float](repeating: 9, count: N * C)
    table.withUnsafeBufferPointer { table in
      ids.withUnsafeBufferPointer { ids in
        guard let base = table.baseAddress else { return }
        var span = y.mutableSpan
        gatherRows(
          into: &span, C: C, column: 3, table: base, width: w, rows: rows, ids: ids, idWidth: 2,
          idColumn: 1)
      }
    }
    for n in 0..<N {
      for c in 0..<C {
        let expected = (3..<3 + w).contains(c) ? table[Int(ids[2 * n + 1]) * w + c - 3] : 9
        #expect(y[n * C + c] == expected)
      }
    }
    let groups = RowGroups(capacity: N)
    ids.withUnsafeBufferPointer { groups.append($0, width: 2, column: 1, rows: rows) }
    var slots = [Int32](repeating: 0, count: N + 1)
    slots.withUnsafeMutableBufferPointer {
      guard let slots = $0.baseAddress else { return }
      groups.group(rows: rows, slots: slots, stride: 1)
    }
    var sums = [Float](repeating: .nan, count: groups.count * w)
    var square = 0.0
    y.withUnsafeBufferPointer { y in
      guard let y = y.baseAddress else { return }
      var span = sums.mutableSpan
      square = sumRows(into: &span, groups, 0..<groups.count, dY: y, C: C, column: 3, width: w)
    }
    var expectedSquare = 0.0
    for u in 0..<groups.count {
      for c in 0..<w {
        let members = groups.members(u).map { y[Int($0) * C + 3 + c] }
        let sum = members.dropFirst().reduce(members[0], +)
        #expect(sums[u * w + c] == sum)
        expectedSquare += Double(sum) * Double(sum)
      }
    }
    #expect(abs(square - expectedSquare) <= 1e-12 * expectedSquare)
  }
}

@Suite struct TableInitializerTests {
  private func draw(_ range: Range<Int>, deviation: Double = 1) -> [Float] {
    var values = [Float](repeating: .nan, count: range.count)
    values.withUnsafeMutableBufferPointer {
      guard let base = $0.baseAddress else { return }
      TableInitializer(seed: 4, name: "weights/t", deviation: deviation).fill(base, range)
    }
    return values
  }

  @Test func anyElementsAreThoseOfTheWhole() {
    let whole = draw(0..<1000)
    for range in [0..<1, 1..<2, 63..<65, 64..<128, 100..<117, 400..<900] {
      var values = [Float](repeating: .nan, count: range.count)
      values.withUnsafeMutableBufferPointer {
        guard let base = $0.baseAddress else { return }
        TableInitializer(seed: 4, name: "weights/t", deviation: 1).fillAny(base, range)
      }
      #expect(values == Array(whole[range]))
    }
  }

  @Test func partsAreTheWhole() {
    let whole = draw(0..<1000)
    #expect(draw(0..<64) + draw(64..<640) + draw(640..<1000) == whole)
    #expect(draw(0..<1) == [whole[0]])
    let far = 64 * 1_234_567_890_123
    #expect(draw(far..<far + 70)[..<10] == draw(far..<far + 10)[...])
  }

  /// Element by element in Double from the stream that the definition names.
  @Test func drawsAreTheDefined() {
    let values = draw(0..<512)
    for q in 0..<512 {
      let block = 16 * (q / 64) + q % 16
      var stream = RandomStream(seed: 4, name: "weights/t")
      for _ in 0..<4 * block + (q % 64) / 16 { _ = stream.next32() }
      let k = Int32(bitPattern: stream.next32()) >> 9
      let u = (Double(k) + 0.5) * 0x1p-22
      let expected = Normal.quantile((1 + u) / 2)
      #expect(abs(Double(values[q]) - expected) < 3e-6 * max(1, abs(expected)))
    }
  }

  @Test func momentsOfTheNormal() {
    let values = draw(0..<1 << 20, deviation: 0.5).map(Double.init)
    let n = Double(values.count)
    let mean = values.reduce(0, +) / n
    let variance = values.reduce(0) { $0 + $1 * $1 } / n
    let fourth = values.reduce(0) { $0 + $1 * $1 * $1 * $1 } / n
    #expect(abs(mean) < 5 * 0.5 / n.squareRoot())
    #expect(abs(variance / 0.25 - 1) < 5 * (2 / n).squareRoot())
    #expect(abs(fourth / (3 * 0.0625) - 1) < 5 * (96 / 9 / n).squareRoot())
  }
}
