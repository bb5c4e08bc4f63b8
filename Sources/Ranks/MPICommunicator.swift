import CMPI
import Parallel
import Support

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Ranks that are processes, on one machine or many, which an MPI carries bytes between.
///
/// Every call comes from the thread that made this: MPI is initialized with MPI_THREAD_FUNNELED. Nothing
/// waits inside MPI: an operation begins, and is asked whether it is done, so that a rank that waits
/// hears of one that has died or stopped (`RankWatch`) and throws `RanksAborted`. After that nothing
/// more goes through MPI, and the process is expected to end.
// Unchecked: of one thread, as said above.
package final class MPICommunicator: Communicator, @unchecked Sendable {
  package let rank: Int
  package let size: Int
  /// Name and version of the MPI.
  package let implementation: String?
  private let mpi: UnsafePointer<ott_mpi>
  private let most: Int
  private var watch: RankWatch?

  /// Bytes of a message: MPI counts with an int.
  package static let messageBytes = 1 << 30

  /// Loads the MPI at `library` (see tools/build-mpi) and initializes it.
  ///
  /// - Parameter most: bytes of a message at most.
  package init(library: String, most: Int = messageBytes) throws {
    precondition((1...Int(Int32.max)).contains(most), "messages of \(most) bytes")
    var text = [CChar](repeating: 0, count: 1 << 10)
    guard let mpi = ott_mpi_load(library, &text, text.count) else {
      throw UserError(
        library, expected: "an MPI that can be loaded", found: Self.line(text),
        remedy: "Run: make mpi")
    }
    var (rank, size): (Int32, Int32) = (0, 0)
    let error = mpi.pointee.begin(&rank, &size, &text, text.count)
    guard error == 0 else {
      throw UserError(library, expected: "an MPI that starts", found: "its error \(error)")
    }
    self.mpi = mpi
    self.most = most
    self.rank = Int(rank)
    self.size = Int(size)
    implementation = Self.line(text)
  }

  /// From now on the ranks watch each other; each calls this. See `RankWatch.init`.
  package func startWatch(
    timing: RankWatch.Timing = RankWatch.Timing(), tell: @escaping @Sendable (String) -> Void,
    end: @escaping @Sendable (RanksAborted) -> Void
  ) throws {
    watch = try RankWatch(over: self, timing: timing, tell: tell, end: end)
  }

  package func barrier() throws { try complete { mpi.pointee.barrier() } }

  package func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws {
    try complete {
      mpi.pointee.broadcast(bytes.baseAddress, bytes.count, Int32(root), most)
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
    try complete { begin(bytes, to: target, received, from: source) }
  }

  /// All pieces are under way at a time: between two ranks they arrive in the order in which they left.
  package func exchange(
    _ sent: [[UnsafeRawBufferPointer]], into received: [[UnsafeMutableRawBufferPointer]]
  ) throws {
    precondition(sent.count == received.count, "\(sent.count) pieces for \(received.count)")
    for piece in sent.indices { received[piece][rank].copyMemory(from: sent[piece][rank]) }
    try complete {
      for shift in 1..<max(size, 1) {
        let (target, source) = ((rank + shift) % size, (rank - shift + size) % size)
        for piece in sent.indices {
          let error = begin(
            sent[piece][target], to: target, received[piece][source], from: source)
          if error != 0 { return error }
        }
      }
      return 0
    }
  }

  private func begin(
    _ bytes: UnsafeRawBufferPointer, to target: Int,
    _ received: UnsafeMutableRawBufferPointer, from source: Int
  ) -> Int32 {
    mpi.pointee.exchange(
      bytes.baseAddress, bytes.count, Int32(target), received.baseAddress, received.count,
      Int32(source), most)
  }

  package func abort(_ reason: String) { watch?.abort(RanksAborted(reason: reason)) }

  /// Leaves MPI when all ranks have done all they have to do together; each calls this, once.
  ///
  /// An MPI may wait at its end for others that no longer answer (MPICH over TCP does): after some seconds
  /// the process then ends with `status`.
  package func finish(status: Int32) throws {
    try barrier()
    watch?.sayGoodbye()
    _ = Resources.startThread {
      sleep(3)
      _exit(status)
    }
    try check(mpi.pointee.end())
  }

  /// Waits until rank 0 has ended, for some seconds at most: what ends with another status than 0 has the
  /// launcher end all others, and rank 0 has something to say first.
  package func waitForTheEndOfRankZero() { watch?.waitForTheEndOfRankZero() }

  // MARK: - Waiting

  /// Begins an operation, of any number of messages, and waits for its end.
  ///
  /// Ranks may be more than cores: after some time others get the core, and then most of it.
  private func complete(_ begin: () -> Int32) throws {
    if let verdict = watch?.verdict() { throw verdict }
    mpi.pointee.open()
    try check(begin())
    var (isDone, asked, start): (Int32, Int, Double) = (0, 0, 0)
    while true {
      try check(mpi.pointee.test(&isDone))
      if isDone != 0 { return }
      if let verdict = watch?.verdict() { throw verdict }
      asked += 1
      if asked < 500 { continue }
      if asked == 500 { start = Host.monotonicSeconds }
      let waited = Host.monotonicSeconds - start
      if waited < 0.01 {
        sched_yield()
      } else {
        usleep(waited < 1 ? 100 : 1000)
      }
    }
  }

  /// An error of MPI is mostly what becomes of the connection to a rank that has died.
  private func check(_ error: Int32) throws {
    if error == 0 { return }
    if let verdict = watch?.waitForVerdict() { throw verdict }
    var text = [CChar](repeating: 0, count: 1 << 10)
    mpi.pointee.describe(error, &text, text.count)
    throw UserError("ranks: the MPI cannot go on: \(Self.line(text))")
  }

  /// The first line of a text of the MPI.
  private static func line(_ text: [CChar]) -> String {
    let bytes = text.prefix { $0 != 0 && $0 != 10 }.map(UInt8.init(bitPattern:))
    let words = String(decoding: bytes, as: UTF8.self).split { $0 == " " || $0 == "\t" }
    return words.joined(separator: " ")
  }
}
