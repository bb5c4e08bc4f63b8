import Foundation
import Reporting
import Support
import Testing

@Suite struct EventFileTests {
  private static let lines = """
    {"bytes":1174,"gradientNorm":1.4289751497400291,"loss":6.723053549416363,"losses":{"balance":0.0625},"rows":512,"step":20}
    {"bytes":2374,"gradientNorm":1e-9,"loss":4.5,"losses":{"balance":2.0},"rows":1024,"step":300}

    """

  /// Bytes are those of TensorBoard's own writer (Tests/Peers/tensorboard_fixture.py).
  @Test func bytesAreThoseOfTheReference() throws {
    let place = try #require(
      Bundle.module.url(forResource: "events", withExtension: "tfevents", subdirectory: "Fixtures"))
    let (bytes, count) = try EventFolder.events(in: Array(Self.lines.utf8), source: "m")
    #expect(bytes == [UInt8](try Data(contentsOf: place)))
    #expect(count == 2)
  }

  @Test func aLineThatIsBeingWrittenIsLeftForLater() throws {
    let whole = Array(Self.lines.utf8)
    let first = try EventFolder.events(
      in: Array(whole.prefix { $0 != UInt8(ascii: "\n") }) + [10], source: "m")
    for cut in [140, whole.count - 1] {
      #expect(
        try EventFolder.events(in: Array(whole.prefix(cut)), source: "m").bytes == first.bytes)
    }
    #expect(first.count == 1)
    #expect(try EventFolder.events(in: [], source: "m").count == 0)
  }

  @Test(arguments: ["[1]", "{}", "{\"step\":-1}", "{\"step\":1.5}", "{\"step\":"])
  func whatIsNoMetricsIsRefused(line: String) {
    #expect(throws: UserError.self) {
      try EventFolder.events(in: Array((line + "\n").utf8), source: "m")
    }
  }

  @Test func aFileGrowsWithItsRun() throws {
    let place = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString).path
    defer { try? FileManager.default.removeItem(atPath: place) }
    let (run, board) = ("\(place)/run", "\(place)/board")
    try AtomicFile.makeDirectory(run)
    let folder = EventFolder(path: board)
    #expect(try folder.update(from: run, name: "a/b/1") == nil)
    let whole = Array(Self.lines.utf8)
    let file = "\(board)/a/b/1/events.out.tfevents.0.overtoken"
    var numbers: [UInt64] = []
    for (length, count) in [(140, 1), (whole.count, 2), (whole.count, 2)] {
      try AtomicFile.write(Array(whole.prefix(length)), to: "\(run)/metrics.jsonl")
      #expect(try folder.update(from: run, name: "a/b/1") == count)
      #expect(
        try FileBytes.read(file)
          == EventFolder.events(in: Array(whole.prefix(length)), source: "m").bytes)
      numbers.append(
        try FileManager.default.attributesOfItem(atPath: file)[.systemFileNumber] as? UInt64 ?? 0)
    }
    // Added to in place, for who has it open.
    #expect(Set(numbers).count == 1)
    // Another run of that name replaces it.
    let other = Array("{\"loss\":1.0,\"step\":1}\n".utf8)
    try AtomicFile.write(other, to: "\(run)/metrics.jsonl")
    #expect(try folder.update(from: run, name: "a/b/1") == 1)
    #expect(try FileBytes.read(file) == EventFolder.events(in: other, source: "m").bytes)
  }
}
