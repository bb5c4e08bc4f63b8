import Support
import Tokenization

/// A file `pipeline/corpora/<name>.yaml`: where a corpus lies, what it is, and how it is fetched.
///
///     made: data/corpus/default/digest       make target that fetches it; none for text of the project
///     train: {path, digest, bytes, documents}
///     other: {…}                             another domain, only evaluated on
///     domains: {papers: {…}, …}              more of them, by name; none may be given
///
/// `digest` pins the content (`Corpus.digest`), so that ids are known before anything is fetched;
/// `bytes` and `documents` are for estimates. All three are left out for text that lies in the project,
/// which is looked at.
package struct CorpusFacts: Sendable, Equatable {
  package struct Part: Sendable, Equatable {
    package let path: String
    /// The first 12 digits of the digest.
    package let id: String
    package let bytes: Int
    package let documents: Int

    package var input: StageConfiguration.Input { .init(id: id, path: path) }
  }

  /// One more domain that is only evaluated on.
  package struct Domain: Sendable, Equatable {
    package let name: String
    package let part: Part
  }

  package let made: String?
  package let train: Part
  package let other: Part
  /// In order of their names.
  package let domains: [Domain]

  /// Reads `path`; it and the paths in it are relative to `directory`.
  package init(path: String, in directory: String = ".") throws {
    let full = directory == "." ? path : directory + "/" + path
    var reader = try ConfigReader(ConfigValue.load(path: full), source: path)
    made = try reader.optionalString("made")
    func part(_ reader: ConfigReader) throws -> Part {
      var part = reader
      let place = try part.string("path")
      if part.has("digest") {
        let digest = try part.string("digest")
        guard digest.utf8.count == 64, StageConfiguration.isID(String(digest.prefix(12))) else {
          throw part.fault("digest", expected: "64 hexadecimal digits", found: "'\(digest)'")
        }
        return Part(
          path: place, id: String(digest.prefix(12)), bytes: try part.int("bytes", in: 1...1 << 60),
          documents: try part.int("documents", in: 1...1 << 60))
      }
      let corpus = try Corpus([directory == "." ? place : directory + "/" + place])
      let lines = CorpusReader(corpus)
      while try lines.next() != nil {}
      return Part(
        path: place, id: String(try corpus.digest().prefix(12)), bytes: try corpus.byteCount(),
        documents: lines.documents)
    }
    train = try part(reader.object("train"))
    other = try part(reader.object("other"))
    domains =
      try reader.optionalObject("domains").map { reader in
        var reader = reader
        return try reader.keys.map { name in
          guard name.utf8.allSatisfy({ Self.letters.contains($0) }), !Self.taken.contains(name)
          else {
            throw reader.fault(
              name,
              expected: "a name of a–z, 0–9 and -, none of \(Self.taken.joined(separator: ", "))",
              found: "'\(name)'")
          }
          return Domain(name: name, part: try part(reader.object(name)))
        }
      } ?? []
    try reader.finish()
  }

  private static let letters = Set("abcdefghijklmnopqrstuvwxyz0123456789-".utf8)
  /// What other inputs of a figure's stages are called.
  private static let taken = ["train", "heldout", "other", "run", "store"]
}
