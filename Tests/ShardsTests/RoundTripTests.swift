import Foundation
import Shards
import Support
import Testing

@Suite struct RoundTripTests {
  @Test(arguments: [ElementType.u8, .u16, .u32, .u64], [1, 2, 3])
  func documentsComeBack(element: ElementType, columns: Int) throws {
    let directory = try TemporaryDirectory()
    let cardinality = element == .u8 ? 200 : 60_000
    let documents = randomDocuments(
      37, longest: 70, below: UInt32(cardinality), columns: columns)
    let set = try write(
      documents, to: directory.path, element: element,
      columns: (0..<columns).map { Column("input\($0)", cardinality: cardinality) })
    let loaded = try set.load(threads: 3)
    #expect(loaded.documents == 37)
    #expect((0..<37).map { loaded.document($0) } == documents)
    #expect(set.maxDocumentLength == documents.map { $0.count / columns }.max())
    #expect(set.elements == documents.reduce(0) { $0 + $1.count / columns })
    #expect(try set.verify(threads: 2) == set.elements * columns * element.width)
    let second = try set.load(shard: 1)
    #expect((0..<10).map { second.document($0) } == Array(documents[10..<20]))
  }

  @Test(arguments: [0, 1, 63, 64, 65, 127, 128, 129, 1000])
  func frameBordersDoNotShow(length: Int) throws {
    let directory = try TemporaryDirectory()
    let document = (0..<length * 2).map { UInt32($0 % 251) }
    let set = try write(
      [document, document], to: directory.path, columns: [Column("a"), Column("b")])
    let loaded = try set.load(threads: 1)
    #expect(loaded.document(0) == document)
    #expect(loaded.document(1) == document)
    let file = try set.open(shard: 0)
    #expect(file.frames == (2 * length + 63) / 64)
    for frame in 0..<file.frames {
      var raw = [UInt8](repeating: 0, count: file.rawBytes(ofFrame: frame))
      try raw.withUnsafeMutableBytes { try file.decode(frame: frame, into: $0) }
      let rows = frame * 64..<min(2 * length, frame * 64 + 64)
      let expected = (0..<2).flatMap { loaded.integers(column: $0, rows: rows) }
      #expect(raw.map(Int.init) == expected)
    }
  }

  @Test func doublesComeBack() throws {
    let directory = try TemporaryDirectory()
    let writer = try ShardSetWriter(
      directory: directory.path, element: .f64, columns: [Column("logP")],
      configuration: testConfiguration)
    try writer.writeShard(0) { sink in
      try sink.append(document: [-0.0, .infinity, 1.5])
      try sink.append(document: [Double]())
    }
    try writer.finish(metadata: [:])
    let loaded = try ShardSet(directory: directory.path).load(threads: 1)
    #expect(loaded.documentOffsets == [0, 3, 3])
    let bits = withExtendedLifetime(loaded) {
      loaded.buffer(0, as: Double.self).map(\.bitPattern)
    }
    #expect(bits == [-0.0, Double.infinity, 1.5].map(\.bitPattern))
  }

  @Test(arguments: [Int.max, nil])
  func idsOfSixtyThreeBits(cardinality: Int?) throws {
    let directory = try TemporaryDirectory()
    let columns = [Column("gram", cardinality: cardinality)]
    let values: [UInt64] = [0, 1 << 32, 1 << 62, UInt64(Int.max) - 1]
    let writer = try ShardSetWriter(
      directory: directory.path, element: .u64, columns: columns, configuration: testConfiguration)
    try writer.writeShard(0) { try $0.append(document: values) }
    try writer.finish(metadata: [:])
    let set = try ShardSet(directory: directory.path)
    #expect(set.columns == columns)
    #expect(try set.verify(threads: 1) == 32)
    let loaded = try set.load(threads: 1)
    #expect(loaded.integers(column: 0, rows: 0..<4) == values.map(Int.init))
    #expect(Array(loaded.buffer(0, as: UInt64.self)) == values)
    let error = #expect(throws: UserError.self) {
      let writer = try ShardSetWriter(
        directory: directory.path + "/more", element: .u64, columns: columns,
        configuration: testConfiguration)
      try writer.writeShard(0) { try $0.append(document: [UInt64(Int.max)]) }
    }
    #expect(error?.description.contains("ids below \(Int.max) in column 'gram'") == true)
  }

  @Test func smallestElements() {
    let cases: [(Int, ElementType)] = [
      (1, .u8), (256, .u8), (257, .u16), (65_536, .u16), (65_537, .u32), (1 << 32, .u32),
      (1 << 32 + 1, .u64), (Int.max, .u64),
    ]
    for (cardinality, element) in cases {
      #expect(ElementType.smallest(cardinality: cardinality) == element)
      #expect(cardinality <= element.largestCardinality)
    }
  }

  @Test func emptySetsAreSets() throws {
    let directory = try TemporaryDirectory()
    let set = try write([], to: directory.path)
    #expect(set.elements == 0)
    #expect(try set.load(threads: 2).documents == 0)
    #expect(try set.verify(threads: 1) == 0)
  }

  @Test func bytesDoNotDependOnThreads() throws {
    let documents = randomDocuments(95, longest: 300, below: 4)
    let contents = try [1, 2, 4].map { threads in
      let directory = try TemporaryDirectory()
      try write(documents, to: directory.path, threads: threads)
      let names = try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted()
      #expect(names.count == 11)
      return try names.map { try FileBytes.read(directory.path + "/" + $0) }
    }
    #expect(contents[0] == contents[1])
    #expect(contents[0] == contents[2])
  }

  @Test func rewritingLeavesNoOldShards() throws {
    let directory = try TemporaryDirectory()
    let documents = randomDocuments(40, longest: 20, below: 4)
    try write(documents, to: directory.path)
    try write(Array(documents[..<15]), to: directory.path)
    let names = try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted()
    #expect(names == ["00000.shard", "00001.shard", "index.json"])
  }

  @Test func idsOutsideTheirCardinalityAreRefused() throws {
    let directory = try TemporaryDirectory()
    let error = #expect(throws: UserError.self) { try write([[1, 2, 4]], to: directory.path) }
    #expect(error?.description.contains("ids below 4 in column 'symbol', found 4") == true)
    let wide = #expect(throws: UserError.self) {
      try write([[300]], to: directory.path, columns: [Column("symbol")])
    }
    #expect(wide?.description.contains("values that fit u8, found 300") == true)
    #expect(throws: UserError.self) {
      try write([], to: directory.path, columns: [Column("symbol", cardinality: 257)])
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).isEmpty)
  }

  @Test func widthsOfLengthsGrow() throws {
    let directory = try TemporaryDirectory()
    let long = [UInt32](repeating: 3, count: 70_000)
    let set = try write([long, [1]], to: directory.path, frameRows: 1 << 16)
    let loaded = try set.load(threads: 1)
    #expect(loaded.documentOffsets == [0, 70_000, 70_001])
    #expect(set.maxDocumentLength == 70_000)
  }
}
