import CMPI
import Parallel
import Support
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The connection to one rank, as the watch sees it. Its state is the watch thread's; `send` is anybody's.
// Unchecked because the compiler does not see which thread that is.
final class RankLine: @unchecked Sendable {
  enum Message {
    case sign
    case goodbye
    case verdict(RanksAborted)
  }

  /// The rank at the other end.
  let rank: Int
  let process: RankProcess
  private(set) var isOpen = true
  private(set) var hasSaidGoodbye = false
  private let descriptor: Int32
  private let writing = Mutex(())
  private var silentTicks = 0
  private var bytes: [UInt8] = []

  init(_ descriptor: Int32, rank: Int, _ process: RankProcess) {
    self.descriptor = descriptor
    self.rank = rank
    self.process = process
    ott_prepare_stream(descriptor)
  }

  /// What people call it.
  var name: String { process.name(of: rank) }

  func close() { closeDescriptor(descriptor) }

  /// Another tick without a word; how many there are.
  func countTick() -> Int {
    silentTicks += 1
    return silentTicks
  }

  // MARK: - Messages: a sign is a byte; a verdict its speaker, length and text behind one

  private static let verdictHead = 9
  private static let longest = 1 << 16

  func send(_ message: Message) {
    var frame: [UInt8]
    switch message {
    case .sign: frame = [UInt8(ascii: ".")]
    case .goodbye: frame = [UInt8(ascii: ",")]
    case .verdict(let reason):
      let text = reason.reason.utf8.prefix(Self.longest)
      frame = [UInt8(ascii: "!")]
      withUnsafeBytes(of: (reason.speaker.map(UInt32.init) ?? .max).littleEndian) { frame += $0 }
      withUnsafeBytes(of: UInt32(text.count).littleEndian) { frame += $0 }
      frame += text
    }
    // A sign that finds no room is none; whoever stands still is found at the other end.
    let flags = Int32(MSG_NOSIGNAL) | (frame.count == 1 ? Int32(MSG_DONTWAIT) : 0)
    writing.withLock { _ in
      var sent = 0
      while sent < frame.count {
        let count = frame[sent...].withUnsafeBytes {
          sendBytes(descriptor, $0, flags)
        }
        if count < 0 && errno == EINTR { continue }
        if count <= 0 { return }
        sent += count
      }
    }
  }

  /// What has come. At the end of the connection it is open no more.
  func receive() -> [Message] {
    var room = [UInt8](repeating: 0, count: 4096)
    let count = recv(descriptor, &room, room.count, Int32(MSG_DONTWAIT))
    if count < 0 && (errno == EAGAIN || errno == EINTR) { return [] }
    guard count > 0 else {
      isOpen = false
      return []
    }
    silentTicks = 0
    bytes += room[..<count]
    var messages: [Message] = []
    while let message = next() { messages.append(message) }
    return messages
  }

  private func next() -> Message? {
    guard let kind = bytes.first else { return nil }
    guard kind == UInt8(ascii: "!") else {
      bytes.removeFirst()
      if kind == UInt8(ascii: ",") { hasSaidGoodbye = true }
      return kind == UInt8(ascii: ",") ? .goodbye : .sign
    }
    guard bytes.count >= Self.verdictHead else { return nil }
    let (speaker, length) = (number(at: 1), number(at: 5))
    guard bytes.count >= Self.verdictHead + length else { return nil }
    let text = String(decoding: bytes[Self.verdictHead..<Self.verdictHead + length], as: UTF8.self)
    bytes.removeFirst(Self.verdictHead + length)
    return .verdict(
      RanksAborted(reason: text, speaker: speaker == Int(UInt32.max) ? nil : speaker))
  }

  private func number(at place: Int) -> Int {
    (0..<4).reduce(0) { $0 | Int(bytes[place + $1]) << (8 * $1) }
  }

  /// Lines on which something has come, or which have ended, within some time.
  static func readable(_ lines: [RankLine], milliseconds: Int32) -> [RankLine] {
    let open = lines.filter(\.isOpen)
    var polled = open.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
    guard poll(&polled, nfds_t(polled.count), milliseconds) > 0 else { return [] }
    return zip(open, polled).filter { $1.revents != 0 }.map(\.0)
  }
}

// Outside of a type that has a `close` and a `send` of its own.

private func sendBytes(
  _ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, _ flags: Int32
) -> Int {
  send(descriptor, bytes.baseAddress, bytes.count, flags)
}

private func closeDescriptor(_ descriptor: Int32) { _ = close(descriptor) }
