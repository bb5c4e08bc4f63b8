import Checkpoints
import Contracts
import Models
import NGrams
import Support
import Tokenization

/// A finished run, one snapshot of it, and what its data were made with: all that exporting it and continuing
/// texts by it need.
package struct FinishedRun {
  package let index: TrainingRunIndex
  let snapshot: TrainingRunIndex.Snapshot
  package let model: ModelConfiguration
  let rows: TokenRows
  let fGrams: RunFGrams?
  let evidence: EvidenceFile?
  /// Bytes of `tokenizer.json` of a run over text; nil where its tokenizer has another form.
  let tokenizer: [UInt8]?
  /// Of a run over text.
  let bytePairs: BytePairModel?
  /// Ids of the tokens before and behind a document, where there are any; and how the last is spelled.
  let begin, end: Int?
  let endOfText: String?
  /// All that is read, apart from which an output must lie.
  let sources: [String]

  /// Tokens behind which nothing is generated: the end, and a second beginning, which is no sentence.
  var ends: [Int] { [end, begin].compactMap { $0 } }

  /// - Parameters:
  ///   - step: of the snapshot; the last unless given.
  ///   - tokenizer, fGrams: the places of what the run's data were made with; where its evidence saw them
  ///     unless given.
  /// - Throws: `UserError` where the run is not finished or was altered, or has no such snapshot, tokenizer or
  ///   f-grams.
  package init(
    run directory: String, step: Int? = nil, tokenizer path: String? = nil,
    fGrams fGramsPath: String? = nil
  ) throws {
    let index = try TrainingRunIndex(directory: directory)
    let source = "\(directory)/\(StageIndex.fileName)"
    var reader = try ConfigReader(index.model, source: source, path: "model")
    let model = try ModelConfiguration(reader: &reader)
    try reader.finish()
    let evidence = try? EvidenceFile(directory: directory, id: index.id)
    let text = try TextMap(index.data, source: source)
    fGrams = try text.flatMap { text in
      try RunFGrams(of: text.columns, model, at: fGramsPath) { id in
        try Self.place(of: id, .discover, "--fgrams", evidence, source: source)
      }
    }
    guard fGrams != nil || fGramsPath == nil else {
      throw UserError(
        "--fgrams", expected: "no f-grams: the run has none", found: fGramsPath ?? "none")
    }
    (self.index, self.model, self.evidence) = (index, model, evidence)
    rows = try TokenRows(model, data: index.data, fGrams: fGrams?.set, source: source)
    snapshot = try Self.snapshot(of: index, step: step)
    guard let text else {
      guard path == nil else {
        throw UserError(
          "--tokenizer", expected: "no tokenizer: the run is over a grammar's symbols",
          found: path)
      }
      (tokenizer, bytePairs, endOfText, sources) = (nil, nil, nil, [directory])
      (begin, end) = (NGramVocabulary.bos, NGramVocabulary.eos)
      return
    }
    let place =
      try path
      ?? Self.place(of: text.tokenizer, .vocabulary, "--tokenizer", evidence, source: source)
    let tokens = try BytePairModel.load(input: .init(id: text.tokenizer, path: place))
    guard tokens.vocabularySize == text.vocabulary else {
      throw UserError(
        "\(place): tokenizer", expected: "\(text.vocabulary) tokens, the run's",
        found: "\(tokens.vocabularySize)", remedy: "Give the run's own by --tokenizer.")
    }
    bytePairs = tokens
    tokenizer = try TokenizerSource(path: place).huggingFaceFile
    sources = [directory, place] + [fGrams?.place].compactMap { $0 }
    var data = try ConfigReader(index.data, source: source, path: "data")
    begin = nil
    end = try data.optionalInt("endOfText", in: 0...max(0, text.vocabulary - 1))
    endOfText = end.flatMap { id in
      tokens.addedTokens.first { $0.id == UInt32(id) }.map {
        String(decoding: $0.content, as: UTF8.self)
      }
    }
  }

  private static func snapshot(
    of index: TrainingRunIndex, step: Int?
  ) throws -> TrainingRunIndex.Snapshot {
    let found =
      step.map { step in index.snapshots.first { $0.step == step } } ?? index.snapshots.last
    guard let found else {
      throw UserError(
        "--snapshot",
        expected: "one of \(index.snapshots.map { String($0.step) }.joined(separator: ", ")), "
          + "the steps whose weights \(index.directory) kept",
        found: step.map(String.init) ?? "none")
    }
    return found
  }

  /// Where the output `id` of a stage, or the file of this id, lay when the run was made.
  private static func place(
    of id: String, _ stage: Stage, _ option: String, _ evidence: EvidenceFile?, source: String
  ) throws -> String {
    let planned = "data/\(stage.rawValue)/\(id)"
    if FileBytes.exists("\(planned)/\(StageIndex.fileName)") { return planned }
    let record = evidence?.history.first { $0["id"] == .string(id) }
    if case .string(let path)? = record?["path"], FileBytes.exists(path) { return path }
    throw UserError(
      "\(source): \(id), which the run's data were made with", expected: planned,
      found: "nothing there", remedy: "Give its place by \(option).")
  }
}
