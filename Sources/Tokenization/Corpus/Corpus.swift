import Foundation
import Support

/// The files of a text corpus, in the order in which they are read.
///
/// `.txt` and `.md` files are one document each, `.jsonl` files one a line in the string field
/// `text`; each of them plain, `.gz` or `.zst`. Empty documents are left out.
package struct Corpus: Sendable {
  package let files: [String]

  private static let kinds = [".txt", ".md", ".jsonl"]
  private static let codings = ["", ".gz", ".zst"]

  static func isLines(_ path: String) -> Bool {
    codings.contains { path.hasSuffix(".jsonl" + $0) }
  }

  private static func isCorpusFile(_ path: String) -> Bool {
    kinds.contains { kind in codings.contains { path.hasSuffix(kind + $0) } }
  }

  /// Files, directories (all corpus files below them) and globs, in the order given; the files of a
  /// directory or glob are sorted by path. Throws when something names no corpus file.
  package init(_ arguments: [String]) throws {
    var files: [String] = []
    for argument in arguments {
      var found: [String]
      if argument.contains(where: { "*?[".contains($0) }), !FileBytes.exists(argument) {
        found = try Self.matches(argument).flatMap { try Self.expand($0, isExplicit: false) }
      } else {
        found = try Self.expand(argument, isExplicit: true)
      }
      if found.isEmpty {
        throw UserError(
          "\(argument): no corpus files", expected: ".txt, .md or .jsonl, plain or .gz or .zst")
      }
      files += found
    }
    if files.isEmpty {
      throw UserError("no corpus was named", remedy: "Name files, directories or globs.")
    }
    self.files = files
  }

  private static func expand(_ path: String, isExplicit: Bool) throws -> [String] {
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
      throw UserError("\(path): no such file or directory")
    }
    if isDirectory.boolValue {
      return try FileManager.default.subpathsOfDirectory(atPath: path)
        .filter { isCorpusFile($0) }.map { path + "/" + $0 }
        .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }
    if isCorpusFile(path) { return [path] }
    if isExplicit {
      throw UserError(
        "\(path): not a corpus file", expected: ".txt, .md or .jsonl, plain or .gz or .zst")
    }
    return []
  }

  private static func matches(_ pattern: String) -> [String] {
    var result = glob_t()
    defer { globfree(&result) }
    guard glob(pattern, 0, nil, &result) == 0 else { return [] }
    return (0..<Int(result.gl_pathc)).compactMap { index in
      result.gl_pathv[index].map { String(cString: $0) }
    }.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  /// Bytes of all files as they are stored.
  package func byteCount() throws -> Int {
    try files.reduce(0) { sum, file in
      let attributes = try FileManager.default.attributesOfItem(atPath: file)
      return sum + (attributes[.size] as? Int ?? 0)
    }
  }

  /// SHA-256 over the last components of the names and the contents of all files, in order: what
  /// names a corpus in a stage's identity.
  package func digest() throws -> String {
    var all = SHA256()
    for file in files {
      var one = SHA256()
      guard let handle = FileHandle(forReadingAtPath: file) else {
        throw UserError("\(file): cannot be read")
      }
      while let data = try handle.read(upToCount: 1 << 22), !data.isEmpty {
        data.withUnsafeBytes { one.update($0) }
      }
      all.update((file as NSString).lastPathComponent + "\0" + one.finalizeHex() + "\n")
    }
    return all.finalizeHex()
  }
}

/// Which documents are for training and which are held out: each by its own draw, so a document
/// stays where it is when others are appended to the corpus.
package struct CorpusSplit: Equatable, Sendable {
  package enum Part: String, CaseIterable, Sendable { case train, validation }

  package var name: String
  package var seed: UInt64
  /// Expected share of validation documents, 0…1.
  package var validation: Double

  package init(name: String = "split", seed: UInt64 = 0, validation: Double) {
    self.name = name
    self.seed = seed
    self.validation = validation
  }

  /// The part of the corpus's document number `document`.
  package func part(ofDocument document: Int) -> Part {
    var stream = RandomStream(seed: seed, name: name, index: UInt64(document))
    return stream.uniform() < validation ? .validation : .train
  }
}
