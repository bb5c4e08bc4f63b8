import Parallel
import Support
import Synchronization

/// The f-grams of a text: its n-grams, n = 2…K, that occur at least so many times inside documents, each
/// with its exact count.
///
/// One pass a length. An n-gram is a candidate where the two (n − 1)-grams that it begins and ends with
/// are f-grams themselves, for no other n-gram can be one (Agrawal and Srikant 1994). Candidates are keys
/// of 64 bits (`GramKey`), parted by hash and counted part by part. Between passes every position keeps
/// the id of the f-gram that ends there; positions without one fold together.
///
/// The result depends on documents, K and the minimum alone: not on their order, threads or memory.
///
/// Complexity: O(N) a pass, over positions whose last token still ends an f-gram. Memory: 16 bytes a
/// position, half of the bound for positions and half for keys, and beyond it in files; above that, 16
/// bytes of result an f-gram and, of the last length, 32 more.
package struct FGramDiscovery: Sendable {
  package let vocabulary: Int
  /// K.
  package let longest: Int
  package let minimumCount: Int
  private let memoryBytes: Int
  private let directory: String

  /// The f-grams of one length, in the lexicographic order of their tokens.
  package struct Level: Sendable, Equatable {
    package let length: Int
    /// Distinct n-grams that were counted: those whose parts are f-grams.
    package let candidates: Int
    /// (prefix << 32 | token): see `GramKey`.
    package let keys: [UInt64]
    package let counts: [Int]
  }

  /// - Parameters:
  ///   - memoryBytes: of positions and keys.
  ///   - directory: where what exceeds it goes, without a name.
  /// - Precondition: `2 ≤ longest`, `1 ≤ minimumCount`, `1 ≤ vocabulary < 2³²`.
  package init(
    vocabulary: Int, longest: Int, minimumCount: Int, memoryBytes: Int, directory: String
  ) {
    precondition(longest >= 2 && minimumCount >= 1, "n-grams of 2 tokens that occur")
    precondition(vocabulary >= 1 && vocabulary < GramKey.none, "tokens of 32 bits")
    self.vocabulary = vocabulary
    self.longest = longest
    self.minimumCount = minimumCount
    self.memoryBytes = memoryBytes
    self.directory = directory
  }

  /// Counts the documents that `read` appends for each piece of the text.
  ///
  /// - Returns: the tokens that were read, and a level for each length from 2 to K.
  package func run(
    pieces: Int, pool: WorkerPool,
    read: @Sendable (_ piece: Int, _ sink: inout DocumentSink) throws -> Void
  ) throws -> (tokens: Int, levels: [Level]) {
    let store = PositionStore(memoryBytes: memoryBytes / 2, directory: directory)
    let tokens = try load(pieces, into: store, pool, read)
    let total = tokens.reduce(0, +)
    let keys = KeyPartitions(
      bits: Self.partBits(positions: total), memoryBytes: memoryBytes / 2, directory: directory)
    var levels: [Level] = []
    for length in 2...longest {
      if let last = levels.last {
        let index = KeyIndex(last.keys)
        try advance(store, pool, into: keys) { Self.extend($0, by: index, into: &$1) }
      } else {
        let isFrequent = tokens.map { $0 >= minimumCount }
        try advance(store, pool, into: keys) { Self.begin($0, with: isFrequent, into: &$1) }
      }
      levels.append(try count(keys, length: length, pool))
      keys.reset()
    }
    return (total, levels)
  }

  private func load(
    _ pieces: Int, into store: PositionStore, _ pool: WorkerPool,
    _ read: @Sendable (Int, inout DocumentSink) throws -> Void
  ) throws -> [Int] {
    let sums = Mutex([Int](repeating: 0, count: vocabulary))
    try pool.forEach(0..<pieces) { _, piece in
      try Interruption.check()
      var sink = DocumentSink(store, vocabulary: vocabulary)
      try read(piece, &sink)
      let counts = try sink.finish()
      sums.withLock { sums in
        for token in counts.indices { sums[token] += counts[token] }
      }
    }
    return sums.withLock { $0 }
  }

  /// Parts of about 2¹⁶ keys, so that the table of one stays in a cache.
  private static func partBits(positions: Int) -> Int {
    max(2, min(12, Int.bitWidth - (positions >> 16).leadingZeroBitCount))
  }

  // MARK: - Passes

  /// Replaces the id at each position by that of the f-gram of the next length, chunk by chunk, and hands
  /// out the keys of the candidates behind it.
  ///
  /// - Parameter body: does so for one chunk; returns how many positions are left.
  private func advance(
    _ store: PositionStore, _ pool: WorkerPool, into keys: KeyPartitions,
    _ body: @Sendable (UnsafeMutableBufferPointer<UInt64>, inout KeyPartitions.Writer) -> Int
  ) throws {
    let chunks = Atomic<Int>(0)
    let count = store.count
    try pool.forEach(0..<min(pool.threads, count)) { _, _ in
      var writer = keys.writer()
      while true {
        let chunk = chunks.add(1, ordering: .relaxed).oldValue
        if chunk >= count { break }
        try Interruption.check()
        try store.update(chunk) { body($0, &writer) }
      }
      try writer.finish()
    }
  }

  /// The first pass: of length 1 are the tokens that are frequent, each its own id.
  private static func begin(
    _ positions: UnsafeMutableBufferPointer<UInt64>, with isFrequent: [Bool],
    into keys: inout KeyPartitions.Writer
  ) -> Int {
    var kept = Folding(positions)
    for i in 0..<positions.count {
      let (id, token) = (GramKey.prefix(positions[i]), GramKey.token(positions[i]))
      let isPart = id != GramKey.none && isFrequent[Int(token)]
      kept.append(isPart ? id : GramKey.none, token, &keys)
    }
    return kept.count
  }

  /// A later pass: `index` has the f-grams that are one token longer than those at the positions.
  private static func extend(
    _ positions: UnsafeMutableBufferPointer<UInt64>, by index: KeyIndex,
    into keys: inout KeyPartitions.Writer
  ) -> Int {
    // A block of keys first, so that their places in the index are near when they are looked at.
    let block = 128
    return withUnsafeTemporaryAllocation(of: (key: UInt64, place: Int).self, capacity: block) {
      searches in
      var kept = Folding(positions)
      var prefix = GramKey.none
      for start in stride(from: 0, to: positions.count, by: block) {
        let count = min(block, positions.count - start)
        for i in 0..<count {
          let (id, token) = (
            GramKey.prefix(positions[start + i]), GramKey.token(positions[start + i])
          )
          let key =
            id != GramKey.none && prefix != GramKey.none
            ? GramKey.make(prefix: prefix, token: token) : noKey
          searches[i] = (key, index.place(of: key))
          prefix = id
        }
        for i in 0..<count {
          let (key, place) = searches[i]
          let id = key == noKey ? GramKey.none : index.number(of: key, from: place)
          kept.append(id, GramKey.token(key), &keys)
        }
      }
      return kept.count
    }
  }

  /// Above all keys, and always at one place.
  private static let noKey = UInt64(GramKey.none) << 32

  /// The positions that are left of a chunk, in its own place: those at which an f-gram ends, and one
  /// without between any two that were not neighbours.
  private struct Folding {
    private let positions: UnsafeMutableBufferPointer<UInt64>
    private(set) var count = 0
    private var last = GramKey.none

    init(_ positions: UnsafeMutableBufferPointer<UInt64>) { self.positions = positions }

    /// - Precondition: called at most once for each position that was read before.
    @inline(__always)
    mutating func append(_ id: UInt32, _ token: UInt32, _ keys: inout KeyPartitions.Writer) {
      if id != GramKey.none {
        if last != GramKey.none { keys.append(GramKey.make(prefix: last, token: token)) }
        positions[count] = GramKey.make(prefix: id, token: token)
        count += 1
      } else if last != GramKey.none || count == 0 {
        positions[count] = PositionStore.separator
        count += 1
      }
      last = id
    }
  }

  private func count(
    _ keys: KeyPartitions, length: Int, _ pool: WorkerPool
  ) throws -> Level {
    let found = Mutex((keys: [UInt64](), counts: [Int](), candidates: 0))
    let parts = Atomic<Int>(0)
    try pool.forEach(0..<pool.threads) { _, _ in
      var counter = KeyCounter(shared: keys.bits)
      var (ownKeys, ownCounts, candidates) = ([UInt64](), [Int](), 0)
      while true {
        let part = parts.add(1, ordering: .relaxed).oldValue
        if part >= keys.count { break }
        try Interruption.check()
        try keys.drain(part) { counter.add($0) }
        counter.collect(atLeast: minimumCount, &ownKeys, &ownCounts)
        candidates += counter.distinct
        counter.removeAll()
      }
      let own = (ownKeys, ownCounts, candidates)
      found.withLock {
        $0.keys += own.0
        $0.counts += own.1
        $0.candidates += own.2
      }
    }
    var (sorted, counts, candidates) = found.withLock { $0 }
    guard sorted.count < Int(GramKey.none) else {
      throw UserError(
        "f-grams of length \(length)", expected: "fewer than 2^32 - 1", found: "\(sorted.count)",
        remedy: "Raise minimumCount.")
    }
    GramKey.sort(&sorted, with: &counts)
    return Level(length: length, candidates: candidates, keys: sorted, counts: counts)
  }
}
