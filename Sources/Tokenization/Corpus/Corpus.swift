import Foundation
import Support

/// The files of a text corpus, in the order in which they are read.
///
/// `.txt` and `.md` files are one document each, `.jsonl` files one a line in the string field
/// `text`; each of them plain, `.gz` or `.zst`. Empty documents are left out.
package struct Corpus: Sendable {
  package let files: [BytePath]
  /// What of the directories was not read, for a message; nil when everything was.
  package let leftOut: String?

  private static let kinds = [".txt", ".md", ".jsonl"]
  private static let codings = ["", ".gz", ".zst"]
  private static let expectation = ".txt, .md or .jsonl, plain or .gz or .zst"

  static func isLines(_ path: BytePath) -> Bool {
    codings.contains { path.hasSuffix(".jsonl" + $0) }
  }

  static func isCorpusFile(_ path: BytePath) -> Bool {
    kinds.contains { kind in codings.contains { path.hasSuffix(kind + $0) } }
  }

  /// Files, directories (all corpus files below them, see `CorpusWalk`) and globs, in the order given;
  /// the files of a directory or glob are sorted by the bytes of their paths. Throws when something
  /// names no corpus file.
  package init(_ arguments: [String]) throws {
    var files: [BytePath] = []
    var walks: [CorpusWalk] = []
    for argument in arguments {
      let path = BytePath(argument: argument)
      var found: [BytePath] = []
      let isPattern = path.bytes.contains { "*?[".utf8.contains($0) } && path.status == nil
      for match in isPattern ? Self.matches(path) : [path] {
        var walk = CorpusWalk()
        found += try Self.expand(match, isExplicit: !isPattern, &walk)
        walks.append(walk)
      }
      if found.isEmpty { throw UserError("\(path): no corpus files", expected: Self.expectation) }
      files += found
    }
    if files.isEmpty {
      throw UserError("no corpus was named", remedy: "Name files, directories or globs.")
    }
    self.files = files
    leftOut = Self.note(
      hidden: walks.flatMap(\.hidden), repeated: walks.flatMap(\.repeated))
  }

  private static func expand(
    _ path: BytePath, isExplicit: Bool, _ walk: inout CorpusWalk
  ) throws -> [BytePath] {
    guard let status = path.status else {
      throw UserError("\(path): no such file or directory")
    }
    switch status.st_mode & S_IFMT {
    case S_IFDIR:
      try walk.visit(path)
      return walk.files.sorted()
    case S_IFREG where isCorpusFile(path): return [path]
    default:
      if !isExplicit { return [] }
      throw UserError(
        "\(path): not a corpus file", expected: expectation, found: nil,
        remedy: conversion(of: path))
    }
  }

  /// How a file of another kind that people keep corpora in becomes one of these.
  private static func conversion(of path: BytePath) -> String? {
    let tables = [".parquet": "parquet", ".feather": "feather", ".arrow": "feather"]
    if let (_, kind) = tables.first(where: { path.hasSuffix($0.key) }) {
      return "Convert it, with pandas and pyarrow: python3 -c \"import pandas; "
        + "pandas.read_\(kind)('\(path)')[['text']].to_json('\(path).jsonl', orient='records', lines=True, "
        + "force_ascii=False)\""
    }
    if [".bin", ".npy", ".idx"].contains(where: path.hasSuffix) {
      return "Ids become text again by: ott-tokenize import --from nanogpt|olmo|llmc|megatron"
    }
    return nil
  }

  private static func matches(_ pattern: BytePath) -> [BytePath] {
    var result = glob_t()
    defer { globfree(&result) }
    guard pattern.withCString({ glob($0, 0, nil, &result) }) == 0 else { return [] }
    return (0..<Int(result.gl_pathc)).compactMap { index in
      result.gl_pathv[index].map { path in
        BytePath(
          UnsafeBufferPointer(start: path, count: strlen(path)).map { UInt8(bitPattern: $0) })
      }
    }.sorted()
  }

  private static func note(hidden: [BytePath], repeated: [BytePath]) -> String? {
    func listed(_ paths: [BytePath]) -> String {
      paths.prefix(3).map(\.description).joined(separator: ", ")
        + (paths.count > 3 ? " and \(paths.count - 3) more" : "")
    }
    var parts: [String] = []
    if !hidden.isEmpty { parts.append("hidden files and folders: \(listed(hidden))") }
    if !repeated.isEmpty { parts.append("links to folders that are read: \(listed(repeated))") }
    return parts.isEmpty ? nil : "left out \(parts.joined(separator: "; "))"
  }

  /// Bytes of all files as they are stored.
  package func byteCount() throws -> Int {
    try files.reduce(0) { sum, file in
      guard let status = file.status else { throw FileFault.error("\(file): cannot be read") }
      return sum + Int(status.st_size)
    }
  }

  /// SHA-256 over the last components of the names and the contents of all files, in order: what
  /// names a corpus in a stage's identity.
  package func digest() throws -> String {
    var all = SHA256()
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { buffer.deallocate() }
    for file in files {
      var one = SHA256()
      let reader = try RawFile(file)
      while case let count = try reader.read(into: buffer), count > 0 {
        one.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      }
      all.update(Array(file.lastComponent) + Array("\0\(one.finalizeHex())\n".utf8))
    }
    return all.finalizeHex()
  }
}

