import Foundation
import Support

/// Draws a CSV with a gnuplot script of the project.
///
/// The script finds the names of its input and output in the variables `csv` and `svg`, and the means,
/// bands and fits that it shows in the files of `PictureData` beside the CSV. The picture's bytes depend
/// on the CSV, the script and the version of gnuplot.
package struct Drawing {
  package let script: String
  package let digest: String

  package init(script: String, digest: String) {
    self.script = script
    self.digest = digest
  }

  /// A script of the project as it lies there.
  package init(script: String) throws {
    self.init(script: script, digest: SHA256.hex(of: try FileBytes.read(script)))
  }

  /// Writes what the picture of `table` shows beside `csv`.
  ///
  /// - Returns: names of the files.
  package func writeData(of table: PublishedTable, beside csv: String) throws -> [String] {
    let stem = String(csv.dropLast(".csv".count))
    return try (PictureData.of(table)?.files ?? []).map { ending, text in
      try AtomicFile.write(text, to: stem + ending)
      return String((stem + ending).split(separator: "/").last ?? "")
    }
  }

  /// `gnuplot` with its version, "5.4 patchlevel 4"; nothing where there is none.
  package static var libraries: [String: String] {
    let path = NSTemporaryDirectory() + "gnuplot-version-" + UUID().uuidString
    defer { unlink(path) }
    guard
      let ending = try? ChildProcess("/usr/bin/env", ["gnuplot", "--version"], output: path).wait(),
      ending.status == 0, let text = try? FileBytes.read(path)
    else { return [:] }
    let words = String(decoding: text, as: UTF8.self).split(whereSeparator: \.isWhitespace)
    return ["gnuplot": words.dropFirst().joined(separator: " ")]
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
    let errors = temporary + ".errors"
    defer { unlink(errors) }
    let status = try ChildProcess(
      "/usr/bin/env",
      ["gnuplot", "-e", "csv = '\(try quoted(csv))'; svg = '\(try quoted(temporary))'", script],
      errors: errors
    ).wait().status
    guard status == 0, FileBytes.exists(temporary) else {
      let text = String(decoding: try FileBytes.read(errors), as: UTF8.self)
      throw UserError(
        "gnuplot \(script)", expected: "a picture",
        found: status == 127 ? "no gnuplot" : "status \(status): \(text.prefix(400))",
        remedy: status == 127 ? "Run: make deps" : nil)
    }
    let picture = try FileBytes.read(temporary)
    guard unlink(temporary) == 0 else { throw FileFault.error("cannot remove \(temporary)") }
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
