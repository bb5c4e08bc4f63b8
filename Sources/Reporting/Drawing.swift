import Foundation
import Support

/// Draws a CSV with a gnuplot script of the project.
///
/// The script finds the names of its input and output in the variables `csv` and `svg`. The picture's
/// bytes depend on the CSV, the script and the version of gnuplot.
package struct Drawing {
  package let script: String
  package let digest: String

  package init(script: String, digest: String) {
    self.script = script
    self.digest = digest
  }

  /// Writes the picture of `csv` to `svg`.
  ///
  /// - Throws: `UserError` when the script is missing or not the one the configuration means, when
  ///   gnuplot is missing, and when it fails.
  package func draw(csv: String, svg: String) throws {
    let found = SHA256.hex(of: try FileBytes.read(script))
    guard found == digest else {
      throw UserError(
        script, expected: "the script with digest \(digest)", found: found,
        remedy: "Write the configuration anew: make figure2")
    }
    let temporary = AtomicFile.temporaryPath(for: svg)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [
      "gnuplot", "-e", "csv = '\(try quoted(csv))'; svg = '\(try quoted(temporary))'", script,
    ]
    let errors = Pipe()
    process.standardError = errors
    process.standardInput = FileHandle.nullDevice
    do {
      try process.run()
    } catch {
      throw UserError("gnuplot", expected: "a program that starts", found: "\(error)")
    }
    let text = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    guard process.terminationStatus == 0, FileBytes.exists(temporary) else {
      throw UserError(
        "gnuplot \(script)", expected: "a picture",
        found: process.terminationStatus == 127
          ? "no gnuplot" : "status \(process.terminationStatus): \(text.prefix(400))",
        remedy: process.terminationStatus == 127 ? "Run: make deps" : nil)
    }
    let picture = try FileBytes.read(temporary)
    try FileManager.default.removeItem(atPath: temporary)
    try AtomicFile.write(picture, to: svg)
  }

  /// A path inside a single-quoted gnuplot text.
  private func quoted(_ path: String) throws -> String {
    guard !path.contains("'"), !path.contains("\n") else {
      throw UserError(path, expected: "a path without quotes and line feeds")
    }
    return path
  }
}
