import Foundation

/// The right to write a directory: an exclusive `flock` on `.<name>.lock` beside it.
///
/// The kernel releases it when its process ends, however that ends, so a dead process leaves no lock
/// behind, at most an empty file. The file is removed on an orderly release. It lies beside the
/// directory and not in it, so that the content of a finished output is a function of its
/// configuration, and so that deleting the output does not delete a lock that is held.
package final class DirectoryLock {
  package let path: String
  /// Another process held the lock when it was asked for.
  package let hadToWait: Bool
  private var descriptor: Int32

  private static let pollMicroseconds: UInt32 = 20_000

  /// Waits until nobody else holds the lock of `directory`, whose parent must exist.
  ///
  /// - Parameter waiting: called once when somebody else holds it.
  /// - Throws: `UserError` when the lock file cannot be made, or on a file system without locks;
  ///   `InterruptedError` when a signal comes while waiting.
  package init(of directory: String, waiting: () -> Void = {}) throws {
    let path = try DirectoryLock.path(of: directory)
    var hadToWait = false
    while true {
      let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
      guard descriptor >= 0 else {
        throw FileFault.error(
          "cannot write \(path)", remedy: "Choose another directory or change its permissions.")
      }
      do {
        try DirectoryLock.acquire(descriptor, path: path) {
          if !hadToWait { waiting() }
          hadToWait = true
        }
      } catch {
        close(descriptor)
        throw error
      }
      // The holder before may have removed the file that was opened here.
      if DirectoryLock.isSameFile(descriptor, path) {
        self.path = path
        self.hadToWait = hadToWait
        self.descriptor = descriptor
        return
      }
      close(descriptor)
    }
  }

  deinit { release() }

  /// Lets the next one in; further calls do nothing.
  package func release() {
    guard descriptor >= 0 else { return }
    unlink(path)
    close(descriptor)
    descriptor = -1
  }

  /// `<parent>/.<name>.lock`, the same for every spelling of the directory.
  package static func path(of directory: String) throws -> String {
    var directory = try Destination.target(of: directory)
    if let real = realpath(directory, nil) {
      defer { free(real) }
      directory = String(cString: real)
    }
    let name = AtomicFile.name(of: directory)
    return "\(AtomicFile.parent(of: directory))/.\(name == "/" ? "root" : name).lock"
  }

  private static func acquire(_ descriptor: Int32, path: String, busy: () -> Void) throws {
    while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
      switch errno {
      case EWOULDBLOCK:
        busy()
        try Interruption.check()
        usleep(pollMicroseconds)
      case EINTR: continue
      default:
        throw FileFault.error(
          "cannot lock \(path)", remedy: "Put data/ on a file system that has locks.")
      }
    }
  }

  private static func isSameFile(_ descriptor: Int32, _ path: String) -> Bool {
    var (opened, named) = (stat(), stat())
    guard fstat(descriptor, &opened) == 0, stat(path, &named) == 0 else { return false }
    return opened.st_dev == named.st_dev && opened.st_ino == named.st_ino
  }
}
