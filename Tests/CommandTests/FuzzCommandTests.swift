import Foundation
import Fuzzing
import Support
import Testing

/// ott-fuzz from outside: runs that go on where others ended.
@Suite struct FuzzCommandTests {
  private let directory = NSTemporaryDirectory() + "ott-fuzz-test-" + UUID().uuidString

  init() throws { try AtomicFile.makeDirectory(directory) }

  private func fuzz(_ arguments: String...) throws -> Program.Result {
    try Program.run(
      "ott-fuzz",
      ["--minutes", "0.02", "--workers", "2", "--output", "new/fuzz.csv"] + arguments,
      in: directory)
  }

  private func table() throws -> FuzzTable { try FuzzTable(path: directory + "/new/fuzz.csv") }

  @Test func aRunAddsToThoseBefore() throws {
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let first = try fuzz("--reader", "grammar")
    #expect(first.status == 0 && first.output.contains("grammar"), "\(first.all)")
    let one = try table()
    let inputs = one.inputs("grammar")
    #expect(inputs > 0 && one.rows.count == 1 && one.end("grammar", seed: 1) >= inputs)

    let second = try fuzz("--reader", "grammar", "--reader", "yaml")
    #expect(second.status == 0, "\(second.all)")
    let two = try table()
    #expect(two.rows.map(\.reader) == ["grammar", "yaml"])
    let row = two.rows[0]
    #expect(row.counts.inputs > inputs && row.end > one.end("grammar", seed: 1))
    // No number is counted twice.
    #expect(row.counts.inputs <= row.end)
    #expect(row.counts.accepted + row.counts.refused == row.counts.inputs)

    let other = try fuzz("--reader", "grammar", "--seed", "2")
    #expect(other.status == 0, "\(other.all)")
    #expect(try table().rows.map(\.seed) == [1, 2, 1])

    let before = try table()
    let done = try fuzz("--reader", "grammar", "--inputs", "1")
    #expect(done.status == 0, "\(done.all)")
    #expect(try table() == before)
  }

  @Test func unknownReadersAndNoGuide() throws {
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let unknown = try fuzz("--reader", "shards")
    #expect(unknown.status == 1 && unknown.errors.contains("Did you mean 'shard'?"))
    let guide = try Program.run("ott-fuzz", ["guide"], in: directory)
    #expect(guide.status == 1 && guide.errors.contains("Run: make fuzz-guided"), "\(guide.all)")
    for wrong in [["--minutes", "0"], ["--workers", "0"], ["--minutes", "nan"]] {
      #expect(try Program.run("ott-fuzz", wrong, in: directory).status == 2)
    }
  }
}
