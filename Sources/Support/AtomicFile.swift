import Foundation

/// Files that appear whole or not at all: written under a temporary name in the same directory,
/// synced, renamed, and the directory synced. Where a path leads elsewhere than to a file, `Destination`
/// says what happens.
package enum AtomicFile {
  package static func write(_ text: String, to path: String) throws {
    try write(Array(text.utf8), to: path)
  }

  package static func write(_ data: Data, to path: String) throws {
    try write([UInt8](data), to: path)
  }

  package static func write(_ bytes: [UInt8], to path: String) throws {
    try bytes.withUnsafeBytes { try write($0, to: path) }
  }

  package static func write(_ bytes: UnsafeRawBufferPointer, to path: String) throws {
    try write(to: path) { try $0.append(bytes) }
  }

  /// Writes in pieces; when `body` throws, nothing is left behind and an older file stays as it was.
  /// - Parameter syncingDirectory: false leaves it to the caller to make the new name durable, by
  ///   `syncDirectory(of:)`.
  package static func write<Result>(
    to path: String, syncingDirectory: Bool = true, _ body: (inout FileWriter) throws -> Result
  ) throws -> Result {
    switch try Destination(path) {
    case .stream(let descriptor):
      var writer = FileWriter(stream: descriptor, path: path)
      let result = try body(&writer)
      try writer.syncAndClose()
      return result
    case .file(let target, let mode):
      let temporary = temporaryPath(for: target)
      var writer = try FileWriter(creating: temporary, for: path, mode: mode)
      do {
        let result = try body(&writer)
        try writer.syncAndClose()
        guard rename(temporary, target) == 0 else {
          throw FileFault.error("cannot rename to \(path)")
        }
        if syncingDirectory { try syncDirectory(of: target) }
        return result
      } catch {
        writer.abandon()
        unlink(temporary)
        throw error
      }
    }
  }

  /// `directory/.name.tmp-PID`.
  package static func temporaryPath(for path: String) -> String {
    "\(parent(of: path))/.\(name(of: path)).tmp-\(getpid())"
  }

  /// Deletes temporary files in `directory` whose writer is gone (or is this process).
  package static func removeStaleTemporaries(in directory: String) throws {
    for name in try names(in: directory) where name.hasPrefix(".") {
      guard let mark = name.range(of: ".tmp-", options: .backwards),
        let process = Int32(name[mark.upperBound...]), process > 0
      else { continue }
      let isAlive = kill(process, 0) == 0 || errno == EPERM
      if process == getpid() || !isAlive { unlink("\(directory)/\(name)") }
    }
  }

  /// Names of what a directory holds, hidden ones too, in no order.
  package static func names(in directory: String) throws -> [String] {
    do {
      return try FileManager.default.contentsOfDirectory(atPath: directory)
    } catch {
      throw UserError("\(directory): cannot list this directory")
    }
  }

  /// Makes renames and deletions in the directory of `path` durable.
  package static func syncDirectory(of path: String) throws {
    let directory = parent(of: path)
    let descriptor = open(directory, O_RDONLY | O_DIRECTORY)
    guard descriptor >= 0 else { throw FileFault.error("cannot open directory \(directory)") }
    defer { close(descriptor) }
    // Some file systems have no directory sync and say EINVAL: their renames are ordered anyway.
    guard fsync(descriptor) == 0 || errno == EINVAL else {
      throw FileFault.error("cannot sync directory \(directory)")
    }
  }

  /// Creates `path` and its parents where missing, each durable before the next.
  package static func makeDirectory(_ path: String) throws {
    var status = stat()
    if stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { return }
    let trimmed = String(Substring(withoutLastSlash(path)))
    let parent = parent(of: trimmed)
    if parent != trimmed, parent != "." { try makeDirectory(parent) }
    // Another process may have made it in between.
    guard mkdir(path, 0o777) == 0 || errno == EEXIST else {
      throw FileFault.error(
        "\(path): cannot create this directory",
        remedy: "Choose another directory or change its permissions.")
    }
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
      throw UserError(
        "\(path): cannot create this directory", found: "something else of this name",
        remedy: "Choose another directory or change its permissions.")
    }
    try syncDirectory(of: trimmed)
  }

  /// The directory that `path` lies in: "." for a plain name.
  package static func parent(of path: String) -> String {
    // By bytes: a slash before a combining character is a slash.
    let bytes = withoutLastSlash(path)
    guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { return "." }
    return slash == bytes.startIndex ? "/" : String(path[..<slash])
  }

  /// The last component of `path`.
  package static func name(of path: String) -> String {
    let bytes = withoutLastSlash(path)
    guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")), bytes.count > 1 else {
      return String(Substring(bytes))
    }
    return String(Substring(bytes[bytes.index(after: slash)...]))
  }

  private static func withoutLastSlash(_ path: String) -> Substring.UTF8View {
    let bytes = path[...].utf8
    return bytes.count > 1 && bytes.last == UInt8(ascii: "/") ? bytes.dropLast() : bytes
  }
}

/// Messages for failed system calls.
package enum FileFault {
  /// `what: <text of errno>`; call it right after the failing system call.
  package static func error(_ what: String, remedy: String? = nil) -> UserError {
    let text = String(cString: strerror(errno))
    return UserError("\(what): \(text)", remedy: remedy)
  }
}
