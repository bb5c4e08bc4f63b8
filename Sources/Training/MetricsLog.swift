import Foundation
import Support

/// Appends metrics lines to a file that can be cut back to the length a checkpoint remembers.
package struct MetricsLog: ~Copyable {
  package let path: String
  /// Bytes of the lines written so far.
  package private(set) var bytes: Int
  private var hash = SHA256()
  private let file: Int32

  /// SHA-256 of the lines written so far.
  package var digest: String { hash.finalizeHex() }

  /// SHA-256 of no lines.
  package static let emptyDigest = SHA256().finalizeHex()

  /// Opens `path`, creating it, and cuts it to `bytes`, whose SHA-256 must be `digest`.
  ///
  /// - Throws: `UserError` when the file cannot be opened, is shorter than `bytes` or was altered.
  package init(path: String, bytes: Int = 0, digest: String = emptyDigest) throws {
    let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard file >= 0 else {
      throw UserError(
        "\(path): cannot be opened", found: String(cString: strerror(errno)),
        remedy: "Check the permissions of the output directory.")
    }
    let length = Int(lseek(file, 0, SEEK_END))
    guard length >= bytes else {
      close(file)
      throw UserError(
        "\(path): shorter than the checkpoint says", expected: "at least \(bytes) bytes",
        found: "\(length) bytes", remedy: "Delete the output directory and train again.")
    }
    var kept = [UInt8](repeating: 0, count: bytes)
    guard pread(file, &kept, bytes, 0) == bytes else {
      close(file)
      throw UserError("\(path): cannot be read", found: String(cString: strerror(errno)))
    }
    hash.update(kept)
    guard hash.finalizeHex() == digest else {
      close(file)
      throw UserError(
        path, expected: "lines with SHA-256 \(digest), as the checkpoint says",
        found: hash.finalizeHex(), remedy: "Delete the output directory and train again.")
    }
    guard ftruncate(file, bytes) == 0, lseek(file, bytes, SEEK_SET) == bytes else {
      close(file)
      throw UserError("\(path): cannot be cut back", found: String(cString: strerror(errno)))
    }
    self.path = path
    self.bytes = bytes
    self.file = file
  }

  deinit { close(file) }

  /// Writes one line. A line that did not get to the disk whole is an error.
  package mutating func append(_ line: MetricsLine) throws {
    let text = Array(line.text.utf8)
    let fault = text.withUnsafeBytes { Descriptor.write($0, to: file) }
    guard fault == 0 else {
      throw UserError(
        "\(path): cannot be written", found: String(cString: strerror(fault)),
        remedy: "Free disk space and run the same command again.")
    }
    bytes += text.count
    hash.update(text)
  }

  /// Returns when the lines are on the disk. A checkpoint may count them only after this.
  package func synchronize() throws {
    guard fsync(file) == 0 else {
      throw UserError("\(path): cannot be synchronized", found: String(cString: strerror(errno)))
    }
  }
}
