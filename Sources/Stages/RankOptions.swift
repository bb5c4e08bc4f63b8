import ArgumentParser
import Foundation
import Parallel
import Ranks
import Support

/// The command line of stages that several ranks can run together.
package struct RankOptions: ParsableArguments {
  @Option(
    name: .long,
    help: ArgumentHelp(
      "Refuse to run with other than n ranks, which mpirun or srun starts (default: as many as there "
        + "are). Results do not depend on it.", valueName: "n"))
  package var ranks: Int?

  package init() {}

  package func validate() throws {
    if let ranks { try requireCount(ranks, of: "--ranks", upTo: 1 << 20) }
  }
}

extension Command {
  /// Runs `body` with the ranks that were started together with this process, or alone.
  ///
  /// An error of any rank ends all with the same exit status, behind the message of one: this then does
  /// not return.
  package static func withRanks(
    _ options: RankOptions, _ body: (any Communicator) throws -> Void
  ) throws {
    guard let ranks = try start(options) else { return try body(LocalCommunicator()) }
    let status: Int32
    do {
      try body(ranks)
      try StandardOutput.finish()
      return try ranks.finish(status: 0)
    } catch let common as CommonEnding {
      status = report(common)
      // Whoever dies from here on has done all that there was to do.
      try? ranks.finish(status: status)
    } catch let verdict as RanksAborted {
      status = report(StageRanks.ending(of: ranks.rank, after: verdict))
    } catch {
      status = report(error)
    }
    ranks.waitForTheEndOfRankZero()
    // MPI may have operations under way that nobody ends.
    _exit(status)
  }

  /// The ranks, watching over each other; nil for a process alone.
  private static func start(_ options: RankOptions) throws -> MPICommunicator? {
    let environment = ProcessInfo.processInfo.environment
    let launch = Launch(environment: environment)
    var arrival: RankArrival?
    defer { arrival?.conclude() }
    do {
      try require(options.ranks, launch)
      guard let launch, launch.hasOthers else { return nil }
      arrival = RankArrival(launch) { error in
        StandardError.write("error: \(error)\n")
      } end: {
        _exit(ExitStatus.userError)
      }
      let library = try launch.libraryPath(
        in: Executable.directory + "mpi", choice: environment[Launch.choiceKey])
      let ranks = try MPICommunicator(library: library)
      try launch.require(size: ranks.size, of: ranks.implementation ?? library)
      let rank = ranks.rank
      try ranks.startWatch { death in
        StandardError.write("error: \(death)\n")
      } end: { verdict in
        let ending = StageRanks.ending(of: rank, after: verdict)
        if let message = ending.message { StandardError.write(message + "\n") }
        _exit(ending.status)
      }
      return ranks
    } catch {
      arrival?.conclude()
      guard let launch, launch.rank != 0 else { throw error }
      // All come here, or their launcher ends them; one says why, before the others are gone.
      sleep(1)
      throw ProcessEnding(status: ProcessEnding(of: error).status, message: nil)
    }
  }

  private static func require(_ expected: Int?, _ launch: Launch?) throws {
    let found = launch?.size ?? 1
    guard let expected, expected != found else { return }
    throw UserError(
      "--ranks", expected: "\(expected) ranks",
      found: launch.map { "\($0.size), started by \($0.launcher)" }
        ?? "one, started by no launcher",
      remedy: "Start them with: mpirun -n \(expected), or srun -n \(expected).")
  }
}
