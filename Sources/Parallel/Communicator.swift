/// The ranks of one computation, as each of them sees the others: processes on one or many machines,
/// threads in tests, or one rank alone.
///
/// Every rank calls the same operations in the same order, from one thread at a time. Nothing here
/// adds numbers: sums have an order of their own (see `sumTree`), which no library may choose.
package protocol Communicator: AnyObject, Sendable {
  /// This rank, from 0.
  var rank: Int { get }
  /// Ranks in all.
  var size: Int { get }
  /// Name and version of what carries the bytes; nil within one process.
  var implementation: String? { get }

  /// Returns when all ranks have come here.
  func barrier() throws

  /// Leaves the bytes of rank `root` in the bytes of all ranks, which are as many.
  func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws

  /// Sends bytes to one rank and receives bytes from another, at the same time; both counts are known
  /// to both sides. Either rank may be this one, if both are.
  func sendReceive(
    _ bytes: UnsafeRawBufferPointer, to target: Int,
    into received: UnsafeMutableRawBufferPointer, from source: Int
  ) throws

  /// Sends pieces to all ranks and receives pieces from all, at the same time: `sent[i][r]` goes to rank r,
  /// where it is `received[i]` of this rank. All have the same number of pieces for each rank; those between
  /// two ranks, which may be empty, are as long at both. A rank's own pieces are copied.
  func exchange(
    _ sent: [[UnsafeRawBufferPointer]], into received: [[UnsafeMutableRawBufferPointer]]) throws

  /// Ends the computation on all ranks: whoever waits, or comes to wait, throws `RanksAborted`.
  func abort(_ reason: String)
}

/// Another rank has ended the computation.
package struct RanksAborted: Error, Equatable, Sendable, CustomStringConvertible {
  package let reason: String
  /// The rank that tells people; nil where that is done.
  package let speaker: Int?
  package var description: String { "another rank has stopped: \(reason)" }

  package init(reason: String, speaker: Int? = 0) {
    self.reason = reason
    self.speaker = speaker
  }
}

extension Communicator {
  package var implementation: String? { nil }

  /// Whether this rank decides about files, locks, signals and what people are told.
  package var decides: Bool { rank == 0 }

  /// The bytes that rank 0 gives, on every rank; the others' are not read.
  package func broadcast(_ bytes: [UInt8]) throws -> [UInt8] {
    if size == 1 { return bytes }
    var count = UInt64(decides ? bytes.count : 0)
    try withUnsafeMutableBytes(of: &count) { try broadcast($0, from: 0) }
    var result = decides ? bytes : [UInt8](repeating: 0, count: Int(count))
    try result.withUnsafeMutableBytes { try broadcast($0, from: 0) }
    return result
  }

  /// The number that rank 0 gives, on every rank.
  package func broadcast(_ value: Int) throws -> Int {
    var value = value
    if size > 1 { try withUnsafeMutableBytes(of: &value) { try broadcast($0, from: 0) } }
    return value
  }

  /// Fills each rank's bytes with the parts of all: part r, `parts[r]`, is the one that rank r has
  /// when it calls. Parts may differ in size and be empty.
  package func allGather(_ bytes: UnsafeMutableRawBufferPointer, parts: [Range<Int>]) throws {
    precondition(parts.count == size, "\(parts.count) parts for \(size) ranks")
    // A ring: in each round every rank passes on the part that came to it in the last.
    for round in 0..<(size - 1) {
      let (sent, come) = (
        parts[(rank - round + size) % size], parts[(rank - round - 1 + 2 * size) % size]
      )
      try sendReceive(
        UnsafeRawBufferPointer(rebasing: bytes[sent]), to: (rank + 1) % size,
        into: UnsafeMutableRawBufferPointer(rebasing: bytes[come]), from: (rank - 1 + size) % size)
    }
  }

