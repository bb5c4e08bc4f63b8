import Checkpoints
import NGrams
import Shards
import Stores
import Support

/// Shards, weights and keys of stores: files with lengths, tables and digests.
enum BinaryTargets {
  private static let configuration = StageConfiguration(
    stage: "fuzz", version: 1, parameters: ["seed": 1])

  /// Three shards: two columns of u8, one of u32, and one without a document.
  static func shard(_ scratch: ScratchDirectory) throws -> FuzzTarget {
    let sets: [(String, ElementType, [Column], [[UInt32]])] = [
      (
        "narrow", .u8, [Column("a", cardinality: 7), Column("b", cardinality: 5)],
        (0..<9).map { d in (0..<UInt32(2 * d)).map { ($0 * 3 + 1) % 5 } }
      ),
      (
        "wide", .u32, [Column("a", cardinality: 1 << 20)],
        (0..<5).map { d in (0..<UInt32(17 * d)).map { ($0 * 48_271) % (1 << 20) } }
      ),
      ("empty", .u16, [Column("a")], []),
    ]
    var seeds: [[UInt8]] = []
    for (name, element, columns, documents) in sets {
      let directory = try scratch.directory(name)
      let writer = try ShardSetWriter(
        directory: directory, element: element, columns: columns, configuration: configuration,
        frameRows: 16)
      try writer.writeShard(0) { sink in
        for document in documents { try sink.append(document: document) }
      }
      try writer.finish(metadata: [:])
      seeds.append(try FileBytes.read("\(directory)/\(ShardSetWriter.name(ofShard: 0))"))
    }
    let file = try scratch.file("x.shard")
    return FuzzTarget(
      "shard", seeds: seeds, words: ["OTTSHARD", "\"cardinality\":", "\"columns\":"],
      isSealed: true, reseal: reseal(shard:)
    ) { bytes in
      try file.put(bytes)
      try ShardFile(path: file.path).decodeAll(isThorough: true) { _, _ in }
    }
  }

  /// Weights that vouch for themselves.
  static func safeTensors(_ scratch: ScratchDirectory) throws -> FuzzTarget {
    let whole = "\(scratch.path)/whole.safetensors"
    let values: [Float] = (0..<24).map { Float($0) - 3.5 }
    try values.withUnsafeBufferPointer { values in
      _ = try SafeTensors.write(
        to: whole, metadata: ["format": "x", "state": "{}"], isSealed: true,
        tensors: [
          .init(name: "a", shape: [2, 4], values: .init(rebasing: values[..<8])),
          .init(name: "b.c", shape: [16], values: .init(rebasing: values[8...])),
          .init(name: "d", shape: [0, 3], values: .init(rebasing: values[..<0])),
        ])
    }
    let seed = try FileBytes.read(whole)
    let file = try scratch.file("x.safetensors")
    return FuzzTarget(
      "safetensors", seeds: [seed],
      words: ["\"dtype\":\"F32\"", "\"shape\":[", "\"data_offsets\":[", "__metadata__", "F16"],
      isSealed: true, reseal: reseal(safeTensors:)
    ) { bytes in
      try file.put(bytes)
      let weights = try SafeTensorsFile(path: file.path)
      try weights.verifySeal(remedy: "")
      for (name, entry) in weights.tensors {
        var bytes = [UInt8](repeating: 0, count: entry.shape.reduce(entry.dtype.bytes, *))
        try bytes.withUnsafeMutableBytes {
          try weights.read(name, dtype: entry.dtype, shape: entry.shape, into: $0)
        }
      }
    }
  }

