import Foundation
import Support
import Testing

@Suite struct AtomicFileTests {
  final class Room {
    let path = FileManager.default.temporaryDirectory.path + "/ott-file-" + UUID().uuidString
    init() throws { try AtomicFile.makeDirectory(path) }
    deinit { try? FileManager.default.removeItem(atPath: path) }
  }

  @Test(arguments: [0, 1, 4096, 100_001])
  func writesAndReplaces(count: Int) throws {
    let room = try Room()
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
    try AtomicFile.write("older", to: room.path + "/file")
    try AtomicFile.write(bytes, to: room.path + "/file")
    #expect(try FileBytes.read(room.path + "/file") == bytes)
    #expect(try FileManager.default.contentsOfDirectory(atPath: room.path) == ["file"])
  }

  @Test func aFailedWriteLeavesTheOlderFile() throws {
    let room = try Room()
    try AtomicFile.write("older", to: room.path + "/file")
    #expect(throws: UserError("no")) {
      try AtomicFile.write(to: room.path + "/file") { writer in
        try writer.append([1, 2, 3])
        throw UserError("no")
      }
    }
    #expect(try FileBytes.read(room.path + "/file") == Array("older".utf8))
    #expect(try FileManager.default.contentsOfDirectory(atPath: room.path) == ["file"])
  }

  @Test func overwriteReachesBack() throws {
    let room = try Room()
    try AtomicFile.write(to: room.path + "/file") { writer in
      try writer.append([1, 2, 3, 4])
      try writer.overwrite([9, 8], at: 1)
      try writer.append([5])
    }
    #expect(try FileBytes.read(room.path + "/file") == [1, 9, 8, 4, 5])
  }

  @Test func missingFilesAndDirectoriesAreNamed() throws {
    let room = try Room()
    let read = #expect(throws: UserError.self) { try FileBytes.read(room.path + "/none") }
    #expect(read?.description == "cannot read \(room.path)/none: No such file or directory")
    #expect(throws: UserError.self) { try FileBytes.read(room.path) }
    #expect(throws: UserError.self) { try AtomicFile.write("x", to: room.path + "/no/file") }
  }
}

@Suite struct BackgroundQueueTests {
  @Test func runsInOrder() throws {
    let queue = BackgroundQueue(depth: 2)
    let seen = Log()
    for i in 0..<100 { queue.enqueue { seen.add(i) } }
    try queue.finish()
    #expect(seen.values == Array(0..<100))
  }

  @Test func theFirstFailureIsThrownAndTheRestDropped() throws {
    let queue = BackgroundQueue(depth: 1)
    let seen = Log()
    for i in 0..<20 {
      queue.enqueue {
        if i == 3 { throw UserError("job 3") }
        seen.add(i)
      }
    }
    #expect(throws: UserError("job 3")) { try queue.finish() }
    #expect(seen.values == [0, 1, 2])
  }

  @Test func anEmptyQueueEnds() throws {
    try BackgroundQueue(depth: 1).finish()
  }

  final class Log: @unchecked Sendable {
    private let lock = NSLock()
    private var items: [Int] = []
    func add(_ item: Int) { lock.withLock { items.append(item) } }
    var values: [Int] { lock.withLock { items } }
  }

  /// What Foundation throws becomes one line like any other.
  @Test func aFaultOfFoundationIsOneLine() throws {
    let path = "/proc/self/no such file"
    let error = #expect(throws: CocoaError.self) {
      try FileManager.default.removeItem(atPath: path)
    }
    let text = UserError(try #require(error)).description
    #expect(text == "\(path): No such file or directory")
  }
}
