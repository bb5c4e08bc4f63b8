import CMPI
import Parallel
import Support

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// How the ranks come to their connections: rank 0 listens and tells the others where, by the
/// communicator; they come and say who they are.
enum RankMeeting {
  /// The lines of this rank: of rank 0 to all others, of others to rank 0.
  ///
  /// - Throws: `UserError` on all ranks, naming those that do not reach rank 0.
  static func lines(_ ranks: any Communicator, patience: Double) throws -> [RankLine] {
    if ranks.size == 1 { return [] }
    let lines =
      ranks.decides
      ? try host(ranks, until: Host.monotonicSeconds + patience) : try join(ranks, patience)
    let missing = Set(0..<ranks.size).subtracting(lines.map(\.rank) + [0]).sorted()
    let answer = try ranks.broadcast(Array(missing.map(String.init).joined(separator: ", ").utf8))
    guard answer.isEmpty else {
      for line in lines { line.close() }
      throw UserError(
        "ranks: expected all to reach rank 0 by TCP, to watch over each other",
        found: "none by rank \(String(decoding: answer, as: UTF8.self))",
        remedy: "Open the machines' ports to each other.")
    }
    return lines
  }

  /// Where rank 0 listens: one fact a line.
  private struct Invitation {
    let port: UInt16
    /// What a rank of this computation knows, and a stranger does not.
    let token: String
    let process: RankProcess
    let addresses: [String]

    var text: String {
      ["\(port)", token, process.text, addresses.joined(separator: " ")]
        .joined(separator: "\n")
    }

    init(port: UInt16, addresses: [String]) {
      self.port = port
      self.addresses = addresses
      token = String(UInt64.random(in: 0...UInt64.max), radix: 16)
      process = .own
    }

    init?(_ bytes: [UInt8]) {
      let lines = String(decoding: bytes, as: UTF8.self)
        .split(separator: "\n", omittingEmptySubsequences: false)
      guard lines.count == 4, let port = UInt16(lines[0]), let process = RankProcess(lines[2])
      else { return nil }
      self.port = port
      self.process = process
      token = String(lines[1])
      addresses = lines[3].split(separator: " ").map(String.init)
    }
  }

  // MARK: - Rank 0

  private static func host(_ ranks: any Communicator, until deadline: Double) throws -> [RankLine] {
    var port: UInt16 = 0
    let listener = ott_listen(&port)
    guard listener >= 0 else { throw FileFault.error("ranks: rank 0 cannot listen on a port") }
    defer { close(listener) }
    var text = [CChar](repeating: 0, count: 1 << 12)
    ott_addresses(&text, text.count)
    let addresses = String(
      decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    let invitation = Invitation(
      port: port, addresses: addresses.split(separator: " ").map(String.init))
    _ = try ranks.broadcast(Array(invitation.text.utf8))
    var lines: [RankLine] = []
    while lines.count < ranks.size - 1 {
      guard waits(for: listener, until: deadline) else { break }
      let guest = ott_accept(listener)
      if guest < 0 { continue }
      guard let line = welcome(guest, invitation.token, until: deadline),
        (1..<ranks.size).contains(line.rank), !lines.contains(where: { $0.rank == line.rank })
      else {
        close(guest)
        continue
      }
      line.send(.sign)
      lines.append(line)
    }
    return lines
  }

  /// Reads who has come: token, rank and process, a line. Nil for a stranger.
  private static func welcome(_ guest: Int32, _ token: String, until deadline: Double) -> RankLine?
  {
    var bytes: [UInt8] = []
    let latest = min(deadline, Host.monotonicSeconds + 2)
    while bytes.last != UInt8(ascii: "\n"), bytes.count < 512, waits(for: guest, until: latest) {
      var byte: UInt8 = 0
      guard recv(guest, &byte, 1, 0) == 1 else { return nil }
      bytes.append(byte)
    }
    let line = String(decoding: bytes, as: UTF8.self).prefix { $0 != "\n" }
    let parts = line.split(separator: " ", maxSplits: 2)
    guard parts.count == 3, parts[0] == token, let rank = Int(parts[1]),
      let process = RankProcess(parts[2])
    else { return nil }
    return RankLine(guest, rank: rank, process)
  }

  // MARK: - The others

  /// The line to rank 0; none where no address of it can be reached.
  private static func join(_ ranks: any Communicator, _ patience: Double) throws -> [RankLine] {
    guard let invitation = Invitation(try ranks.broadcast([])) else {
      throw UserError("ranks: expected where rank 0 listens", found: "something else")
    }
    let greeting = "\(invitation.token) \(ranks.rank) \(RankProcess.own.text)\n"
    let near = invitation.process.host == Host.name ? ["127.0.0.1", "::1"] : []
    let deadline = Host.monotonicSeconds + 0.9 * patience
    for address in near + invitation.addresses where Host.monotonicSeconds < deadline {
      let descriptor = ott_connect(address, invitation.port, 1000)
      if descriptor < 0 { continue }
      let bytes = Array(greeting.utf8)
      let sent = send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
      // Rank 0 answers with a sign of life; anybody else would not.
      let answers = min(deadline, Host.monotonicSeconds + 5)
      if sent == bytes.count, waits(for: descriptor, until: answers) {
        return [RankLine(descriptor, rank: 0, invitation.process)]
      }
      close(descriptor)
    }
    return []
  }

  /// Whether there is something to read before a time.
  private static func waits(for descriptor: Int32, until deadline: Double) -> Bool {
    while true {
      let left = deadline - Host.monotonicSeconds
      if left <= 0 { return false }
      var polled = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      let count = poll(&polled, 1, Int32(left * 1000) + 1)
      if count > 0 { return true }
      if count < 0 && errno != EINTR { return false }
    }
  }
}
