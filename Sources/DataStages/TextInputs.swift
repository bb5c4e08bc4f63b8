import Contracts
import Support
import Tokenization

/// The inputs `corpus` and `tokenizer` of stages, checked to be what their ids say.
extension BytePairModel {
  /// The file that is meant in an output of stage vocabulary.
  package static let fileName = "tokenizer.json"

  /// Loads the tokenizer that a configuration names: the output of stage vocabulary, or a file, whose
  /// id is the first 12 digits of its SHA-256.
  ///
  /// - Throws: `UserError` when the directory is of another stage or id, when the file was altered, and
  ///   as `load(path:)`.
  package static func load(input: StageConfiguration.Input) throws -> BytePairModel {
    try load(path: tokenizerPath(of: input))
  }

  /// The checked file of a tokenizer input.
  package static func tokenizerPath(of input: StageConfiguration.Input) throws -> String {
    guard FileBytes.exists(input.path + "/" + StageIndex.fileName) else {
      // Either a file, or the directory of a stage that has not run: then reading says so.
      let found = String(SHA256.hex(of: try FileBytes.read(input.path)).prefix(12))
      guard found == input.id else {
        throw UserError(
          "\(input.path): another tokenizer than the configuration's",
          expected: "digest \(input.id)", found: found,
          remedy: "Write the configuration anew: ott-tokenize configure.")
      }
      return input.path
    }
    let stage = Stage.vocabulary.rawValue
    let index = try StageIndex(directory: input.path)
    guard index.stage == stage, index.id == input.id else {
      throw UserError(
        "\(input.path)/\(StageIndex.fileName)", expected: "stage \(stage), id \(input.id)",
        found: "stage \(index.stage), id \(index.id)", remedy: StageIndex.remedy(input.path))
    }
    let files = try StageIndex.describe(files: [fileName], in: input.path)
    guard case .array(let described) = files, case .array(let known)? = index.content["files"],
      described.allSatisfy(known.contains)
    else {
      throw UserError(
        "\(input.path)/\(fileName)", expected: "the file that \(StageIndex.fileName) describes",
        found: "other bytes", remedy: StageIndex.remedy(input.path))
    }
    return input.path + "/" + fileName
  }
}

extension Corpus {
  /// The corpus that a configuration names by a file, directory or glob and the first 12 digits of its
  /// digest.
  ///
  /// - Throws: `UserError` when it is missing or another.
  package init(input: StageConfiguration.Input) throws {
    try self.init([input.path])
    let found = String(try digest().prefix(12))
    if found != input.id {
      throw UserError(
        "\(input.path): another corpus than the configuration's", expected: "digest \(input.id)",
        found: found, remedy: "Fetch it again, or write the configuration anew.")
    }
  }
}
