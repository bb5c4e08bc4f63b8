import Foundation

/// An open file being written from its start; the owner of one descriptor.
package struct FileWriter: ~Copyable {
  private var descriptor: Int32
  /// What messages call it.
  package let path: String
  /// Bytes appended so far.
  package private(set) var count = 0
  /// A device, pipe or socket, or a descriptor that others write to as well: bytes only follow bytes.
  private let isStream: Bool

  /// Creates (or empties) the file at `temporary`, which will be called `path`.
  ///
  /// - Parameter mode: permissions that it gets; nil for those of any new file.
  package init(creating temporary: String, for path: String, mode: mode_t? = nil) throws {
    self.path = path
    isStream = false
    let flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW
    descriptor = open(temporary, flags, 0o644)
    guard descriptor >= 0 else {
      throw FileFault.error(
        "cannot write \(path)", remedy: "Choose another directory or change its permissions.")
    }
    if let mode, fchmod(descriptor, mode) != 0 {
      throw FileFault.error("cannot write \(path)")
    }
  }

  /// Takes an open descriptor of what is no file of its own.
  init(stream descriptor: Int32, path: String) {
    self.path = path
    self.descriptor = descriptor
    isStream = true
  }

  deinit {
    if descriptor >= 0 { _ = Foundation.close(descriptor) }
  }

  package mutating func append(_ bytes: UnsafeRawBufferPointer) throws {
    try check(Descriptor.write(bytes, to: descriptor))
    count += bytes.count
  }

  package mutating func append(_ bytes: [UInt8]) throws {
    try bytes.withUnsafeBytes { try append($0) }
  }

  /// Appends zeros, which take no room on a disk whose file system has holes.
  package mutating func append(zeros: Int) throws {
    if isStream || zeros == 0 {
      try append([UInt8](repeating: 0, count: zeros))
      return
    }
    guard ftruncate(descriptor, off_t(count + zeros)) == 0,
      lseek(descriptor, off_t(zeros), SEEK_CUR) >= 0
    else { throw FileFault.error("cannot write \(path)") }
    count += zeros
  }

  /// Overwrites bytes that were appended before (a header whose fields are known only at the end).
  ///
  /// - Throws: also `UserError` where there is no going back.
  package mutating func overwrite(_ bytes: [UInt8], at offset: Int) throws {
    precondition(offset >= 0 && offset + bytes.count <= count, "overwrite past the end of \(path)")
    guard !isStream else {
      throw UserError(
        path, expected: "a regular file: the beginning of this format is written last",
        found: "a stream", remedy: "Write a file and copy it there.")
    }
    try check(bytes.withUnsafeBytes { Descriptor.write($0, to: descriptor, at: offset) })
  }

  /// Makes the content durable, where there is a disk behind it, and closes the file.
  mutating func syncAndClose() throws {
    // Pipes and most devices say EINVAL.
    guard fsync(descriptor) == 0 || (isStream && (errno == EINVAL || errno == EROFS)) else {
      throw FileFault.error("cannot sync \(path)")
    }
    let closed = close(descriptor)
    descriptor = -1
    guard closed == 0 else { throw FileFault.error("cannot close \(path)") }
  }

  /// Closes without caring for the content.
  package mutating func abandon() {
    if descriptor >= 0 { _ = Foundation.close(descriptor) }
    descriptor = -1
  }

  /// Throws what a write that ended with `fault` means.
  private func check(_ fault: Int32) throws {
    if fault == 0 { return }
    if fault == EPIPE { throw ReaderGone() }
    errno = fault
    throw FileFault.error("cannot write \(path)")
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
      guard let count = Descriptor.fill(UnsafeMutableRawBufferPointer(buffer), from: descriptor)
      else { throw FileFault.error("cannot read \(path)") }
      filled = count
    }
  }

  /// SHA-256 of a file, whatever its size, in hexadecimal.
  package static func digest(of path: String) throws -> String {
    let file = try OpenFile(path)
    var digest = SHA256()
    var piece = [UInt8](repeating: 0, count: 1 << 20)
    var offset = 0
    while true {
      let filled = piece.withUnsafeMutableBytes {
        Descriptor.fill($0, from: file.descriptor, at: offset)
      }
      guard let filled else { throw FileFault.error("cannot read \(path)") }
      piece.withUnsafeBytes { digest.update(UnsafeRawBufferPointer(rebasing: $0[..<filled])) }
      offset += filled
      if filled < piece.count { return digest.finalizeHex() }
    }
  }

  /// Whether anything exists at `path`.
  package static func exists(_ path: String) -> Bool {
    access(path, F_OK) == 0
  }

  /// Whether `path` is a directory, or leads to one.
  package static func isDirectory(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }
}
