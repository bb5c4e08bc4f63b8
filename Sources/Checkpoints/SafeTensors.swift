import Foundation
import Support

/// Files of named float tensors in the safetensors format.
///
///     8 bytes   length of the header, little-endian
///     header    JSON: "__metadata__": {text: text}, name: {"dtype", "shape", "data_offsets"}; padded
///               with spaces to a multiple of 8 bytes
///     data      the tensors in the order given, row-major, little-endian, without gaps
///
/// The bytes are a function of the content: canonical JSON, tensors in the caller's order. The dtypes
/// F32, BF16 and U32 are written and read; F16 is read, and files may hold tensors of BOOL, U8 and I64 that
/// nobody reads.
///
/// A *sealed* file vouches for itself: its metadata has a member `digest`, SHA-256 of the whole file
/// with 64 zeros in the digest's place. Files whose digest stands elsewhere, as those of snapshots in
/// the run's index, need none.
package enum SafeTensors {
  /// The form of a tensor's elements.
  package enum DType: String, CaseIterable, Sendable {
    case float32 = "F32"
    case bfloat16 = "BF16"
    case uint32 = "U32"
    case float16 = "F16"
    case bool = "BOOL"
    case uint8 = "U8"
    case int64 = "I64"

    package var bytes: Int {
      switch self {
      case .bool, .uint8: 1
      case .bfloat16, .float16: 2
      case .float32, .uint32: 4
      case .int64: 8
      }
    }
  }

  /// One tensor to be written.
  package struct Tensor {
    package let name: String
    package let dtype: DType
    package let shape: [Int]
    /// Hands over the bytes, in any number of pieces.
    let content: (_ append: (UnsafeRawBufferPointer) throws -> Void) throws -> Void

    /// A tensor whose bytes are made while they are written.
    ///
    /// - Precondition: `content` appends as many bytes as the shape holds.
    package init(
      name: String, dtype: DType, shape: [Int],
      content: @escaping (_ append: (UnsafeRawBufferPointer) throws -> Void) throws -> Void
    ) {
      self.name = name
      self.dtype = dtype
      self.shape = shape
      self.content = content
    }

    /// A tensor of floats; the storage is borrowed until the tensor is written.
    ///
    /// - Precondition: as many values as the shape holds.
    package init(name: String, shape: [Int], values: UnsafeBufferPointer<Float>) {
      precondition(values.count == shape.reduce(1, *), "\(name): values and shape differ")
      self.init(name: name, dtype: .float32, shape: shape) { append in
        try append(UnsafeRawBufferPointer(values))
      }
    }

    package var bytes: Int { shape.reduce(dtype.bytes, *) }
  }

  static let metadataKey = "__metadata__"
  static let digestKey = "digest"
  /// What stands in the digest's place while the digest is taken.
  static let unsealed = String(repeating: "0", count: 64)
  /// Bytes of a header, at most: the limit of the format's own reader.
  static let maximumHeaderBytes = 100_000_000
  /// Bytes that are hashed at a time.
  static let hashedPieceBytes = 1 << 22

  /// Writes `path` atomically and returns the SHA-256 of its bytes; of a sealed file, the digest that
  /// it holds.
  ///
  /// - Precondition: names differ from each other and from `__metadata__`; the metadata of a file to
  ///   be sealed has no `digest`.
  @discardableResult
  package static func write(
    to path: String, metadata: [String: String] = [:], isSealed: Bool = false, tensors: [Tensor]
  ) throws -> String {
    var metadata = metadata
    if isSealed {
      precondition(metadata[digestKey] == nil, "\(path): metadata with a digest of its own")
      metadata[digestKey] = unsealed
    }
    var members: [String: ConfigValue] = [:]
    if !metadata.isEmpty { members[metadataKey] = .object(metadata.mapValues(ConfigValue.string)) }
    var offset = 0
    for tensor in tensors {
      let end = offset + tensor.bytes
      precondition(
        members[tensor.name] == nil && tensor.name != metadataKey, "two tensors \(tensor.name)")
      members[tensor.name] = [
        "dtype": .string(tensor.dtype.rawValue),
        "shape": .array(tensor.shape.map(ConfigValue.integer)),
        "data_offsets": [.integer(offset), .integer(end)],
      ]
      offset = end
    }
    var header = Array(ConfigValue.object(members).canonicalJSON.utf8)
    while header.count % 8 != 0 { header.append(UInt8(ascii: " ")) }
    let length = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) }
    return try AtomicFile.write(to: path) { file in
      var digest = SHA256()
      for bytes in [length, header] {
        digest.update(bytes)
        try file.append(bytes)
      }
      for tensor in tensors {
        var rest = tensor.bytes
        try tensor.content { bytes in
          digest.update(bytes)
          try file.append(bytes)
          rest -= bytes.count
        }
        precondition(rest == 0, "\(tensor.name): \(rest) bytes fewer than its shape holds")
      }
      let result = digest.finalizeHex()
      if isSealed {
        guard let offset = sealOffset(in: header) else {
          preconditionFailure("a sealed header without a place for its digest")
        }
        try file.overwrite(Array(result.utf8), at: 8 + offset)
      }
      return result
    }
  }

  /// Where the 64 digits of the digest stand in a header: behind the first `"digest":"` that opens the
  /// metadata's member, which canonical JSON puts first in the file.
  static func sealOffset(in header: [UInt8]) -> Int? {
    let opening = Array("{\"\(metadataKey)\":{\"\(digestKey)\":\"".utf8)
    guard header.starts(with: opening), header.count >= opening.count + unsealed.utf8.count else {
      return nil
    }
    return opening.count
  }
}

