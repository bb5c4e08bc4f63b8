import Kernels
import Parallel

/// The sum of the lanes' gradients: a fixed binary tree over the lane numbers, (0 + 1) + (2 + 3) and so
/// on, whatever computes them. So every bit of it depends on the lanes, neither on the threads nor on
/// the ranks.
///
/// This rank has an aligned range of the lanes. Its workers take blocks of them, and each block adds up
/// its lanes as a binary counter; the sums of the blocks, and at last those of the ranks, are the top of
/// the tree, of which each rank sums its part of the gradient. Where a gradient is large, a block runs two lanes at a time, which share one gradient
/// (`SharedGradient`): half of the memory, and no pass over memory to add the one to the other.
// Unchecked: the loops below give each worker its own part of the arrays.
final class LaneSum: @unchecked Sendable {
  private let count: Int
  private let ranks: any Communicator
  /// What this rank sums over ranks.
  private let own: Range<Int>
  private let halves: [(kept: Range<Int>, given: Range<Int>, partner: Int)]
  private let blocks: [LaneBlock]
  /// Over the sums of the blocks.
  private let tree: SumTree
  /// Of each block where two lanes run at a time; else empty.
  private let shared: [SharedGradient]
  private var chunkNorms: [Double]
  /// Bytes of `chunkNorms` that each rank finds.
  private let normParts: [Range<Int>]
  private let received: FloatBuffer

  /// Gradients of so many floats are shared by the two lanes of a pair.
  private static let largeGradient = 1 << 22

  /// - Parameters:
  ///   - lanes: of all ranks together.
  ///   - sharesPairs: whether pairs share; nil: where gradients are large.
  init(
    _ plan: Plan, lanes: Int, workers: Int, ranks: any Communicator, sharesPairs: Bool? = nil
  ) {
    count = plan.layout.count
    self.ranks = ranks
    let share = RankShare(rank: ranks.rank, size: ranks.size)
    own = share.part(of: count)
    halves = share.halves(of: count)
    let (ownLanes, rank) = (lanes / ranks.size, ranks.rank)
    let shares = (sharesPairs ?? (count >= Self.largeGradient)) && ownLanes >= 2
    let simultaneous = shares ? (workers + 1) / 2 : workers
    var blockCount = 1
    while blockCount < min(simultaneous, shares ? ownLanes / 2 : ownLanes) { blockCount *= 2 }
    let lanesPerBlock = ownLanes / blockCount
    let blocks = (0..<blockCount).map {
      LaneBlock(
        first: rank * ownLanes + $0 * lanesPerBlock, lanes: lanesPerBlock,
        units: shares ? lanesPerBlock / 2 : lanesPerBlock, layout: plan.layout)
    }
    self.blocks = blocks
    tree = SumTree(blocks.map { $0.buffers[0].floats.base })
    let groups = shares ? ParameterGroups(plan) : nil
    shared = groups.map { groups in blocks.map { _ in SharedGradient(groups, plan.layout) } } ?? []
    chunkNorms = [Double](repeating: 0, count: (count + RankShare.chunk - 1) / RankShare.chunk)
    let normBytes = { (floats: Int) in
      (floats + RankShare.chunk - 1) / RankShare.chunk * MemoryLayout<Double>.stride
    }
    normParts = share.all.map { [count] in
      let part = $0.part(of: count)
      return normBytes(part.lowerBound)..<normBytes(part.upperBound)
    }
    received = FloatBuffer(count: halves.first?.kept.count ?? 0)
  }

  /// The sum, after `finish`: of several ranks this rank's part of it, until it is gathered.
  var total: UnsafeMutablePointer<Float> { blocks[0].buffers[0].floats.base }

  /// Bytes of all gradients that exist at a time.
  var bytes: Int {
    let gradients = blocks.reduce(0) { $0 + $1.buffers.count } * count * 4
    return gradients + shared.reduce(received.count * 4) { $0 + $1.bytes }
  }

