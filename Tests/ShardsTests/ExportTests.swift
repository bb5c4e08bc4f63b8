import Foundation
import Shards
import Support
import Testing

@Suite struct ExportTests {
  let documents: [[UInt32]] = [[1, 2, 3, 4, 5, 6], [], [7, 8]]
  let columns = [Column("a", cardinality: 9), Column("b", cardinality: 9)]

  /// Column a is 1 2 3 7, column b is 4 5 6 8.
  func exported(
    _ layout: ShardExport, column: String = "b", element: ElementType = .u8
  ) throws -> [[UInt8]] {
    let directory = try TemporaryDirectory()
    try AtomicFile.makeDirectory(directory.path + "/set")
    let set = try write(
      documents, to: directory.path + "/set", element: element, columns: columns, perShard: 2,
      frameRows: 2)
    let files = try layout.write(set, column: column, to: directory.path + "/exported")
    return try files.map(FileBytes.read)
  }

  @Test func nanogpt() throws {
    #expect(try exported(.nanogpt) == [[4, 0, 5, 0, 6, 0, 8, 0]])
    #expect(try exported(.nanogpt, element: .u32) == [[4, 0, 5, 0, 6, 0, 8, 0]])
  }

  @Test func llmc() throws {
    let file = try exported(.llmc, column: "a")[0]
    // 20240520 = 0x0134D888.
    #expect(file[..<12] == [0x88, 0xD8, 0x34, 0x01, 1, 0, 0, 0, 4, 0, 0, 0])
    #expect(file[12..<1024].allSatisfy { $0 == 0 })
    #expect(file[1024...] == [1, 0, 2, 0, 3, 0, 7, 0])
  }

  @Test func megatron() throws {
    let files = try exported(.megatron, element: .u16)
    #expect(files[0] == [4, 0, 5, 0, 6, 0, 8, 0])
    func words(_ values: [UInt64], _ width: Int) -> [UInt8] {
      values.flatMap { value in (0..<width).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
    }
    let expected: [[UInt8]] = [
      Array("MMIDIDX\0\0".utf8), words([1], 8), [8], words([3, 4], 8), words([3, 0, 1], 4),
      words([0, 6, 6], 8), words([0, 1, 2, 3], 8),
    ]
    #expect(files[1] == expected.flatMap { $0 })
  }

  @Test func npy() throws {
    let file = try exported(.npy, element: .u32)[0]
    #expect(file[..<8] == [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59, 1, 0])
    let length = Int(file[8]) + 256 * Int(file[9])
    #expect((10 + length) % 64 == 0)
    let text = String(decoding: file[10..<10 + length], as: UTF8.self)
    #expect(text.hasPrefix("{'descr': '<u4', 'fortran_order': False, 'shape': (4,), }"))
    #expect(text.hasSuffix("\n"))
    #expect(file[(10 + length)...] == [4, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 8, 0, 0, 0])
  }

  @Test func wideIds() throws {
    let npy = try exported(.npy, element: .u64)[0]
    #expect(String(decoding: npy[10..<40], as: UTF8.self).hasPrefix("{'descr': '<u8'"))
    let values: [UInt8] = [4, 5, 6, 8].flatMap { [$0, 0, 0, 0, 0, 0, 0, 0] }
    #expect(Array(npy.suffix(32)) == values)
    #expect(try exported(.nanogpt, element: .u64) == [[4, 0, 5, 0, 6, 0, 8, 0]])
    let megatron = try exported(.megatron, element: .u64)
    #expect(megatron[0] == values)
    #expect(megatron[1][17] == 5)
    let directory = try TemporaryDirectory()
    try AtomicFile.makeDirectory(directory.path + "/set")
    let set = try write(
      [[1]], to: directory.path + "/set", element: .u64,
      columns: [Column("gram", cardinality: 1 << 40)])
    let error = #expect(throws: UserError.self) {
      try ShardExport.llmc.write(set, column: "gram", to: directory.path + "/x")
    }
    #expect(error?.description.contains("at most 4294967296 different ids for llmc") == true)
  }

  @Test func whatALayoutCannotHoldIsRefused() throws {
    let directory = try TemporaryDirectory()
    try AtomicFile.makeDirectory(directory.path + "/set")
    let set = try write(
      [[70_000]], to: directory.path + "/set", element: .u32,
      columns: [Column("wide", cardinality: 70_001)])
    let wide = #expect(throws: UserError.self) {
      try ShardExport.nanogpt.write(set, column: "wide", to: directory.path + "/x")
    }
    #expect(wide?.description.contains("at most 65536 different ids for nanogpt") == true)
    let missing = #expect(throws: UserError.self) {
      try ShardExport.npy.write(set, column: "other", to: directory.path + "/x")
    }
    #expect(missing?.description.contains("expected one of wide") == true)
    #expect(!FileBytes.exists(directory.path + "/x"))
  }

  /// An export into its own source would overwrite what it reads, or leave a stray file in it.
  @Test(arguments: ShardExport.allCases)
  func theSourceIsNoPlaceForAnExport(layout: ShardExport) throws {
    let directory = try TemporaryDirectory()
    try AtomicFile.makeDirectory(directory.path + "/set")
    let path = directory.path + "/set"
    let set = try write(
      documents, to: path, element: .u8, columns: columns, perShard: 2, frameRows: 2)
    let shard = try FileBytes.read(path + "/00000.shard")
    try FileManager.default.createSymbolicLink(
      atPath: directory.path + "/door", withDestinationPath: "set")
    try FileManager.default.createSymbolicLink(
      atPath: directory.path + "/shard.bin", withDestinationPath: "set/00000.shard")
    var targets = ["set/00000.shard", "set/exported", "door/00001.shard", "door/../set/x"]
    if layout != .megatron { targets.append("shard.bin") } else { targets.append("shard") }
    for target in targets {
      let error = #expect(throws: UserError.self, "\(target)") {
        try layout.write(set, column: "a", to: "\(directory.path)/\(target)")
      }
      #expect(error?.description.contains("cannot be the output") == true)
    }
    #expect(try FileBytes.read(path + "/00000.shard") == shard)
    let names = try AtomicFile.names(in: path).sorted()
    #expect(names == ["00000.shard", "00001.shard", "index.json"])
  }
}
