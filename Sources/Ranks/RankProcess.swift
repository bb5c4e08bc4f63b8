import Support

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The process of a rank, as others know it.
package struct RankProcess: Equatable {
  package let id: Int32
  /// When it began, as the kernel counts: whoever has this number later is another.
  package let start: Int
  package let host: String

  package init(id: Int32, start: Int, host: String) {
    (self.id, self.start, self.host) = (id, start, host)
  }

  package static var own: RankProcess {
    RankProcess(id: getpid(), start: start(of: getpid()) ?? 0, host: Host.name)
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

  /// Ends it where it is a process of this machine that runs the same program: a launcher may wait for it
  /// for ever.
  package func killIfHere() {
    guard host == Host.name, id != getpid(), Self.start(of: id) == start,
      Self.program(of: id) == Self.program(of: getpid())
    else { return }
    kill(id, SIGKILL)
  }

  /// Field 22 of the kernel's line about a process; the second is a name in parentheses.
  private static func start(of process: Int32) -> Int? {
    let line = file("stat", of: process)
    guard let name = line.lastIndex(of: UInt8(ascii: ")")) else { return nil }
    let fields = line[(name + 1)...].split(separator: UInt8(ascii: " "))
    return fields.count > 19 ? Int(String(decoding: fields[19], as: UTF8.self)) : nil
  }

  private static func program(of process: Int32) -> [UInt8] { file("comm", of: process) }

  /// What the kernel says of a process, which has no length before it is read; empty where it is gone.
  private static func file(_ name: String, of process: Int32) -> [UInt8] {
    let descriptor = open("/proc/\(process)/\(name)", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return [] }
    defer { close(descriptor) }
    return [UInt8](unsafeUninitializedCapacity: 4096) { buffer, count in
      count = max(0, read(descriptor, buffer.baseAddress, 4096))
    }
  }
}
