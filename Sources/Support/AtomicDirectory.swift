import CSupport
import Foundation

/// Directories that appear whole or not at all: filled under a temporary name beside, synced, renamed.
///
/// The temporary is `.<name>.tmp-<process>`, as a file's; those of processes that are gone are removed
/// by the next writer of the same name.
package enum AtomicDirectory {
  /// Makes the directory `path` out of what `body` writes into the directory that it is given.
  ///
  /// What stands at `path` is replaced in one step where the file system can exchange names; it is there
  /// until then. The caller has made sure that it may go. When `body` throws, nothing has changed.
  ///
  /// - Parameter body: writes files by `AtomicFile`, which makes their content durable.
  package static func write<Result>(
    to path: String, _ body: (_ directory: String) throws -> Result
  ) throws -> Result {
    let parent = AtomicFile.parent(of: path)
    let target = "\(parent == "/" ? "" : parent)/\(AtomicFile.name(of: path))"
    try AtomicFile.makeDirectory(parent)
    try removeStaleTemporaries(of: target)
    let temporary = AtomicFile.temporaryPath(for: target)
    guard mkdir(temporary, 0o777) == 0 else {
      throw FileFault.error(
        "\(path): cannot create a directory beside it",
        remedy: "Choose another directory or change its permissions.")
    }
    do {
      let result = try body(temporary)
      try AtomicFile.syncDirectory(of: temporary + "/.")
      try place(temporary, at: target)
      try AtomicFile.syncDirectory(of: target)
      return result
    } catch {
      // What cannot be removed now, the next writer removes.
      try? FileManager.default.removeItem(atPath: temporary)
      throw error
    }
  }

  /// Gives `temporary` the name `target`; what had it is removed.
  private static func place(_ temporary: String, at target: String) throws {
    guard rename(temporary, target) != 0 else { return }
    guard errno == ENOTEMPTY || errno == EEXIST else {
      throw FileFault.error("cannot rename to \(target)")
    }
    if ott_exchange_paths(temporary, target) == 0 {
      try? FileManager.default.removeItem(atPath: temporary)
      return
    }
    guard errno == ENOSYS || errno == EINVAL else {
      throw FileFault.error("cannot rename to \(target)")
    }
    let older = temporary + "-old"
    guard rename(target, older) == 0 else { throw FileFault.error("cannot rename \(target)") }
    guard rename(temporary, target) == 0 else {
      let fault = FileFault.error("cannot rename to \(target)")
      rename(older, target)
      throw fault
    }
    try? FileManager.default.removeItem(atPath: older)
  }

  /// Removes what writers of `target` left that are gone.
  private static func removeStaleTemporaries(of target: String) throws {
    let parent = AtomicFile.parent(of: target)
    let mark = ".\(AtomicFile.name(of: target)).tmp-"
    for name in try AtomicFile.names(in: parent) where name.hasPrefix(mark) {
      let digits = name.dropFirst(mark.count).prefix { $0.isASCII && $0.isNumber }
      guard let process = Int32(digits), process > 0 else { continue }
      let isAlive = kill(process, 0) == 0 || errno == EPERM
      if process == getpid() || !isAlive {
        try FileManager.default.removeItem(atPath: "\(parent)/\(name)")
      }
    }
  }
}
