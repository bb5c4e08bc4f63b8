import Foundation

/// An open file being written from its start; the owner of one descriptor.
package struct FileWriter: ~Copyable {
  private var descriptor: Int32
  package let path: String
  /// Bytes appended so far.
  package private(set) var count = 0

  /// Creates (or empties) the file at `path`.
  package init(creating path: String) throws {
    self.path = path
    descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      throw FileFault.error(
        "cannot write \(path)", remedy: "Choose another directory or change its permissions.")
    }
  }

  deinit {
    if descriptor >= 0 { _ = Foundation.close(descriptor) }
  }

  package mutating func append(_ bytes: UnsafeRawBufferPointer) throws {
    try write(bytes) { Foundation.write(descriptor, $0, $1) }
    count += bytes.count
  }

  package mutating func append(_ bytes: [UInt8]) throws {
    try bytes.withUnsafeBytes { try append($0) }
  }

  /// Overwrites bytes that were appended before (a header whose fields are known only at the end).
  package mutating func overwrite(_ bytes: [UInt8], at offset: Int) throws {
    precondition(offset >= 0 && offset + bytes.count <= count, "overwrite past the end of \(path)")
    var position = offset
    try bytes.withUnsafeBytes { bytes in
      try write(bytes) {
        let written = pwrite(descriptor, $0, $1, off_t(position))
        position += max(0, written)
        return written
      }
    }
  }

  /// Makes the content durable and closes the file.
  package mutating func syncAndClose() throws {
    guard fsync(descriptor) == 0 else { throw FileFault.error("cannot sync \(path)") }
    try close()
  }

  /// Closes the file; its content becomes durable when the system likes, or by `DurableRename`.
  package mutating func close() throws {
    let closed = Foundation.close(descriptor)
    descriptor = -1
    guard closed == 0 else { throw FileFault.error("cannot close \(path)") }
  }

  /// Closes without caring for the content.
  package mutating func abandon() {
    if descriptor >= 0 { _ = Foundation.close(descriptor) }
    descriptor = -1
  }

  private func write(
    _ bytes: UnsafeRawBufferPointer, by call: (UnsafeRawPointer?, Int) -> Int
  ) throws {
    var rest = bytes
    while !rest.isEmpty {
      let written = call(rest.baseAddress, rest.count)
      if written < 0 {
        if errno == EINTR { continue }
        throw FileFault.error("cannot write \(path)")
      }
      rest = UnsafeRawBufferPointer(rebasing: rest[written...])
    }
  }
}

/// Whole files in memory.
package enum FileBytes {
  package static func read(_ path: String) throws -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileFault.error("cannot read \(path)") }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw FileFault.error("cannot read \(path)") }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw UserError(path, expected: "a regular file", found: "something else")
    }
    let size = Int(status.st_size)
    return try [UInt8](unsafeUninitializedCapacity: size) { buffer, filled in
      while filled < size {
        let got = Foundation.read(descriptor, buffer.baseAddress.map { $0 + filled }, size - filled)
        if got < 0 {
          if errno == EINTR { continue }
          throw FileFault.error("cannot read \(path)")
        }
        if got == 0 { break }
        filled += got
      }
    }
  }

  /// Whether anything exists at `path`.
  package static func exists(_ path: String) -> Bool {
    access(path, F_OK) == 0
  }
}
