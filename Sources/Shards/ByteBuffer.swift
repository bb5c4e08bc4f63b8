/// Growing raw memory with one owner. Not initialised beyond `count`.
final class ByteBuffer {
  private var storage: UnsafeMutableRawBufferPointer
  private(set) var count = 0

  init(capacity: Int = 0) {
    storage = .allocate(byteCount: max(64, capacity), alignment: 64)
  }

  deinit { storage.deallocate() }

  /// What was appended so far; valid until the next change.
  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: storage[..<count]) }

  /// Room for `size` more bytes behind the content; valid until the next change.
  func room(for size: Int) -> UnsafeMutableRawBufferPointer {
    if count + size > storage.count {
      let larger = UnsafeMutableRawBufferPointer.allocate(
        byteCount: max(count + size, 2 * storage.count), alignment: 64)
      larger.copyMemory(from: bytes)
      storage.deallocate()
      storage = larger
    }
    return UnsafeMutableRawBufferPointer(rebasing: storage[count..<count + size])
  }

  /// Takes the first `size` bytes of the room into the content.
  func take(_ size: Int) {
    precondition(size >= 0 && count + size <= storage.count, "took more than there was room for")
    count += size
  }

  func append(_ bytes: UnsafeRawBufferPointer) {
    room(for: bytes.count).copyMemory(from: bytes)
    take(bytes.count)
  }

  func append<Value: FixedWidthInteger>(littleEndian value: Value) {
    withUnsafeBytes(of: value.littleEndian) { append($0) }
  }

  /// Copies `source` over content that is already there.
  func overwrite(at offset: Int, with source: Slice<UnsafeRawBufferPointer>) {
    precondition(offset >= 0 && offset + source.count <= count, "overwrite past the content")
    UnsafeMutableRawBufferPointer(rebasing: storage[offset..<offset + source.count])
      .copyMemory(from: UnsafeRawBufferPointer(rebasing: source))
  }

  /// Moves `size` bytes of content to a lower offset.
  func move(from source: Int, to target: Int, count size: Int) {
    overwrite(at: target, with: bytes[source..<source + size])
  }

  func removeAll() { count = 0 }
}
