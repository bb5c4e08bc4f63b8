import Foundation

/// Keeps outputs apart from inputs: nothing that a command reads may change under it, and nothing that
/// it writes may become part of what it reads the next time.
///
/// Files and directories are compared by what they are, not by how they are spelled: through links,
/// `..`, and mounts.
package enum OutputPath {
  /// Refuses a file to be written that is one of `inputs` or lies inside one.
  ///
  /// - Parameter inputs: files, directories and globs; what does not exist is in nobody's way.
  package static func require(file path: String, apartFrom inputs: [String]) throws {
    let around = try FileID.chain(of: path)
    for input in expand(inputs) {
      guard let id = FileID(input), around.contains(id) else { continue }
      throw fault(path, FileID(path) == id ? "one of its inputs" : "a place inside \(input)")
    }
  }

  /// Refuses a directory to be filled that is one of `inputs`, or lies inside or around one.
  ///
  /// - Parameter inputs: as for files.
  package static func require(directory path: String, apartFrom inputs: [String]) throws {
    try require(file: path, apartFrom: inputs)
    guard let directory = FileID(path) else { return }
    for input in expand(inputs) where FileID(input) != nil {
      if try FileID.chain(of: input).contains(directory) {
        throw fault(path, "the place of \(input)")
      }
    }
  }

  private static func fault(_ path: String, _ found: String) -> UserError {
    UserError(
      "\(path): cannot be the output", expected: "a place apart from what is read",
      found: found, remedy: "Choose another output.")
  }

  private static func expand(_ inputs: [String]) -> [String] {
    inputs.flatMap { input in
      guard !FileBytes.exists(input), input.utf8.contains(where: { "*?[".utf8.contains($0) }) else {
        return [input]
      }
      var found = glob_t()
      defer { globfree(&found) }
      guard glob(input, 0, nil, &found) == 0 else { return [] }
      return (0..<Int(found.gl_pathc)).compactMap { found.gl_pathv[$0].map { String(cString: $0) } }
    }
  }
}

/// A regular file or directory, whatever its names.
private struct FileID: Hashable {
  let device: dev_t
  let inode: ino_t
  let isDirectory: Bool

  /// Nil for what does not exist or is neither file nor directory.
  init?(_ path: String) {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    let kind = status.st_mode & S_IFMT
    guard kind == S_IFREG || kind == S_IFDIR else { return nil }
    device = status.st_dev
    inode = status.st_ino
    isDirectory = kind == S_IFDIR
  }

  /// What exists of `path`, links followed, and of the directories around it, inside out.
  static func chain(of path: String) throws -> [FileID] {
    var path = try Destination.target(of: path)
    while !FileBytes.exists(path), path != ".", path != "/" { path = AtomicFile.parent(of: path) }
    guard let real = realpath(path, nil) else { return [] }
    defer { free(real) }
    var chain: [FileID] = []
    var place = String(cString: real)
    while true {
      if let id = FileID(place) { chain.append(id) }
      if place == "/" { return chain }
      place = AtomicFile.parent(of: place)
    }
  }
}
