import Contracts
import Parallel
import Shards
import Support
import Tokenization

/// The stage "tokenize" with kind text: text files to token shards.
///
/// Inputs: corpus (file, directory or glob, with the first 12 digits of its digest as id) and tokenizer
/// (likewise a file or directory, or the output of stage vocabulary).
struct TextTokenization {
  private let configuration: StageConfiguration
  private let parameters: TextTokenizeParameters
  private let corpus: Corpus
  private let corpusID, tokenizerID: String
  private let model: BytePairModel
  private let endOfText: UInt32?

  init(_ configuration: StageConfiguration, _ parameters: TextTokenizeParameters) throws {
    self.configuration = configuration
    self.parameters = parameters
    let corpusInput = try configuration.input("corpus")
    corpus = try Corpus(input: corpusInput)
    corpusID = corpusInput.id
    let tokenizerInput = try configuration.input("tokenizer")
    tokenizerID = tokenizerInput.id
    let model = try BytePairModel.load(input: tokenizerInput, pattern: parameters.pattern)
    self.model = model
    endOfText = try parameters.endOfText.map {
      try model.specialToken($0, path: tokenizerInput.path)
    }
  }

  func run(output: String, threads: Int, isQuiet: Bool) throws -> StageSummary {
    let sums =
      switch parameters.element {
      case .u16: try write(UInt16.self, output, threads, isQuiet)
      case .u32: try write(UInt32.self, output, threads, isQuiet)
      }
    let bytes = sums.shardBytes.reduce(0, +)
    try sums.writer.finish(metadata: [
      "kind": .string(DataKind.text.rawValue), "part": .string(parameters.part.rawValue),
      "bytes": .integer(bytes), "tokens": .integer(sums.writer.elements),
      "documents": .integer(sums.documents),
      "shardBytes": .array(sums.shardBytes.map { .integer($0) }),
      "vocabulary": .integer(model.vocabularySize), "pattern": .string(model.pattern.rawValue),
      "tokenizer": .string(tokenizerID), "corpus": .string(corpusID),
      "endOfText": endOfText.map { .integer(Int($0)) } ?? .null,
    ])
    return StageSummary(
      "tokenized \(sums.documents) documents, \(bytes) bytes into \(sums.writer.elements) tokens"
        + (corpus.leftOut.map { "; \($0)" } ?? ""),
      amounts: ["bytes": bytes])
  }

  private struct Sums {
    let writer: ShardSetWriter
    var documents = 0
    /// Bytes of the text of each shard.
    var shardBytes: [Int] = []
  }

  private func write<T: ShardInteger>(
    _ type: T.Type, _ output: String, _ threads: Int, _ isQuiet: Bool
  ) throws -> Sums {
    var sums = Sums(
      writer: try ShardSetWriter(
        directory: output, element: T.elementType,
        columns: [Column("token", cardinality: model.vocabularySize)],
        configuration: configuration))
    // Text is text: a special token is made by `endOfText` only.
    let encoder = BatchEncoder(
      model, pool: WorkerPool(threads: threads), findsSpecialTokens: false)
    let reader = CorpusReader(
      corpus, split: parameters.corpusSplit, part: parameters.part,
      blockBytes: parameters.shardBytes)
    var progress = Progress(
      "tokenize", unit: "MB", total: try corpus.byteCount() / 1_000_000, isQuiet: isQuiet)
    while let block = try reader.next() {
      let groups = block.withViews { encoder.encode($0) }
      try sums.writer.writeShard(sums.shardBytes.count) { sink in
        for group in groups {
          var start = 0
          for count in group.counts {
            var document = (start..<start + count).map { T(group.buffer.base[$0]) }
            if let endOfText { document.append(T(endOfText)) }
            try sink.append(document: document)
            start += count
          }
        }
        sums.documents += sink.documents
      }
      sums.shardBytes.append(block.bytes.count)
      progress.update(done: reader.fileBytesRead / 1_000_000)
    }
    progress.finish()
    try reader.require(parameters.part)
    return sums
  }
}

extension BytePairModel {
  /// The id of a special token.
  ///
  /// - Parameter path: where the tokenizer came from, for the message.
  /// - Throws: `UserError` that lists the special tokens there are.
  package func specialToken(_ text: String, path: String) throws -> UInt32 {
    guard let token = addedTokens.first(where: { $0.content == Array(text.utf8) }) else {
      throw UserError(
        "\(path): special token \"\(text)\"",
        expected: addedTokens.isEmpty
          ? "a tokenizer that has it"
          : "one of "
            + addedTokens.map { String(decoding: $0.content, as: UTF8.self) }
            .joined(separator: ", "), found: "no such token")
    }
    return token.id
  }
}
