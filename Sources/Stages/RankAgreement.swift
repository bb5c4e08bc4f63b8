import Foundation
import Parallel
import Support

/// What all ranks of a stage must have in common, looked at before they begin: whatever differs would
/// change bits, or be found out much later. Each finds the same, and one says it.
enum RankAgreement {
  /// - Parameter libraries: versions of the libraries that the stage computes with.
  /// - Throws: `CommonEnding` for ranks of different builds, libraries or command lines.
  static func require(
    _ ranks: any Communicator, _ options: StageOptions, libraries: [String: String]
  ) throws {
    if ranks.size == 1 { return }
    let own = Claims(
      host: Host.name, build: try Executable.digest(),
      libraries: libraries.sorted { $0.key < $1.key }.map { "\($0) \($1)" }
        .joined(separator: ", "),
      command: "--config \(options.config) --output \(options.output)")
    let all = try ranks.texts(own.text).map(Claims.init)
    for (rank, claims) in all.enumerated() {
      if let error = claims.difference(from: all[0], rank: rank) { throw CommonEnding(of: error) }
    }
  }

  /// What a rank says of itself.
  private struct Claims {
    let host, build, libraries, command: String

    var text: String { [host, build, libraries, command].joined(separator: "\0") }

    init(host: String, build: String, libraries: String, command: String) {
      (self.host, self.build) = (host, build)
      (self.libraries, self.command) = (libraries, command)
    }

    init(_ text: String) {
      let parts = text.split(separator: "\0", omittingEmptySubsequences: false).map(String.init)
      let part = { (place: Int) in place < parts.count ? parts[place] : "" }
      self.init(host: part(0), build: part(1), libraries: part(2), command: part(3))
    }

    func difference(from first: Claims, rank: Int) -> UserError? {
      let who = "rank \(rank) on \(host)"
      if build != first.build {
        return UserError(
          "\(who) runs another build than rank 0 on \(first.host)",
          expected: "the executable \(first.build.prefix(12))", found: "\(build.prefix(12))",
          remedy: "Start all ranks from one directory, or copy one build to all machines.")
      }
      if libraries != first.libraries {
        return UserError(
          "\(who) computes with other libraries than rank 0 on \(first.host)",
          expected: first.libraries, found: libraries,
          remedy: "Ask the launcher for machines of one kind, installed alike.")
      }
      if command != first.command {
        return UserError(
          "\(who) was started with another command than rank 0", expected: first.command,
          found: command, remedy: "Start all ranks with one command.")
      }
      return nil
    }
  }

  // MARK: - Shared files

  /// Seconds in which what one machine writes is seen by others.
  private static let patience = 10.0

  /// - Parameter path: a file that rank 0 has just written.
  /// - Throws: `CommonEnding` when a rank does not see it.
  static func requireShared(_ path: String, _ ranks: any Communicator) throws {
    if ranks.size == 1 { return }
    let digest = {
      (try? FileBytes.read(path)).map { Array(SHA256.hex(of: $0).utf8) } ?? []
    }
    let written = try ranks.broadcast(ranks.decides ? digest() : [])
    let start = Host.monotonicSeconds
    while digest() != written, Host.monotonicSeconds - start < patience { usleep(50_000) }
    let all = try ranks.texts(digest() == written ? "" : Host.name)
    guard let blind = all.firstIndex(where: { !$0.isEmpty }) else { return }
    throw CommonEnding(
      of: UserError(
        "rank \(blind) on \(all[blind])", expected: "to see \(path), which rank 0 has written",
        found: "none, or another",
        remedy: "Put the working directory where all machines have it: a shared file system."))
  }
}

extension Communicator {
  /// The text that each rank gives, on every rank.
  fileprivate func texts(_ own: String) throws -> [String] {
    let bytes = Array(own.utf8)
    let sent = (0..<size).flatMap { _ in bytes }
    let (come, counts) = try exchange(sent, counts: Array(repeating: bytes.count, count: size))
    var rest = come[...]
    return counts.map { count in
      defer { rest = rest.dropFirst(count) }
      return String(decoding: rest.prefix(count), as: UTF8.self)
    }
  }
}
