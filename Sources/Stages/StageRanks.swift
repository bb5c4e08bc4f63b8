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
  /// the others the same without a message. Where rank 0 is no more, another says it.
  func together(_ body: () throws -> Void) throws {
    do {
      do {
        try body()
      } catch let common as CommonEnding {
        try communicator.barrier()
        throw decides
          ? common : CommonEnding(ProcessEnding(status: common.ending.status, message: nil))
      }
      // Nobody is done before all are.
      try communicator.barrier()
    } catch {
      guard communicator.size > 1, !(error is CommonEnding) else { throw error }
      throw resolved(error)
    }
  }

  /// Ends the other ranks, and says how all end: as the first to fail.
  private func resolved(_ error: any Error) -> any Error {
    var verdict = error as? RanksAborted
    if verdict == nil {
      communicator.abort(StageRanks.reason(ProcessEnding(of: error), rank: communicator.rank))
      // Another rank may have been first.
      do {
        try communicator.barrier()
      } catch let first as RanksAborted {
        verdict = first
      } catch {}
    }
    guard let verdict else { return error }
    if decides, StageRanks.parse(verdict.reason).rank == communicator.rank { return error }
    return StageRanks.ending(of: communicator.rank, after: verdict)
  }

  /// How a rank ends that others have ended.
  static func ending(of rank: Int, after verdict: RanksAborted) -> ProcessEnding {
    let (first, ending) = parse(verdict.reason)
    guard rank == verdict.speaker, let message = ending.message else {
      return ProcessEnding(status: ending.status, message: nil)
    }
    return ProcessEnding(
      status: ending.status, message: ending.status == 0 ? message : named(message, first))
  }

  /// A message with the rank that it comes from.
  private static func named(_ message: String, _ rank: Int?) -> String {
    let opening = "error: "
    let place = rank.map { $0 == 0 ? "" : "rank \($0): " } ?? ""
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

/// An ending that all ranks come to at the same place, with nothing left to say to each other: thrown by
/// the body of a stage on every rank, it ends none of them early.
package struct CommonEnding: Error {
  let ending: ProcessEnding

  init(_ ending: ProcessEnding) { self.ending = ending }

  package init(of error: any Error) { ending = ProcessEnding(of: error) }
}
