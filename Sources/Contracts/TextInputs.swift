import Support
import Tokenization

/// The inputs `corpus` and `tokenizer` of stages, checked to be what their ids say.
extension BytePairModel {
  /// Loads the tokenizer that a configuration names: the output of stage vocabulary, or a file or
  /// directory, whose id is the first 12 digits of `TokenizerSource.digest`.
  ///
  /// - Parameter pattern: as in `TokenizerSource.model`.
  /// - Throws: `UserError` when the directory is of another stage or id, when a file was altered, and
  ///   as `load(path:)`.
  package static func load(
    input: StageConfiguration.Input, pattern: PretokenPattern? = nil
  ) throws -> BytePairModel {
    guard FileBytes.exists(input.path + "/" + StageIndex.fileName) else {
      // Either files, or the directory of a stage that has not run: then reading says so.
      let source = try TokenizerSource(path: input.path)
      let found = String(source.digest.prefix(12))
      guard found == input.id else {
        throw UserError(
          "\(input.path): another tokenizer than the configuration's",
          expected: "digest \(input.id)", found: found,
          remedy: "Write the configuration anew: ott-tokenize configure.")
      }
      return try source.model(pattern: pattern)
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
    return try load(path: input.path + "/" + fileName, pattern: pattern)
  }

  /// The input that names the tokenizer at `path` in a configuration, and its model.
  package static func input(
    path: String, pattern: PretokenPattern? = nil
  ) throws -> (input: StageConfiguration.Input, model: BytePairModel) {
    if FileBytes.exists(path + "/" + StageIndex.fileName) {
      let input = StageConfiguration.Input(id: try StageIndex(directory: path).id, path: path)
      return (input, try load(input: input, pattern: pattern))
    }
    let source = try TokenizerSource(path: path)
    return (
      .init(id: String(source.digest.prefix(12)), path: path), try source.model(pattern: pattern)
    )
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