  /// Rows that go from every rank to every other: `sent` holds those for rank 0, then for rank 1 and
  /// so on, `counts` says how many. Returns the rows that came, in the order of their ranks, and how
  /// many of each. `Row` is a fixed number of bytes.
  package func exchange<Row: BitwiseCopyable>(
    _ sent: [Row], counts: [Int]
  ) throws -> (rows: [Row], counts: [Int]) {
    precondition(
      counts.count == size && counts.reduce(0, +) == sent.count,
      "\(sent.count) rows in counts \(counts) for \(size) ranks")
    var come = [Int](repeating: 0, count: size)
    try forEachPartner { target, source in
      var (mine, theirs) = (counts[target], 0)
      try withUnsafeBytes(of: &mine) { mine in
        try withUnsafeMutableBytes(of: &theirs) {
          try sendReceive(mine, to: target, into: $0, from: source)
        }
      }
      come[source] = theirs
    }
    let starts = { (counts: [Int]) in
      counts.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1) }
    }
    let (from, to) = (starts(counts), starts(come))
    let width = MemoryLayout<Row>.stride
    let rows = try [Row](unsafeUninitializedCapacity: to[size]) { buffer, count in
      let bytes = UnsafeMutableRawBufferPointer(
        start: buffer.baseAddress, count: to[size] * width)
      try sent.withUnsafeBytes { sent in
        try forEachPartner { target, source in
          try sendReceive(
            UnsafeRawBufferPointer(
              rebasing: sent[from[target] * width..<from[target + 1] * width]), to: target,
            into: UnsafeMutableRawBufferPointer(
              rebasing: bytes[to[source] * width..<to[source + 1] * width]), from: source)
        }
      }
      count = to[size]
    }
    return (rows, come)
  }

  package func exchange(
    _ sent: [[UnsafeRawBufferPointer]], into received: [[UnsafeMutableRawBufferPointer]]
  ) throws {
    precondition(sent.count == received.count, "\(sent.count) pieces for \(received.count)")
    try forEachPartner { target, source in
      for piece in sent.indices {
        try sendReceive(
          sent[piece][target], to: target, into: received[piece][source], from: source)
      }
    }
  }

  /// What each rank gives, by rank, on rank 0; nothing on the others.
  package func gather<Element: BitwiseCopyable>(_ own: [Element]) throws -> [[Element]] {
    if size == 1 { return [own] }
    let (come, counts) = try exchange(
      own, counts: (0..<size).map { $0 == 0 ? own.count : 0 })
    if !decides { return [] }
    var rest = come[...]
    return counts.map { count in
      defer { rest = rest.dropFirst(count) }
      return Array(rest.prefix(count))
    }
  }

  /// The least of the numbers that the ranks give, on every rank.
  package func least(_ value: Int) throws -> Int {
    try exchange(Array(repeating: value, count: size), counts: Array(repeating: 1, count: size))
      .rows.min() ?? value
  }

  /// Leaves with rank `root` the bytes that rank `source` gives; both know how many. Others do nothing.
  package func send(
    _ bytes: UnsafeRawBufferPointer, from source: Int, to root: Int,
    into received: UnsafeMutableRawBufferPointer
  ) throws {
    let nothing = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    if rank == source && rank == root {
      received.copyMemory(from: bytes)
    } else if rank == source {
      try sendReceive(bytes, to: root, into: nothing, from: root)
    } else if rank == root {
      try sendReceive(UnsafeRawBufferPointer(nothing), to: source, into: received, from: source)
    }
  }

  /// Every rank once as target and once as source, in an order in which all ranks meet.
  private func forEachPartner(_ body: (_ target: Int, _ source: Int) throws -> Void) rethrows {
    for shift in 0..<size { try body((rank + shift) % size, (rank - shift + size) % size) }
  }
}

/// One rank alone.
package final class LocalCommunicator: Communicator {
  package init() {}

  package var rank: Int { 0 }
  package var size: Int { 1 }
  package func barrier() {}
  package func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) {}

  package func sendReceive(
    _ bytes: UnsafeRawBufferPointer, to target: Int,
    into received: UnsafeMutableRawBufferPointer, from source: Int
  ) {
    precondition(bytes.count == received.count, "\(bytes.count) bytes for \(received.count)")
    received.copyMemory(from: bytes)
  }

  package func abort(_ reason: String) {}
}
