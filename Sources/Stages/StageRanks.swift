import Foundation
import Parallel
import Support

/// Several ranks that run one stage: they begin together and end together, with one exit status and
/// one message.
///
/// The first rank that fails ends the others by `Communicator.abort`; its ending travels in the reason.
/// Rank 0 says the message.
struct StageRanks {
  private let communicator: any Communicator
  private var decides: Bool { communicator.decides }

  init(_ communicator: any Communicator) { self.communicator = communicator }

  /// Runs `body` on this rank. When it throws on any rank, all ranks throw: rank 0 what is to be said,
  /// the others the same without a message.
  func together(_ body: () throws -> Void) throws {
    do {
      try body()
      // Nobody is done before all are.
      try communicator.barrier()
    } catch {
      guard communicator.size > 1 else { throw error }
      throw resolved(error)
    }
  }

  /// Ends the other ranks, and says how all end: as the first to fail.
  private func resolved(_ error: any Error) -> any Error {
    var reason = (error as? RanksAborted)?.reason
    if reason == nil {
      communicator.abort(StageRanks.reason(ProcessEnding(of: error), rank: communicator.rank))
      // Another rank may have been first.
      do {
        try communicator.barrier()
      } catch let first as RanksAborted {
        reason = first.reason
      } catch {}
    }
    guard let (rank, first) = reason.map(StageRanks.parse) else { return error }
    if rank == communicator.rank && decides { return error }
    guard decides, let message = first.message else {
      return ProcessEnding(status: first.status, message: nil)
    }
    return ProcessEnding(
      status: first.status, message: first.status == 0 ? message : named(message, rank))
  }

  /// A message with the rank that it comes from.
  private func named(_ message: String, _ rank: Int?) -> String {
    let opening = "error: "
    let place = rank.map { "rank \($0): " } ?? "another rank has stopped: "
    return message.hasPrefix(opening)
      ? opening + place + message.dropFirst(opening.count) : opening + place + message
  }

  // MARK: - An ending as the reason of an abort

  private static func reason(_ ending: ProcessEnding, rank: Int) -> String {
    "ending \(ending.status) \(rank) \(ending.message ?? "")"
  }

  /// The rank that ended, and how; a reason that somebody else gave is a message without a rank.
  private static func parse(_ reason: String) -> (rank: Int?, ProcessEnding) {
    let parts = reason.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false)
    guard parts.count == 4, parts[0] == "ending", let status = Int32(parts[1]),
      let rank = Int(parts[2])
    else { return (nil, ProcessEnding(status: ExitStatus.userError, message: reason)) }
    return (rank, ProcessEnding(status: status, message: parts[3].isEmpty ? nil : String(parts[3])))
  }
}
