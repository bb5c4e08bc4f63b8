import Support

/// One column of a shard set in the layouts that other people's loaders read. All little-endian.
///
/// - nanogpt: raw u16 ids, no header (karpathy/nanoGPT, data/*/prepare.py).
/// - llmc: 256 × i32 header [20240520, 1, count] and u16 ids, or [20240801, 7, count] and u32 ids
///   (karpathy/llm.c, dev/data/data_common.py).
/// - megatron: `.bin` with ids only and `.idx` with sequence lengths, pointers and document indices
///   (NVIDIA/Megatron-LM, megatron/core/datasets/indexed_dataset.py).
/// - npy: one-dimensional NumPy array, format 1.0.
package enum ShardExport: String, CaseIterable, Sendable {
  case nanogpt, llmc, megatron, npy

  /// Writes column `name` of `set`; returns the files written.
  ///
  /// - Parameter path: the file to write; for megatron the prefix of `.bin` and `.idx`.
  /// - Throws: `UserError` when the layout cannot hold the ids or their number, and where the set lies.
  package func write(_ set: ShardSet, column name: String, to path: String) throws -> [String] {
    guard let column = set.columns.firstIndex(where: { $0.name == name }) else {
      throw UserError(
        "\(set.directory): column '\(name)'",
        expected: "one of \(set.columns.map(\.name).joined(separator: ", "))",
        found: "no such column"
      )
    }
    let source = Source(set: set, column: column)
    let files = self == .megatron ? [path + ".bin", path + ".idx"] : [path]
    let inputs = [set.directory] + set.shards.map { "\(set.directory)/\($0.name)" }
    for file in files { try OutputPath.require(file: file, apartFrom: inputs) }
    switch self {
    case .nanogpt:
      try source.require(self, at: path, fits: 1 << 16)
      try AtomicFile.write(to: path) { try source.copy(to: &$0, width: 2) }
    case .llmc:
      let isNarrow = source.cardinality.map { $0 <= 1 << 16 } ?? (set.element.width <= 2)
      try source.require(self, at: path, fits: 1 << 32)
      guard let count = Int32(exactly: set.elements) else {
        throw UserError(
          path, expected: "at most \(Int32.max) ids in one llm.c file", found: "\(set.elements)")
      }
      try AtomicFile.write(to: path) {
        let head = isNarrow ? [20_240_520, 1, count] : [20_240_801, 7, count]
        try $0.append(littleEndian(head + [Int32](repeating: 0, count: 253)))
        try source.copy(to: &$0, width: isNarrow ? 2 : 4)
      }
    case .megatron:
      try source.require(self, at: path, fits: 1 << 31)
      try AtomicFile.write(to: files[0]) { try source.copy(to: &$0, width: set.element.width) }
      try AtomicFile.write(to: files[1]) { try source.writeMegatronIndex(to: &$0) }
    case .npy:
      try AtomicFile.write(to: path) {
        try $0.append(npyHeader(set.element, count: set.elements))
        try source.copy(to: &$0, width: set.element.width)
      }
    }
    return files
  }

  /// Magic, version 1.0, and a dictionary padded with spaces so that the data begin at 64 bytes.
  private func npyHeader(_ element: ElementType, count: Int) -> [UInt8] {
    let type =
      switch element {
      case .u8: "|u1"
      case .u16: "<u2"
      case .u32: "<u4"
      case .u64: "<u8"
      case .f64: "<f8"
      }
    var text = "{'descr': '\(type)', 'fortran_order': False, 'shape': (\(count),), }"
    let padding = 63 - (10 + text.utf8.count) % 64
    text += String(repeating: " ", count: padding) + "\n"
    return [0x93] + Array("NUMPY".utf8) + [1, 0] + littleEndian([UInt16(text.utf8.count)])
      + Array(text.utf8)
  }
}

/// One column, streamed shard by shard.
private struct Source {
  let set: ShardSet
  let column: Int

  var cardinality: Int? { return set.columns[column].cardinality }

  func require(_ layout: ShardExport, at path: String, fits limit: Int) throws {
    guard set.element != .f64 else {
      throw UserError(
        path, expected: "a column of ids for \(layout.rawValue)", found: "a column of f64",
        remedy: "Use --to npy.")
    }
    let count = cardinality ?? set.element.largestCardinality
    guard count <= limit else {
      throw UserError(
        path, expected: "at most \(limit) different ids for \(layout.rawValue)", found: "\(count)",
        remedy: "Use --to npy.")
    }
  }

  /// Appends all elements with `width` bytes each (as they are, or widened, or narrowed where the
  /// cardinality permits).
  func copy(to writer: inout FileWriter, width: Int) throws {
    for shard in set.shards.indices {
      let loaded = try set.load(shard: shard)
      if width == set.element.width {
        switch set.element {
        case .u8: try writer.append(UnsafeRawBufferPointer(loaded.buffer(column, as: UInt8.self)))
        case .u16: try writer.append(UnsafeRawBufferPointer(loaded.buffer(column, as: UInt16.self)))
        case .u32: try writer.append(UnsafeRawBufferPointer(loaded.buffer(column, as: UInt32.self)))
        case .u64: try writer.append(UnsafeRawBufferPointer(loaded.buffer(column, as: UInt64.self)))
        case .f64: try writer.append(UnsafeRawBufferPointer(loaded.buffer(column, as: Double.self)))
        }
      } else if width == 2 {
        try converted(loaded, as: UInt16.self, to: &writer)
      } else {
        try converted(loaded, as: UInt32.self, to: &writer)
      }
    }
  }

  private func converted<T: FixedWidthInteger & BitwiseCopyable>(
    _ loaded: LoadedColumns, as type: T.Type, to writer: inout FileWriter
  ) throws {
    var values = [T](repeating: 0, count: loaded.count)
    var span = values.mutableSpan
    loaded.copy(column: column, rows: 0..<loaded.count, into: &span)
    try values.withUnsafeBytes { try writer.append($0) }
  }

  func writeMegatronIndex(to writer: inout FileWriter) throws {
    let code: UInt8 =
      switch set.element {
      case .u8: 1
      case .u16: 8
      case .u32: 4
      case .u64, .f64: 5
      }
    let lengths = try set.shards.indices.flatMap { try set.open(shard: $0).documentLengths }
    try writer.append(Array("MMIDIDX\0\0".utf8))
    try writer.append(littleEndian([1 as UInt64]))
    try writer.append([code])
    try writer.append(littleEndian([UInt64(lengths.count), UInt64(lengths.count + 1)]))
    try writer.append(littleEndian(lengths.map { Int32(truncatingIfNeeded: $0) }))
    var pointer: Int64 = 0
    let pointers = lengths.map { length in
      defer { pointer += Int64(length) * Int64(set.element.width) }
      return pointer
    }
    try writer.append(littleEndian(pointers))
    try writer.append(littleEndian((0...lengths.count).map { Int64($0) }))
  }
}

private func littleEndian<T: FixedWidthInteger>(_ values: [T]) -> [UInt8] {
  values.map(\.littleEndian).withUnsafeBytes { Array($0) }
}
