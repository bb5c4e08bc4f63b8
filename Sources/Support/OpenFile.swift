import Foundation

/// A file that is open to be read, closed with its owner. An initializer that opens a file and then throws
/// leaves nothing open when this holds the descriptor: its own `deinit` is not run in that case, that of
/// what it holds is.
package final class OpenFile: Sendable {
  package let descriptor: Int32

  /// - Throws: `UserError` when the file cannot be opened.
  package init(_ path: String) throws {
    descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileFault.error("cannot read \(path)") }
  }

  deinit {
    if descriptor >= 0 { close(descriptor) }
  }
}
