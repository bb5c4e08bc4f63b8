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
/// F32, BF16 and U32 are written and read.
package enum SafeTensors {
  /// The form of a tensor's elements.
  package enum DType: String, CaseIterable, Sendable {
    case float32 = "F32"
    case bfloat16 = "BF16"
    case uint32 = "U32"

    package var bytes: Int { self == .bfloat16 ? 2 : 4 }
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

    var bytes: Int { shape.reduce(dtype.bytes, *) }
  }

  static let metadataKey = "__metadata__"

  /// Writes `path` atomically and returns the SHA-256 of its bytes.
  ///
  /// - Precondition: names differ from each other and from `__metadata__`.
  @discardableResult
  package static func write(
    to path: String, metadata: [String: String] = [:], tensors: [Tensor]
  ) throws -> String {
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
      return digest.finalizeHex()
    }
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
  private let descriptor: Int32
  private let dataStart: Int

  /// Opens a file and checks its header against its size.
  ///
  /// - Throws: `UserError` for a file that is missing, truncated, not safetensors or of another dtype.
  package init(path: String) throws {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileFault.error("cannot read \(path)") }
    do {
      let size = Int(lseek(descriptor, 0, SEEK_END))
      var length: UInt64 = 0
      try withUnsafeMutableBytes(of: &length) {
        try Self.read(descriptor, path: path, at: 0, into: $0)
      }
      guard let headerBytes = Int(exactly: UInt64(littleEndian: length)), headerBytes <= size - 8,
        headerBytes <= 100_000_000
      else {
        throw UserError(
          path, expected: "a safetensors header within \(size) bytes",
          found: "a header of \(UInt64(littleEndian: length)) bytes (truncated or foreign?)")
      }
      var header = [UInt8](repeating: 0, count: headerBytes)
      try header.withUnsafeMutableBytes {
        try Self.read(descriptor, path: path, at: 8, into: $0)
      }
      (metadata, tensors) = try Self.parse(header, path: path, dataBytes: size - 8 - headerBytes)
      dataStart = 8 + headerBytes
    } catch {
      close(descriptor)
      throw error
    }
    self.path = path
    self.descriptor = descriptor
  }

  deinit { close(descriptor) }

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
    try Self.read(descriptor, path: path, at: dataStart + entry.begin, into: bytes)
  }

  private static func parse(
    _ header: [UInt8], path: String, dataBytes: Int
  ) throws -> ([String: String], [String: Entry]) {
    let text = String(decoding: header, as: UTF8.self).trimmingCharacters(in: .whitespaces)
    var reader = try ConfigReader(ConfigValue.parse(yaml: text, source: path), source: path)
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
      let count = shape.reduce(1) { $0.multipliedReportingOverflow(by: $1).partialValue }
      guard offsets.count == 2, offsets[1] <= dataBytes,
        offsets[1] - offsets[0] == count &* dtype.bytes
      else {
        throw entry.fault(
          "data_offsets",
          expected: "\(count &* dtype.bytes) bytes within the \(dataBytes) of the file",
          found: "\(offsets)", remedy: "The file is truncated or damaged.")
      }
      tensors[name] = Entry(dtype: dtype, shape: shape, begin: offsets[0], end: offsets[1])
    }
    try reader.finish()
    return (metadata, tensors)
  }

  private static func read(
    _ descriptor: Int32, path: String, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
  ) throws {
    var filled = 0
    while filled < buffer.count {
      let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
      let got = pread(descriptor, rest.baseAddress, rest.count, off_t(offset + filled))
      if got < 0 && errno == EINTR { continue }
      guard got >= 0 else { throw FileFault.error("cannot read \(path)") }
      guard got > 0 else {
        throw UserError(
          path, expected: "\(buffer.count) bytes at \(offset)", found: "\(filled) (truncated?)")
      }
      filled += got
    }
  }
}