  /// The keys of a store of f-grams.
  static func keys(_ scratch: ScratchDirectory) throws -> FuzzTarget {
    let directory = try scratch.directory("store")
    let levels: [[UInt64]] = [
      [0, 1, 1 << 32, 1 << 32 | 1], [1, 1 << 32, 1 << 32 | 1, 2 << 32, 2 << 32 | 1, 3 << 32],
      [0, 1, 1 << 32, 2 << 32 | 1, 3 << 32, 4 << 32 | 1, 5 << 32 | 1],
    ]
    let set = FGramSet(
      vocabulary: 2, levels: levels.map { ($0, $0.map { _ in 1 }) }, longest: 4)
    _ = try FGramStore.write(
      set,
      description: StoreDescription(
        vocabulary: 2, longest: 4, count: set.count, width: 1, precision: .float32, model: "a",
        fGrams: "b"), to: directory
    ) { try $0.append(zeroRows: set.count) }
    let file = try scratch.file("x.keys")
    return FuzzTarget(
      "keys", seeds: [try FileBytes.read("\(directory)/keys")], words: ["OTTFGKEY"],
      isSealed: true, reseal: reseal(keys:)
    ) { bytes in
      try file.put(bytes)
      let set = try FGramStore.keys(at: file.path)
      for id in 0..<set.count {
        precondition(set.id(of: set.tokens(of: id)) == id, "an f-gram that is another")
      }
    }
  }

  // MARK: - Mending digests (docs/FORMAT.md)

  private static func reseal(keys bytes: inout [UInt8]) -> Bool {
    guard bytes.count > 4096 else { return false }
    let content = bytes.count - 4096
    for i in 0..<8 { bytes[56 + i] = UInt8(truncatingIfNeeded: content >> (8 * i)) }
    bytes.replaceSubrange(256..<4096, with: repeatElement(0, count: 4096 - 256))
    var digest = SHA256()
    digest.update(bytes.withUnsafeBytes { SHA256.halves(of: .init(rebasing: $0[4096...])) })
    bytes.replaceSubrange(128..<160, with: digest.finalize())
    var header = SHA256()
    header.update(Array(bytes[..<224]))
    bytes.replaceSubrange(224..<256, with: header.finalize())
    return true
  }

  private static func reseal(shard bytes: inout [UInt8]) -> Bool {
    guard bytes.count >= ShardHeader.size else { return false }
    let integer = { (bytes: [UInt8], offset: Int, width: Int) in
      (0..<width).reduce(UInt64(0)) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
    }
    let count = UInt64(bytes.count)
    let lengthsOffset = UInt64(ShardHeader.size) &+ integer(bytes, 40, 8)
    let tableOffset = lengthsOffset &+ integer(bytes, 48, 8) &+ integer(bytes, 56, 4)
    if lengthsOffset <= tableOffset, tableOffset <= count {
      for entry in stride(from: Int(tableOffset), to: bytes.count - 31, by: 32) {
        let offset = integer(bytes, entry, 8)
        let size = integer(bytes, entry + 8, 4)
        guard offset <= count, size <= count - offset else { continue }
        let frame = Array(bytes[Int(offset)..<Int(offset + size)])
        let digest = frame.withUnsafeBytes { SHA256.halves(of: $0) }
        bytes.replaceSubrange(entry + 16..<entry + 32, with: digest[..<16])
      }
      var tail = SHA256()
      tail.update(Array(bytes[Int(lengthsOffset)...]))
      bytes.replaceSubrange(96..<128, with: tail.finalize())
    }
    var header = SHA256()
    header.update(Array(bytes[..<128]))
    bytes.replaceSubrange(128..<160, with: header.finalize())
    return true
  }

  private static func reseal(safeTensors bytes: inout [UInt8]) -> Bool {
    guard bytes.count > 8, let brace = bytes.lastIndex(of: UInt8(ascii: "}")), brace >= 8 else {
      return false
    }
    var end = brace + 1
    while end < bytes.count, bytes[end] == 0x20 { end += 1 }
    for i in 0..<8 { bytes[i] = UInt8(truncatingIfNeeded: (end - 8) >> (8 * i)) }
    let opening = Array("\"digest\":\"".utf8)
    guard
      let start = (8..<max(8, end - opening.count - 64)).first(where: {
        bytes[$0] == opening[0] && bytes[$0..<$0 + opening.count].elementsEqual(opening)
      })
    else { return true }
    let place = start + opening.count..<start + opening.count + 64
    bytes.replaceSubrange(place, with: repeatElement(UInt8(ascii: "0"), count: 64))
    bytes.replaceSubrange(place, with: SHA256.hex(of: bytes).utf8)
    return true
  }
}
