/// A file of scalars that TensorBoard reads: records of length, checksum, bytes, checksum; the bytes of each are
/// a message `Event` in Protocol Buffers.
///
///     Event:   1 wall_time double, 2 step int64, 3 file_version string, 5 summary Summary
///     Summary: 1 value, repeated: 1 tag string, 2 simple_value float
///
/// Source: `event.proto`, `summary.proto` and `record_writer.h` of TensorFlow.
package struct EventFile: Sendable {
  package private(set) var bytes: [UInt8] = []

  /// Begins with the record that names the version.
  package init(wallTime: Double) {
    var event = Message()
    event.append(1, double: wallTime)
    event.append(3, bytes: Array("brain.Event:2".utf8))
    append(event)
  }

  /// One event with a value for each tag.
  package mutating func add(step: Int, wallTime: Double, scalars: [(tag: String, value: Float)]) {
    var summary = Message()
    for (tag, value) in scalars {
      var entry = Message()
      entry.append(1, bytes: Array(tag.utf8))
      entry.append(2, oneOf: value)
      summary.append(1, bytes: entry.bytes)
    }
    var event = Message()
    event.append(1, double: wallTime)
    event.append(2, varint: UInt64(step))
    event.append(5, bytes: summary.bytes)
    append(event)
  }

  private mutating func append(_ message: Message) {
    let length = littleEndian(UInt64(message.bytes.count))
    bytes += length + littleEndian(Checksum.masked(length))
    bytes += message.bytes + littleEndian(Checksum.masked(message.bytes))
  }
}

/// Fields in Protocol Buffers' encoding, which leaves out numbers that are zero, except one of several kinds of
/// which one is there.
private struct Message {
  private(set) var bytes: [UInt8] = []

  mutating func append(_ field: UInt64, varint value: UInt64) {
    if value == 0 { return }
    key(field, 0)
    varint(value)
  }

  mutating func append(_ field: UInt64, double value: Double) {
    if value.bitPattern == 0 { return }
    key(field, 1)
    bytes += littleEndian(value.bitPattern)
  }

  mutating func append(_ field: UInt64, bytes value: [UInt8]) {
    key(field, 2)
    varint(UInt64(value.count))
    bytes += value
  }

  mutating func append(_ field: UInt64, oneOf value: Float) {
    key(field, 5)
    bytes += littleEndian(value.bitPattern)
  }

  private mutating func key(_ field: UInt64, _ kind: UInt64) { varint(field << 3 | kind) }

  private mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }
}

private func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
  withUnsafeBytes(of: value.littleEndian) { Array($0) }
}

/// CRC-32C, the polynomial of Castagnoli.
enum Checksum {
  private static let table: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { sum, _ in sum & 1 == 1 ? sum >> 1 ^ 0x82F6_3B78 : sum >> 1 }
  }

  static func crc32c(_ bytes: [UInt8]) -> UInt32 {
    ~bytes.reduce(~0) { sum, byte in sum >> 8 ^ table[Int((sum ^ UInt32(byte)) & 0xFF)] }
  }

  /// As records have it, so that a checksum of bytes that hold checksums is no special case.
  static func masked(_ bytes: [UInt8]) -> UInt32 {
    let sum = crc32c(bytes)
    return (sum >> 15 | sum << 17) &+ 0xA282_EAD8
  }
}