/// Which documents are for training and which are held out: each by its own draw, so a document
/// stays where it is when others are appended to the corpus.
///
/// Documents that begin alike, such as questions about one text, can be drawn together, and long ones
/// be cut into blocks that are drawn apart, so that no few documents decide what a part is made of.
package struct CorpusSplit: Equatable, Sendable {
  package enum Part: String, CaseIterable, Sendable { case train, validation }

  package var name: String
  package var seed: UInt64
  /// Expected share of validation documents, 0…1.
  package var validation: Double
  /// Documents whose first words, so many, are equal are in one part; 0: each is drawn by its number.
  package var groupWords: Int
  /// Longer documents are cut into blocks of at most so many bytes, each a document; 0: never.
  package var blockBytes: Int

  package init(
    name: String = "split", seed: UInt64 = 0, validation: Double, groupWords: Int = 0,
    blockBytes: Int = 0
  ) {
    self.name = name
    self.seed = seed
    self.validation = validation
    self.groupWords = groupWords
    self.blockBytes = blockBytes
  }

  /// What a document is drawn by: its number, or a hash of its first words.
  func place(ofDocument number: Int, _ text: ArraySlice<UInt8>) -> UInt64 {
    if groupWords == 0 { return UInt64(number) }
    var hash: UInt64 = 0
    var (words, isInWord) = (0, false)
    for byte in text {
      let isSpace = byte == 0x20 || (0x09...0x0D).contains(byte)
      if isSpace {
        if isInWord && words == groupWords { break }
      } else {
        if !isInWord {
          words += 1
          hash = Permutation.mix(hash ^ 0x20)
        }
        hash = Permutation.mix(hash ^ UInt64(byte))
      }
      isInWord = !isSpace
    }
    return hash
  }

  /// Where a document of text ends that starts at `start` of `text`: at its end, or where a block is
  /// full, behind a line end if its second half has one, and never within a character.
  func end(ofBlockAt start: Int, in text: ArraySlice<UInt8>) -> Int {
    guard blockBytes > 0, text.endIndex - start > blockBytes else { return text.endIndex }
    let limit = start + blockBytes
    if let line = text[(start + blockBytes / 2)..<limit].lastIndex(of: 0x0A) { return line + 1 }
    var end = limit
    while end > start + 1, text[end] & 0xC0 == 0x80, limit - end < 3 { end -= 1 }
    return end
  }

  /// The stream that draws, to be moved to each document's number.
  var stream: RandomStream { RandomStream(seed: seed, name: name) }

  /// The part of the document whose number the stream is at.
  func part(drawnBy stream: RandomStream) -> Part {
    var stream = stream
    return stream.uniform() < validation ? .validation : .train
  }

  /// The part of the corpus's document number `document`.
  package func part(ofDocument document: Int) -> Part {
    part(drawnBy: stream.at(index: UInt64(document)))
  }

  /// Refuses a division of `documents` documents, `held` of them held out, in which `part` got none
  /// although the share says that it should have some.
  ///
  /// - Parameter corpus: its name for the message.
  package func require(_ part: Part, of corpus: String, documents: Int, held: Int) throws {
    let count = part == .validation ? held : documents - held
    let isExpected = part == .validation ? validation > 0 : validation < 1
    if count > 0 || !isExpected { return }
    throw UserError(
      "\(corpus): no document falls into the part \(part.rawValue)",
      expected: "documents in both parts, drawn with a share of \(validation) for validation",
      found: "\(documents) document\(documents == 1 ? "" : "s"), \(held) in validation",
      remedy: documents < 2
        ? "A .txt or .md file is one document: give more files, or .jsonl with one a line."
        : "Take another share or seed, or more and smaller documents.")
  }
}
