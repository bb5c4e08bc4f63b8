import Foundation

/// Where a path to be written leads; the same for every writer.
///
/// - A regular file, or nothing yet: a new file takes the name when it is whole, with the permissions
///   of the one before.
/// - A symbolic link: what it points to is replaced or made, and the link stays.
/// - A device, pipe or socket, and an open descriptor (`/dev/stdout`, `/dev/fd/9`): written through.
/// - A directory is refused.
enum Destination {
  case file(String, mode: mode_t?)
  /// A descriptor for the writer to close.
  case stream(Int32)

  /// As many links in a row as the kernel follows.
  private static let mostLinks = 40

  init(_ path: String) throws {
    guard let last = path.utf8.last, last != UInt8(ascii: "/") else {
      throw UserError(
        "cannot write '\(path)'", expected: "the name of a file",
        found: path.isEmpty ? "nothing" : "a directory's name")
    }
    let target = try Destination.target(of: path)
    if let number = Destination.descriptor(named: target) {
      self = .stream(try Destination.duplicate(number, path))
      return
    }
    var status = stat()
    guard stat(target, &status) == 0 else {
      // What else is wrong, creating the file will say.
      self = .file(target, mode: nil)
      return
    }
    switch status.st_mode & S_IFMT {
    case S_IFREG:
      self = .file(target, mode: status.st_mode & 0o777)
    case S_IFDIR:
      throw UserError(
        "cannot write \(path)", expected: "the name of a file", found: "a directory",
        remedy: "Name a file in it.")
    default:
      let descriptor = open(target, O_WRONLY | O_CLOEXEC | O_NOCTTY)
      guard descriptor >= 0 else { throw FileFault.error("cannot write \(path)") }
      self = .stream(descriptor)
    }
  }

  /// `path`, or what it points to in the end if it is a symbolic link; that need not exist.
  static func target(of path: String) throws -> String {
    var path = path
    for _ in 0...mostLinks {
      if descriptor(named: path) != nil { return path }
      var bytes = [UInt8](repeating: 0, count: Int(PATH_MAX))
      let count = readlink(path, &bytes, bytes.count)
      guard count >= 0 else { return path }
      guard let link = String(validating: bytes[..<count], as: UTF8.self) else {
        throw UserError(
          "cannot write \(path)", expected: "a link to a name in UTF-8", found: "other bytes")
      }
      path = link.utf8.first == UInt8(ascii: "/") ? link : AtomicFile.parent(of: path) + "/" + link
    }
    throw UserError("cannot write \(path): too many levels of symbolic links")
  }

  /// The number in `/dev/fd/9` and its other names.
  private static func descriptor(named path: String) -> Int32? {
    for folder in ["/dev/fd/", "/proc/self/fd/", "/proc/\(getpid())/fd/"]
    where path.hasPrefix(folder) {
      return Int32(path.dropFirst(folder.count))
    }
    return nil
  }

  /// Another descriptor of the same open file: opening its name would begin at its start again.
  private static func duplicate(_ number: Int32, _ path: String) throws -> Int32 {
    if number == STDOUT_FILENO { return try StandardOutput.lend() }
    let descriptor = fcntl(number, F_DUPFD_CLOEXEC, 3)
    guard descriptor >= 0 else { throw FileFault.error("cannot write \(path)") }
    return descriptor
  }
}
