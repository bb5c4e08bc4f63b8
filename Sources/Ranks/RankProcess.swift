import Support

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The process of a rank, as others know it.
package struct RankProcess: Equatable, Sendable {
  package let id: Int32
  /// When it began, as the kernel counts: whoever has this number later is another.
  package let start: Int
  package let host: String

  package init(id: Int32, start: Int, host: String) {
    (self.id, self.start, self.host) = (id, start, host)
  }

  package static var own: RankProcess {
    RankProcess(id: getpid(), start: KernelProcess(getpid())?.start ?? 0, host: Host.name)
  }

  /// `id start host`.
  package var text: String { "\(id) \(start) \(host)" }

  package init?(_ text: some StringProtocol) {
    let words = text.split(separator: " ")
    guard words.count == 3, let id = Int32(words[0]), let start = Int(words[1]), id > 0 else {
      return nil
    }
    self.init(id: id, start: start, host: String(words[2]))
  }

  /// What people call the rank that it is: "rank 2 (process 4711 on node7)".
  package func name(of rank: Int) -> String { "rank \(rank) (process \(id) on \(host))" }

  package var isHere: Bool { host == Host.name }

  /// Ends it where it is a process of this machine that runs the same program: a launcher may wait for it
  /// for ever.
  package func killIfHere() {
    guard isHere, id != getpid(), let found = KernelProcess(id), found.start == start,
      !found.program.isEmpty, found.program == KernelProcess(getpid())?.program
    else { return }
    kill(id, SIGKILL)
  }
}

/// What the kernel says of a process of this machine.
struct KernelProcess {
  let id: Int32
  /// The name of its executable, of any length; empty where this user may not know.
  let program: String
  let parent: Int32
  let start: Int
  private let state: UInt8

  /// Nil where there is none of that number.
  init?(_ id: Int32) {
    let line = Self.file("stat", of: id)
    guard let close = line.lastIndex(of: UInt8(ascii: ")")) else { return nil }
    // Behind the name in parentheses: state, parent, and as the twentieth the start.
    let fields = line[(close + 1)...].split(separator: UInt8(ascii: " "))
    let number = { (place: Int) in
      place < fields.count ? Int(String(decoding: fields[place], as: UTF8.self)) : nil
    }
    guard let parent = number(1), let start = number(19), let state = fields[0].first else {
      return nil
    }
    self.id = id
    self.start = start
    self.state = state
    self.parent = Int32(truncatingIfNeeded: parent)
    program = Host.executable(of: id)?.split(separator: "/").last.map(String.init) ?? ""
  }

  /// Whether a signal has stopped it.
  var isStopped: Bool { state == UInt8(ascii: "T") }

  /// Whether it has ended, and its parent has not looked.
  var hasEnded: Bool { state == UInt8(ascii: "Z") || state == UInt8(ascii: "X") }

  /// What it began with; empty where this user may not know.
  var environment: [String: String] {
    Self.file("environ", of: id).split(separator: 0).reduce(into: [:]) { found, variable in
      guard let place = variable.firstIndex(of: UInt8(ascii: "=")) else { return }
      let text = { (bytes: ArraySlice<UInt8>) in String(decoding: bytes, as: UTF8.self) }
      found[text(variable[..<place])] = text(variable[(place + 1)...])
    }
  }

  /// The processes of this machine.
  static var all: [Int32] {
    ((try? AtomicFile.names(in: "/proc")) ?? []).compactMap { Int32($0) }
  }

  /// A file that has no length before it is read; empty where there is none.
  private static func file(_ name: String, of process: Int32) -> [UInt8] {
    let descriptor = open("/proc/\(process)/\(name)", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return [] }
    defer { close(descriptor) }
    var (bytes, room): ([UInt8], [UInt8]) = ([], Array(repeating: 0, count: 1 << 14))
    while true {
      let count = read(descriptor, &room, room.count)
      if count <= 0 { return bytes }
      bytes += room[..<count]
    }
  }
}