/// An open safetensors file: its header in memory, its tensors read on demand.
package final class SafeTensorsFile {
  package struct Entry: Sendable, Equatable {
    package let dtype: SafeTensors.DType
    package let shape: [Int]
    let begin: Int
    let end: Int
  }

  package let path: String
  package let metadata: [String: String]
  package let tensors: [String: Entry]
  private let file: OpenFile
  private let header: [UInt8]
  private let size: Int
  private var dataStart: Int { 8 + header.count }

  /// Opens a file and checks its header against its size: nothing is allocated that the file is too
  /// small to fill, and the tensors lie end to end from the first byte of the data to the last.
  ///
  /// - Throws: `UserError` for a file that is missing, truncated, not safetensors or of another dtype,
  ///   and for tensors that overlap or leave gaps.
  package init(path: String) throws {
    let file = try OpenFile(path)
    let size = Int(lseek(file.descriptor, 0, SEEK_END))
    var length: UInt64 = 0
    try withUnsafeMutableBytes(of: &length) {
      try Self.read(file.descriptor, path: path, at: 0, into: $0)
    }
    guard let headerBytes = Int(exactly: UInt64(littleEndian: length)), headerBytes <= size - 8,
      headerBytes <= SafeTensors.maximumHeaderBytes
    else {
      throw UserError(
        path, expected: "a safetensors header within \(size) bytes",
        found: "a header of \(UInt64(littleEndian: length)) bytes (truncated or foreign?)")
    }
    var header = [UInt8](repeating: 0, count: headerBytes)
    try header.withUnsafeMutableBytes {
      try Self.read(file.descriptor, path: path, at: 8, into: $0)
    }
    (metadata, tensors) = try Self.parse(header, path: path, dataBytes: size - 8 - headerBytes)
    self.header = header
    self.size = size
    self.file = file
    self.path = path
  }

  /// Fills `values` with the tensor `name`.
  ///
  /// - Throws: `UserError` when there is no such tensor or it has another shape.
  package func read(
    _ name: String, shape: [Int], into values: UnsafeMutableBufferPointer<Float>
  ) throws {
    try read(
      name, dtype: .float32, shape: shape, into: UnsafeMutableRawBufferPointer(values))
  }

  /// Fills `bytes` with the tensor `name`.
  ///
  /// - Throws: `UserError` when there is no such tensor or it has another form or shape.
  package func read(
    _ name: String, dtype: SafeTensors.DType, shape: [Int],
    into bytes: UnsafeMutableRawBufferPointer
  ) throws {
    precondition(bytes.count == shape.reduce(dtype.bytes, *), "\(name): bytes and shape differ")
    try read(name, dtype: dtype, shape: shape, at: 0, into: bytes)
  }

  /// Fills `bytes` with those of the tensor `name` from `offset` on.
  ///
  /// - Throws: as above.
  func read(
    _ name: String, dtype: SafeTensors.DType, shape: [Int], at offset: Int,
    into bytes: UnsafeMutableRawBufferPointer
  ) throws {
    guard let entry = tensors[name] else {
      throw UserError(
        "\(path): tensor \(name)", expected: "shape \(shape)", found: "no such tensor")
    }
    guard entry.shape == shape else {
      throw UserError(
        "\(path): tensor \(name)", expected: "shape \(shape)", found: "\(entry.shape)")
    }
    guard entry.dtype == dtype else {
      throw UserError(
        "\(path): tensor \(name)", expected: dtype.rawValue, found: entry.dtype.rawValue)
    }
    try read(entry, at: offset, into: bytes)
  }

  /// Fills `bytes` with those of a tensor of this file from `offset` on.
  func read(_ entry: Entry, at offset: Int, into bytes: UnsafeMutableRawBufferPointer) throws {
    precondition(offset + bytes.count <= entry.end - entry.begin, "beyond the end of a tensor")
    try Self.read(file.descriptor, path: path, at: dataStart + entry.begin + offset, into: bytes)
  }

  /// Reads the whole file once and compares it with the digest of its seal.
  ///
  /// - Throws: `UserError` for a file that is not sealed or was altered.
  package func verifySeal(remedy: String) throws {
    guard let offset = SafeTensors.sealOffset(in: header),
      let expected = metadata[SafeTensors.digestKey]
    else {
      throw UserError(path, expected: "a sealed file", found: "no digest", remedy: remedy)
    }
    var digest = SHA256()
    withUnsafeBytes(of: UInt64(header.count).littleEndian) { digest.update($0) }
    var blank = header
    blank.replaceSubrange(offset..<offset + expected.utf8.count, with: SafeTensors.unsealed.utf8)
    digest.update(blank)
    var piece = [UInt8](
      repeating: 0, count: min(SafeTensors.hashedPieceBytes, size - dataStart))
    var position = dataStart
    while position < size {
      let count = min(piece.count, size - position)
      try piece.withUnsafeMutableBytes { piece in
        let piece = UnsafeMutableRawBufferPointer(rebasing: piece[..<count])
        try Self.read(file.descriptor, path: path, at: position, into: piece)
        digest.update(UnsafeRawBufferPointer(piece))
      }
      position += count
    }
    let found = digest.finalizeHex()
    guard found == expected else {
      throw UserError(path, expected: "SHA-256 \(expected)", found: found, remedy: remedy)
    }
  }

  private static func parse(
    _ header: [UInt8], path: String, dataBytes: Int
  ) throws -> ([String: String], [String: Entry]) {
    var reader = try ConfigReader(
      ConfigValue.parse(json: header, source: path), source: path)
    var metadata: [String: String] = [:]
    if var group = try reader.optionalObject(SafeTensors.metadataKey) {
      for key in group.keys { metadata[key] = try group.string(key) }
    }
    var tensors: [String: Entry] = [:]
    for name in reader.keys where name != SafeTensors.metadataKey {
      var entry = try reader.object(name)
      let dtype = try entry.choice("dtype", SafeTensors.DType.self)
      let shape = try entry.ints("shape", in: 0...Int(Int32.max))
      let offsets = try entry.ints("data_offsets", in: 0...Int.max)
      guard let bytes = byteCount(of: shape, dtype), offsets.count == 2, offsets[1] <= dataBytes,
        offsets[0] <= offsets[1], offsets[1] - offsets[0] == bytes
      else {
        throw entry.fault(
          "data_offsets",
          expected: "the bytes of shape \(shape) within the \(dataBytes) of the file",
          found: "\(offsets)", remedy: "The file is truncated or damaged.")
      }
      tensors[name] = Entry(dtype: dtype, shape: shape, begin: offsets[0], end: offsets[1])
    }
    try reader.finish()
    try requireTiling(tensors, path: path, dataBytes: dataBytes)
    return (metadata, tensors)
  }

  /// Bytes of the values of a shape; nil beyond 64 bits.
  private static func byteCount(of shape: [Int], _ dtype: SafeTensors.DType) -> Int? {
    var bytes = dtype.bytes
    for extent in shape {
      let (product, overflow) = bytes.multipliedReportingOverflow(by: extent)
      if overflow { return nil }
      bytes = product
    }
    return bytes
  }

  /// Checks that the tensors, in the order of their places, fill the data without gap or overlap.
  private static func requireTiling(
    _ tensors: [String: Entry], path: String, dataBytes: Int
  ) throws {
    var end = 0
    let places = tensors.sorted { ($0.value.begin, $0.value.end) < ($1.value.begin, $1.value.end) }
    for (name, entry) in places {
      guard entry.begin == end else {
        throw UserError(
          "\(path): tensor \(name)", expected: "data from byte \(end)",
          found:
            "from \(entry.begin), so that tensors \(entry.begin < end ? "overlap" : "leave a gap")",
          remedy: "The file is damaged.")
      }
      end = entry.end
    }
    guard end == dataBytes else {
      throw UserError(
        path, expected: "tensors that fill \(dataBytes) bytes", found: "\(end)",
        remedy: "The file is truncated or damaged.")
    }
  }

  private static func read(
    _ descriptor: Int32, path: String, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
  ) throws {
    guard let filled = Descriptor.fill(buffer, from: descriptor, at: offset) else {
      throw FileFault.error("cannot read \(path)")
    }
    guard filled == buffer.count else {
      throw UserError(
        path, expected: "\(buffer.count) bytes at \(offset)", found: "\(filled) (truncated?)")
    }
  }
}