  /// Calls one of the bodies for each lane of this rank with the place of its gradient: two bodies,
  /// since the two kinds of place are two types.
  func run(
    _ pool: WorkerPool,
    _ whole: @Sendable (_ worker: Int, _ lane: Int, WholeGradient) -> Void,
    _ half: @Sendable (_ worker: Int, _ lane: Int, SharedGradient.Half) -> Void
  ) {
    if shared.isEmpty {
      pool.forEachLong(0..<blocks.count) { [blocks] worker, block in
        blocks[block].accumulate { whole(worker, $0, $1) }
      }
      return
    }
    for unit in 0..<blocks[0].units {
      for (block, shared) in zip(blocks, shared) { shared.reset(to: block.target(of: unit)) }
      pool.forEachLong(0..<2 * blocks.count) { [blocks, shared] worker, task in
        half(
          worker, blocks[task / 2].first + 2 * unit + task % 2,
          SharedGradient.Half(gradient: shared[task / 2], side: task % 2))
      }
      for step in 0..<blocks[0].additions(after: unit) {
        forEachChunk(pool) { [blocks] chunk in
          for block in blocks { block.add(after: unit, step: step, chunk) }
        }
      }
    }
  }

  /// Sums blocks and ranks into this rank's part of `total`; returns Σ g² of the whole in Double: fixed
  /// chunks, in order.
  func finish(_ pool: WorkerPool) throws -> Double {
    if ranks.size > 1 {
      forEachChunk(pool) { [tree] in tree.sum($0) }
      try sumRanks()
    }
    chunkNorms.withUnsafeMutableBufferPointer { norms in
      nonisolated(unsafe) let norms = norms
      forEachChunk(pool) { [self] chunk in
        if ranks.size == 1 { tree.sum(chunk) }
        guard own.contains(chunk.lowerBound) else { return }
        norms[chunk.lowerBound / RankShare.chunk] = squaredNorm(part(blocks[0], chunk).span)
      }
    }
    if ranks.size > 1 {
      try chunkNorms.withUnsafeMutableBytes { try ranks.allGather($0, parts: normParts) }
    }
    return chunkNorms.reduce(0, +)
  }

  /// Gives all ranks the parts of all, of `total` or of an array of its shape, by doubling.
  func gather(_ floats: UnsafeMutablePointer<Float>) throws {
    let part = { (range: Range<Int>) in
      UnsafeMutableRawBufferPointer(
        UnsafeMutableBufferPointer(start: floats + range.lowerBound, count: range.count))
    }
    for (kept, given, partner) in halves.reversed() {
      try ranks.sendReceive(
        UnsafeRawBufferPointer(part(kept)), to: partner, into: part(given), from: partner)
    }
  }

  /// The top of the tree: by recursive halving each rank sums its part of the gradient, nearest partners
  /// first. In each pair a + b is what b + a is.
  private func sumRanks() throws {
    for (kept, given, partner) in halves {
      let room = UnsafeMutableBufferPointer(rebasing: received.buffer[..<kept.count])
      try ranks.sendReceive(
        UnsafeRawBufferPointer(part(blocks[0], given)), to: partner,
        into: UnsafeMutableRawBufferPointer(room), from: partner)
      var sum = part(blocks[0], kept).mutableSpan
      add(room.span, to: &sum)
    }
  }

  private func part(
    _ block: LaneBlock, _ chunk: Range<Int>
  ) -> UnsafeMutableBufferPointer<Float> {
    UnsafeMutableBufferPointer(
      start: block.buffers[0].floats.base + chunk.lowerBound, count: chunk.count)
  }

  /// Small loops stay on the calling thread: waking others costs more.
  private func forEachChunk(_ pool: WorkerPool, _ body: @Sendable (Range<Int>) -> Void) {
    let tasks = (count + RankShare.chunk - 1) / RankShare.chunk
    if tasks <= 4 {
      for task in 0..<tasks { body(chunk(task)) }
    } else {
      pool.forEach(0..<tasks) { [self] _, task in body(chunk(task)) }
    }
  }

  private func chunk(_ task: Int) -> Range<Int> {
    task * RankShare.chunk..<min((task + 1) * RankShare.chunk, count)
  }
}
