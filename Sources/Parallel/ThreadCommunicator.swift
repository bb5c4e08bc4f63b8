#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Ranks that are threads of one process: what tests run.
package final class ThreadCommunicator: Communicator {
  package let rank: Int
  private let meeting: Meeting

  package var size: Int { meeting.size }

  private init(rank: Int, _ meeting: Meeting) {
    self.rank = rank
    self.meeting = meeting
  }

  /// The communicators of `size` ranks, each for a thread of its own.
  package static func make(size: Int) -> [ThreadCommunicator] {
    precondition(size >= 1, "at least one rank")
    let meeting = Meeting(size: size)
    return (0..<size).map { ThreadCommunicator(rank: $0, meeting) }
  }

  /// Runs `body` once on each of `size` ranks and returns what each returned, by rank. A rank that
  /// throws ends the others; its error is thrown.
  package static func run<R: Sendable>(
    size: Int, _ body: @escaping @Sendable (ThreadCommunicator) throws -> R
  ) throws -> [R] {
    let ranks = make(size: size)
    let pool = WorkerPool(threads: size)
    nonisolated(unsafe) let results = UnsafeMutablePointer<Result<R, any Error>?>.allocate(
      capacity: size)
    results.initialize(repeating: nil, count: size)
    defer {
      results.deinitialize(count: size)
      results.deallocate()
    }
    // A worker takes another task only when its own is done: each rank has a thread.
    pool.forEach(0..<size) { _, rank in
      let result = Result { try body(ranks[rank]) }
      if case .failure(let error) = result { ranks[rank].abort("\(error)") }
      results[rank] = result
    }
    let outcomes = (0..<size).compactMap { results[$0] }
    for case .failure(let error) in outcomes where !(error is RanksAborted) { throw error }
    return try outcomes.map { try $0.get() }
  }

  package func barrier() throws { try meeting.barrier() }

  package func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws {
    if rank == root {
      for other in 0..<size where other != root {
        try meeting.send(UnsafeRawBufferPointer(bytes), from: root, to: other)
        try meeting.waitUntilTaken(from: root, to: other)
      }
    } else {
      try meeting.receive(into: bytes, from: root, to: rank)
    }
  }

  package func sendReceive(
    _ bytes: UnsafeRawBufferPointer, to target: Int,
    into received: UnsafeMutableRawBufferPointer, from source: Int
  ) throws {
    if target == rank {
      precondition(source == rank && bytes.count == received.count, "a rank's own bytes")
      return received.copyMemory(from: bytes)
    }
    try meeting.send(bytes, from: rank, to: target)
    try meeting.receive(into: received, from: source, to: rank)
    try meeting.waitUntilTaken(from: rank, to: target)
  }

  package func abort(_ reason: String) { meeting.abort(reason) }
}

/// Where the ranks meet: a mailbox for each pair, and the barrier. Every field is guarded by `lock`.
// Unchecked because the guard is a POSIX mutex, which the compiler does not see.
private final class Meeting: @unchecked Sendable {
  let size: Int
  private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let news = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  /// What lies in the mailbox of sender · size + receiver.
  private var mail: [UnsafeRawBufferPointer?]
  private var waiting = 0
  private var generation = 0
  private var failure: String?

  init(size: Int) {
    self.size = size
    mail = Array(repeating: nil, count: size * size)
    pthread_mutex_init(lock, nil)
    pthread_cond_init(news, nil)
  }

  deinit {
    pthread_cond_destroy(news)
    pthread_mutex_destroy(lock)
    news.deallocate()
    lock.deallocate()
  }

  /// Waits until `isReady` and then changes the state, all under the lock.
  private func when(_ isReady: () -> Bool, _ change: () -> Void) throws {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    while failure == nil && !isReady() { pthread_cond_wait(news, lock) }
    if let failure { throw RanksAborted(reason: failure) }
    change()
    pthread_cond_broadcast(news)
  }

  func send(_ bytes: UnsafeRawBufferPointer, from: Int, to: Int) throws {
    try when({ mail[from * size + to] == nil }) { mail[from * size + to] = bytes }
  }

  func receive(into bytes: UnsafeMutableRawBufferPointer, from: Int, to: Int) throws {
    try when({ mail[from * size + to] != nil }) {
      guard let come = mail[from * size + to] else { return }
      precondition(come.count == bytes.count, "\(come.count) bytes for \(bytes.count)")
      bytes.copyMemory(from: come)
      mail[from * size + to] = nil
    }
  }

  func waitUntilTaken(from: Int, to: Int) throws {
    try when({ mail[from * size + to] == nil }) {}
  }

  func barrier() throws {
    var mine = 0
    try when({ true }) {
      mine = generation
      waiting += 1
      if waiting == size {
        waiting = 0
        generation += 1
      }
    }
    try when({ generation != mine }) {}
  }

  func abort(_ reason: String) {
    pthread_mutex_lock(lock)
    if failure == nil { failure = reason }
    pthread_cond_broadcast(news)
    pthread_mutex_unlock(lock)
  }
}
