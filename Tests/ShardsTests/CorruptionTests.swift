import Foundation
import Shards
import Support
import Testing

@Suite struct CorruptionTests {
  /// A set of one shard with two columns and several frames, and its bytes.
  struct Sample {
    let directory: TemporaryDirectory
    let shard: [UInt8]
    var path: String { directory.path + "/00000.shard" }
    var index: String { directory.path + "/index.json" }

    init() throws {
      directory = try TemporaryDirectory()
      try write(
        randomDocuments(6, longest: 30, below: 4, columns: 2), to: directory.path,
        columns: [Column("a", cardinality: 4), Column("b", cardinality: 4)], frameRows: 32)
      shard = try FileBytes.read(directory.path + "/00000.shard")
    }

    /// Overwrites in place, without syncing: these tests write thousands of files.
    func put(_ bytes: [UInt8], at path: String) throws {
      try Data(bytes).write(to: URL(fileURLWithPath: path))
    }
  }

  /// Reads the shard alone, without its index.
  func readAlone(_ path: String) throws {
    let file = try ShardFile(path: path)
    try file.decodeAll(isThorough: true) { _, _ in }
  }

  @Test func everyFlippedByteIsFound() throws {
    let sample = try Sample()
    for position in sample.shard.indices {
      for bit in [0x01, 0x80] as [UInt8] {
        var bytes = sample.shard
        bytes[position] ^= bit
        try sample.put(bytes, at: sample.path)
        let error = #expect(throws: UserError.self, "byte \(position)") {
          _ = try ShardSet(directory: sample.directory.path).load(threads: 1)
        }
        #expect(error?.what == sample.path)
        #expect(error?.expected != nil && error?.found != nil)
        #expect(error?.remedy?.hasPrefix("Delete \(sample.directory.path) ") == true)
        #expect(throws: UserError.self, "byte \(position) without the index") {
          try readAlone(sample.path)
        }
      }
    }
    try sample.put(sample.shard, at: sample.path)
    try readAlone(sample.path)
  }

  /// A reader that leaves refused files open can open none after a thousand of them.
  @Test func aRefusedShardIsClosed() throws {
    let sample = try Sample()
    for position in stride(from: 0, to: sample.shard.count, by: 7) {
      var bytes = sample.shard
      bytes[position] ^= 1
      try sample.put(bytes, at: sample.path)
      #expect(throws: UserError.self) { try readAlone(sample.path) }
      try #require(try !Self.isOpen(sample.path), "byte \(position)")
    }
  }

  private static func isOpen(_ path: String) throws -> Bool {
    let manager = FileManager.default
    return try manager.contentsOfDirectory(atPath: "/proc/self/fd").contains {
      (try? manager.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)")) == path
    }
  }

  @Test func everyTruncationIsFound() throws {
    let sample = try Sample()
    for length in 0..<sample.shard.count {
      try sample.put(Array(sample.shard[..<length]), at: sample.path)
      #expect(throws: UserError.self, "length \(length)") {
        _ = try ShardSet(directory: sample.directory.path).load(threads: 1)
      }
      #expect(throws: UserError.self, "length \(length) alone") { try readAlone(sample.path) }
    }
    try sample.put(sample.shard + [0], at: sample.path)
    #expect(throws: UserError.self) { try readAlone(sample.path) }
  }

  @Test func everyFlippedByteOfTheIndexIsFound() throws {
    let sample = try Sample()
    let text = try FileBytes.read(sample.index)
    for position in text.indices {
      var bytes = text
      bytes[position] ^= 1
      try sample.put(bytes, at: sample.index)
      #expect(throws: UserError.self, "byte \(position)") {
        _ = try ShardSet(directory: sample.directory.path)
      }
    }
    for length in 0..<text.count {
      try sample.put(Array(text[..<length]), at: sample.index)
      #expect(throws: UserError.self, "length \(length)") {
        _ = try ShardSet(directory: sample.directory.path)
      }
    }
  }

  @Test func forgedCountsAreRefusedBeforeAllocating() throws {
    let sample = try Sample()
    let header = try ShardHeader(
      Array(sample.shard[..<ShardHeader.size]), path: sample.path, fileBytes: sample.shard.count)
    let forgeries: [(inout ShardHeader) -> Void] = [
      { $0.elements = 1 << 47 }, { $0.documents = 1 << 47 }, { $0.frameRows = 1 << 47 },
      { $0.frameRows = 1 << 27 }, { $0.frameRows = 0 }, { $0.frameBytes = (1 << 48) - 1 },
      { $0.lengthBytes = (1 << 48) - 1 }, { $0.metadataBytes = (1 << 32) - 1 },
      { $0.elements += 1 }, { $0.documents += 1 }, { $0.columns = 0 }, { $0.columns = 1 },
      { $0.columns = 65_535 }, { $0.element = .f64 }, { $0.lengthWidth = 3 },
      { $0.elements = 0 }, { $0.documents = 0 }, { $0.lengthBytes -= 1 },
      {
        $0.elements = 1 << 47; $0.frameRows = 1 << 27
      },
    ]
    for (number, forge) in forgeries.enumerated() {
      var forged = header
      forge(&forged)
      try sample.put(
        forged.encoded + sample.shard[ShardHeader.size...], at: sample.path)
      #expect(throws: UserError.self, "forgery \(number)") { try readAlone(sample.path) }
    }
  }

  @Test func oddFilesAreNamedForWhatTheyAre() throws {
    let sample = try Sample()
    let cases: [([UInt8], String)] = [
      ([], "an empty file"), (Array("hello, this is a text".utf8), "a foreign file"),
      (Array("OTTSHARD".utf8), "truncated"),
      (Array(sample.shard[..<8]) + [2, 0, 0, 0] + sample.shard[12...], "format 2"),
    ]
    for (bytes, word) in cases {
      try sample.put(bytes, at: sample.path)
      let error = #expect(throws: UserError.self) { try readAlone(sample.path) }
      #expect(error?.description.contains(word) == true, "\(error?.description ?? "")")
    }
  }

  @Test func aShardOfAnotherSetIsRefused() throws {
    let sample = try Sample()
    let other = try TemporaryDirectory()
    try write(
      randomDocuments(6, longest: 30, below: 4, columns: 2, seed: 2), to: other.path,
      columns: [Column("a", cardinality: 4), Column("b", cardinality: 4)], frameRows: 32)
    try sample.put(FileBytes.read(other.path + "/00000.shard"), at: sample.path)
    #expect(throws: UserError.self) {
      _ = try ShardSet(directory: sample.directory.path).load(threads: 1)
    }
  }

  @Test func missingPartsAreNamed() throws {
    let sample = try Sample()
    try FileManager.default.removeItem(atPath: sample.path)
    let lost = #expect(throws: UserError.self) {
      _ = try ShardSet(directory: sample.directory.path)
    }
    #expect(lost?.what == sample.path)
    #expect(lost?.found == "no such file")
    try FileManager.default.removeItem(atPath: sample.index)
    let error = #expect(throws: UserError.self) {
      _ = try ShardSet(directory: sample.directory.path)
    }
    #expect(error?.description.contains("found no such file") == true)
    #expect(error?.remedy == "Run the stage that makes it.")
  }

  @Test func verifyFindsContentThatDiffersFromItsDigest() throws {
    let sample = try Sample()
    var header = try ShardHeader(
      Array(sample.shard[..<ShardHeader.size]), path: sample.path, fileBytes: sample.shard.count)
    header.rawDigest[0] ^= 1
    try sample.put(header.encoded + sample.shard[ShardHeader.size...], at: sample.path)
    #expect(throws: UserError.self) { try readAlone(sample.path) }
  }

  @Test func anInputWithAnotherIDIsRefused() throws {
    let sample = try Sample()
    let error = #expect(throws: UserError.self) {
      _ = try ShardSet(input: .init(id: "000000000000", path: sample.directory.path))
    }
    #expect(error?.expected == "000000000000")
    #expect(error?.found == testConfiguration.id)
  }
}
