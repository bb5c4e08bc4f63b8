import Foundation
import Support
import Synchronization

/// Bytes that do not fit in memory: a file without a name, which goes with its owner or its process,
/// however that ends.
final class SpillFile: Sendable {
  private let descriptor: Int32
  private let directory: String
  private let end = Atomic<Int>(0)
  /// By this process: a name for each.
  private static let opened = Atomic<Int>(0)

  /// Opens a temporary file in `directory` and takes its name away.
  ///
  /// - Throws: `UserError` when that cannot be done.
  init(in directory: String) throws {
    let number = Self.opened.add(1, ordering: .relaxed).oldValue
    let path = AtomicFile.temporaryPath(for: "\(directory)/spill-\(number)")
    self.directory = directory
    descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else {
      throw FileFault.error(
        "cannot write into \(directory)",
        remedy: "Choose another directory or change its permissions.")
    }
    guard unlink(path) == 0 else {
      let fault = FileFault.error("cannot remove \(path)")
      close(descriptor)
      throw fault
    }
  }

  deinit { close(descriptor) }

  /// Appends bytes; returns where they begin. Any thread may call it.
  func append(_ bytes: UnsafeRawBufferPointer) throws -> Int {
    let offset = end.add(bytes.count, ordering: .relaxed).oldValue
    try write(bytes, at: offset)
    return offset
  }

  /// Overwrites bytes that were appended before.
  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws {
    let fault = Descriptor.write(bytes, to: descriptor, at: offset)
    guard fault == 0 else {
      errno = fault
      throw FileFault.error(
        "cannot spill into \(directory)", remedy: "Make room there, or raise --memory.")
    }
  }

  /// Fills `buffer` with bytes that were appended.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    guard let count = Descriptor.fill(buffer, from: descriptor, at: offset) else {
      throw FileFault.error("cannot read what was spilled into \(directory)")
    }
    precondition(count == buffer.count, "read past the end of what was spilled")
  }
}
