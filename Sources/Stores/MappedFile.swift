import Foundation
import Support

/// A file in memory: mapped, so that pages come when they are read, or read whole.
// Unchecked: nobody writes.
final class MappedFile: @unchecked Sendable {
  let bytes: UnsafeRawBufferPointer
  private let isMapped: Bool

  /// - Parameter isResident: read whole, into memory of its own.
  /// - Throws: `UserError` when it cannot be read.
  init(_ path: String, isResident: Bool) throws {
    let file = try OpenFile(path)
    var status = stat()
    guard fstat(file.descriptor, &status) == 0 else { throw FileFault.error("cannot read \(path)") }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw UserError(path, expected: "a regular file", found: "something else")
    }
    let size = Int(status.st_size)
    isMapped = !isResident && size > 0
    if isMapped {
      guard let memory = mmap(nil, size, PROT_READ, MAP_SHARED, file.descriptor, 0),
        memory != MAP_FAILED
      else { throw FileFault.error("cannot map \(path)") }
      // Advice: pages are read one by one, in no order.
      _ = madvise(memory, size, MADV_RANDOM)
      bytes = UnsafeRawBufferPointer(start: memory, count: size)
    } else {
      let memory = LargeMemory.allocate(bytes: size)
      let buffer = UnsafeMutableRawBufferPointer(start: memory, count: size)
      guard Descriptor.fill(buffer, from: file.descriptor) == size else {
        let fault = FileFault.error("cannot read \(path)")
        memory.deallocate()
        throw fault
      }
      bytes = UnsafeRawBufferPointer(buffer)
    }
  }

  deinit {
    guard let memory = UnsafeMutableRawPointer(mutating: bytes.baseAddress) else { return }
    if isMapped { munmap(memory, bytes.count) } else { memory.deallocate() }
  }

  /// Asks the system to begin reading so many bytes, and does not wait.
  func expect(_ count: Int, at offset: Int) {
    guard isMapped, let base = bytes.baseAddress else { return }
    let first = offset & ~4095
    _ = madvise(
      UnsafeMutableRawPointer(mutating: base + first), offset + count - first, MADV_WILLNEED)
  }
}
