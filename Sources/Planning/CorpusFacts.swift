import Support
import Tokenization

/// A file `pipeline/corpora/<name>.yaml`: where a corpus lies, what it is, and how it is fetched.
///
///     made: data/corpus/default/digest       make target that fetches it; none for text of the project
///     train: {path, digest, bytes, documents}
///     other: {…}                             another domain, only evaluated on
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

  package let made: String?
  package let train: Part
  package let other: Part

  /// Reads `path`; it and the paths in it are relative to `directory`.
  package init(path: String, in directory: String = ".") throws {
    let full = directory == "." ? path : directory + "/" + path
    var reader = try ConfigReader(ConfigValue.load(path: full), source: path)
    made = try reader.optionalString("made")
    func part(_ name: String) throws -> Part {
      var part = try reader.object(name)
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
    train = try part("train")
    other = try part("other")
    try reader.finish()
  }
}
