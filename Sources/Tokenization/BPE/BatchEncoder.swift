import Parallel

/// Documents to ids on several threads; the ids never depend on the number of threads.
package final class BatchEncoder {
  /// Ids of a run of consecutive documents.
  package struct Group {
    package let documents: Range<Int>
    /// Tokens of each of these documents.
    package let counts: [Int]
    package let buffer: TokenBuffer
  }

  /// Large enough for a group's ids to lie on huge pages.
  private static let groupBytes = 1 << 16...1 << 22
  private let pool: WorkerPool
  private let encoders: [BytePairEncoder]
  /// Buffers of earlier calls. Those that no group holds any more are written again: fresh memory
  /// costs page faults for every id.
  private var buffers: [TokenBuffer] = []
  /// One encoder at a time per worker; workers only write places of their own.
  private struct Results: @unchecked Sendable {
    let groups: UnsafeMutablePointer<Group?>
    let buffers: UnsafeMutablePointer<TokenBuffer?>
    let encoders: [BytePairEncoder]
  }

  package init(_ model: BytePairModel, pool: WorkerPool, findsSpecialTokens: Bool = true) {
    self.pool = pool
    encoders = (0..<pool.threads).map { _ in
      BytePairEncoder(model, findsSpecialTokens: findsSpecialTokens)
    }
  }

  package var cacheBytes: Int { encoders.reduce(0) { $0 + $1.cacheBytes } }

  /// Encodes every document; groups come in document order. Borrowed for the call only: the bytes
  /// of `documents` must stay valid until it returns.
  package func encode(_ documents: DocumentViews) -> [Group] {
    var ranges: [Range<Int>] = []
    var start = 0
    var bytes = 0
    let total = (0..<documents.count).reduce(0) { $0 + documents[$1].count }
    let enough = min(
      max(total / (8 * pool.threads), Self.groupBytes.lowerBound), Self.groupBytes.upperBound)
    for index in 0..<documents.count {
      bytes += documents[index].count
      if bytes >= enough || index == documents.count - 1 {
        ranges.append(start..<index + 1)
        start = index + 1
        bytes = 0
      }
    }
    let groups = UnsafeMutablePointer<Group?>.allocate(capacity: ranges.count)
    groups.initialize(repeating: nil, count: ranges.count)
    defer {
      groups.deinitialize(count: ranges.count)
      groups.deallocate()
    }
    let free = UnsafeMutablePointer<TokenBuffer?>.allocate(capacity: ranges.count)
    free.initialize(repeating: nil, count: ranges.count)
    defer {
      free.deinitialize(count: ranges.count)
      free.deallocate()
    }
    takeFreeBuffers(into: free, count: ranges.count)
    let results = Results(groups: groups, buffers: free, encoders: encoders)
    let list = ranges
    pool.forEach(0..<list.count) { worker, task in
      let range = list[task]
      let total = range.reduce(0) { $0 + documents[$1].count }
      let buffer = results.buffers[task] ?? TokenBuffer(capacity: total / 3 + 1024)
      buffer.removeAll()
      var counts: [Int] = []
      for index in range {
        let before = buffer.count
        results.encoders[worker].encode(documents[index], into: buffer)
        counts.append(buffer.count - before)
      }
      results.groups[task] = Group(documents: range, counts: counts, buffer: buffer)
    }
    let groupsInOrder = (0..<ranges.count).compactMap { groups[$0] }
    buffers += groupsInOrder.map(\.buffer)
    return groupsInOrder
  }

  /// Moves up to `count` buffers that nobody else holds to `places`, in order, and lets go of the
  /// rest: what is kept is what the calls under way need.
  private func takeFreeBuffers(into places: UnsafeMutablePointer<TokenBuffer?>, count: Int) {
    var taken = 0
    for index in buffers.indices {
      if taken < count && isKnownUniquelyReferenced(&buffers[index]) {
        places[taken] = buffers[index]
        taken += 1
      }
    }
    buffers = []
  }
}

/// Documents side by side in one block of bytes.
package struct DocumentViews: @unchecked Sendable {
  private let base: UnsafePointer<UInt8>
  private let offsets: [Int]

  /// Document i is `bytes[offsets[i]..<offsets[i + 1]]`; the bytes are borrowed.
  package init(_ bytes: UnsafeBufferPointer<UInt8>, offsets: [Int]) {
    precondition(offsets.last ?? 0 <= bytes.count && !offsets.isEmpty, "offsets outside the bytes")
    base = bytes.baseAddress ?? UnsafePointer(bitPattern: 64).unsafelyUnwrapped
    self.offsets = offsets
  }

  package var count: Int { offsets.count - 1 }

  package subscript(index: Int) -> UnsafeBufferPointer<UInt8> {
    UnsafeBufferPointer(
      start: base + offsets[index], count: offsets[index + 1] - offsets[index])
  }
}
