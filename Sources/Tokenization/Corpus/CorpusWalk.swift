import Foundation
import Support

/// The corpus files below a directory, links followed, hidden names left out.
///
/// What starts with a dot was not put there to be read: caches, checkpoints of editors and notebooks,
/// the `._x` that one system leaves beside its files on others. A directory is visited once, so links
/// that lead back up end there.
struct CorpusWalk {
  private struct Identity: Hashable {
    let device: UInt64
    let file: UInt64

    init(_ status: stat) {
      device = UInt64(status.st_dev)
      file = UInt64(status.st_ino)
    }
  }

  /// In the order of the walk.
  private(set) var files: [BytePath] = []
  /// Hidden corpus files and directories.
  private(set) var hidden: [BytePath] = []
  /// Links to directories that were read under another name.
  private(set) var repeated: [BytePath] = []
  private var visited: Set<Identity> = []

  /// - Throws: `UserError` when a directory cannot be listed, or when what is called like a corpus file
  ///   is none that can be read.
  mutating func visit(_ directory: BytePath) throws {
    guard let status = directory.status else { throw CorpusWalk.fault(directory) }
    guard visited.insert(Identity(status)).inserted else {
      repeated.append(directory)
      return
    }
    for name in try CorpusWalk.names(in: directory) {
      let path = directory.appending(name)
      let isHidden = name.first == UInt8(ascii: ".")
      guard let status = path.status else {
        if !isHidden && Corpus.isCorpusFile(path) { throw CorpusWalk.fault(path) }
        continue
      }
      let isDirectory = status.st_mode & S_IFMT == S_IFDIR
      if isHidden {
        if isDirectory || Corpus.isCorpusFile(path) { hidden.append(path) }
      } else if isDirectory {
        try visit(path)
      } else if Corpus.isCorpusFile(path) {
        guard status.st_mode & S_IFMT == S_IFREG else {
          throw UserError(
            "\(path): not a corpus file", expected: "a regular file", found: "a pipe or a device",
            remedy: "Remove it.")
        }
        files.append(path)
      }
    }
  }

  /// Names in a directory but `.` and `..`, by their bytes.
  private static func names(in directory: BytePath) throws -> [[UInt8]] {
    guard let stream = directory.withCString({ opendir($0) }) else { throw fault(directory) }
    defer { closedir(stream) }
    var names: [[UInt8]] = []
    errno = 0
    while let entry = readdir(stream) {
      let start = UnsafeRawPointer(entry) + (MemoryLayout<dirent>.offset(of: \.d_name) ?? 0)
      let name = start.assumingMemoryBound(to: UInt8.self)
      let length = strlen(start.assumingMemoryBound(to: CChar.self))
      let bytes = Array(UnsafeBufferPointer(start: name, count: length))
      if bytes != [0x2E] && bytes != [0x2E, 0x2E] { names.append(bytes) }
    }
    if errno != 0 { throw fault(directory) }
    return names.sorted { $0.lexicographicallyPrecedes($1) }
  }

  /// Of the last system call that failed.
  private static func fault(_ path: BytePath) -> UserError {
    UserError(
      "\(path): cannot be read", expected: "a corpus file or directory",
      found: String(cString: strerror(errno)),
      remedy: "Remove it, mend the link, or change its permissions.")
  }
}
