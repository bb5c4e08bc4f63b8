import Foundation
import Support

/// The positions of a text while f-grams of growing length are counted, in chunks of whole documents,
/// in memory up to a bound and in a file beyond it.
///
/// A position is 64 bits: in the upper half the id of the f-gram of the current length that ends there,
/// `GramKey.none` where there is none, in the lower its token. Documents are parted by a position without
/// an f-gram. The order of chunks means nothing.
// Unchecked: lists are guarded by `lock`; a chunk has one user at a time.
final class PositionStore: @unchecked Sendable {
  /// A chunk ends with the document that reaches it.
  static let chunkPositions = 1 << 20
  static let separator = UInt64(GramKey.none) << 32

  private let memoryBytes: Int
  private let directory: String
  private let lock = NSLock()
  private var chunks: [Chunk] = []
  private var residentBytes = 0
  private var spill: SpillFile?

  private struct Chunk {
    /// Nil where they are in the file.
    let memory: UnsafeMutablePointer<UInt64>?
    let offset: Int
    var positions: Int
  }

  init(memoryBytes: Int, directory: String) {
    self.memoryBytes = memoryBytes
    self.directory = directory
  }

  deinit { for chunk in chunks { UnsafeMutableRawPointer(chunk.memory)?.deallocate() } }

  /// Number of chunks.
  var count: Int { lock.withLock { chunks.count } }

  /// Takes a chunk, and the memory that `allocate` gave for it.
  func add(_ positions: UnsafeMutableBufferPointer<UInt64>) throws {
    let bytes = 8 * positions.count
    let file: SpillFile? = try lock.withLock {
      if residentBytes + bytes <= memoryBytes {
        residentBytes += bytes
        chunks.append(
          Chunk(memory: positions.baseAddress, offset: 0, positions: positions.count))
        return nil
      }
      let file = try spill ?? SpillFile(in: directory)
      spill = file
      return file
    }
    guard let file else { return }
    defer { Self.deallocate(positions) }
    let offset = try file.append(UnsafeRawBufferPointer(positions))
    lock.withLock {
      chunks.append(Chunk(memory: nil, offset: offset, positions: positions.count))
    }
  }

  /// Memory for a chunk; what is not written of it takes no room.
  static func allocate(positions: Int) -> UnsafeMutableBufferPointer<UInt64> {
    UnsafeMutableBufferPointer(
      start: LargeMemory.allocate(bytes: 8 * positions).bindMemory(
        to: UInt64.self, capacity: positions), count: positions)
  }

  static func deallocate(_ positions: UnsafeMutableBufferPointer<UInt64>) {
    UnsafeMutableRawPointer(positions.baseAddress)?.deallocate()
  }

  /// Replaces a chunk by what `body` leaves in front of it: it returns how many positions.
  func update(_ number: Int, _ body: (UnsafeMutableBufferPointer<UInt64>) -> Int) throws {
    let (chunk, file) = lock.withLock { (chunks[number], spill) }
    let left: Int
    if let memory = chunk.memory {
      left = body(UnsafeMutableBufferPointer(start: memory, count: chunk.positions))
    } else {
      guard let file else { preconditionFailure("a chunk that is nowhere") }
      let buffer = Self.allocate(positions: chunk.positions)
      defer { Self.deallocate(buffer) }
      try file.read(into: UnsafeMutableRawBufferPointer(buffer), at: chunk.offset)
      left = body(buffer)
      try file.write(
        UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<(8 * left)]),
        at: chunk.offset)
    }
    lock.withLock { chunks[number].positions = left }
  }
}

/// Takes the documents of one piece of a text into a `PositionStore`, and counts their tokens.
package struct DocumentSink: ~Copyable {
  private let store: PositionStore
  private var positions: UnsafeMutableBufferPointer<UInt64>
  private var filled = 0
  /// By token.
  private let counts: UnsafeMutableBufferPointer<Int>

  init(_ store: PositionStore, vocabulary: Int) {
    self.store = store
    counts = .allocate(capacity: vocabulary)
    counts.initialize(repeating: 0)
    positions = PositionStore.allocate(positions: PositionStore.chunkPositions)
  }

  deinit {
    PositionStore.deallocate(positions)
    counts.deallocate()
  }

  /// Appends one document.
  ///
  /// - Precondition: tokens below the vocabulary.
  @specialized(where T == UInt16)
  @specialized(where T == UInt32)
  package mutating func append<T: FixedWidthInteger & UnsignedInteger>(_ tokens: Span<T>) throws {
    if filled + tokens.count + 1 > positions.count {
      try turn(next: max(PositionStore.chunkPositions, tokens.count + 1))
    }
    positions[filled] = PositionStore.separator
    let row = UnsafeMutableBufferPointer(rebasing: positions[(filled + 1)...])
    for i in 0..<tokens.count {
      let token = UInt32(truncatingIfNeeded: tokens[i])
      row[i] = GramKey.make(prefix: token, token: token)
      counts[Int(token)] += 1
    }
    filled += tokens.count + 1
  }

  /// Hands over what is there.
  private mutating func turn(next: Int) throws {
    let full = UnsafeMutableBufferPointer(rebasing: positions[..<filled])
    positions = PositionStore.allocate(positions: next)
    filled = 0
    try store.add(full)
  }

  /// Hands over what is there; returns how often each token occurs.
  consuming func finish() throws -> [Int] {
    if filled > 0 { try turn(next: 1) }
    return Array(counts)
  }
}
