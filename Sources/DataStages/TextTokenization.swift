import Parallel
import Shards
import Support
import Tokenization

/// The stage "tokenize" with kind bpe: text files to token shards.
///
/// Parameters: part (train, validation), validation (share of documents held out), split (name) and
/// seed of the split, element (u16, u32), shardBytes (a shard ends with the document that reaches so
/// many bytes of text), endOfText (a special token behind every document, or none). Inputs: corpus
/// (file, directory or glob, with the first 12 digits of its digest as id) and tokenizer (likewise a
/// file, or the output of stage vocabulary).
struct TextTokenization {
  private enum Element: String, CaseIterable { case u16, u32 }

  private let configuration: StageConfiguration
  private let part: CorpusSplit.Part
  private let split: CorpusSplit
  private let element: Element
  private let shardBytes: Int
  private let corpus: Corpus
  private let corpusID, tokenizerID: String
  private let model: BytePairModel
  private let endOfText: UInt32?

  /// `kind` has been read from `reader`, the reader of the configuration's parameters.
  init(_ configuration: StageConfiguration, _ reader: inout ConfigReader) throws {
    self.configuration = configuration
    part = try reader.choice("part", CorpusSplit.Part.self)
    split = CorpusSplit(
      name: try reader.string("split"), seed: UInt64(try reader.int("seed", in: 0...Int.max)),
      validation: try reader.double("validation", in: 0...1))
    element = try reader.choice("element", Element.self)
    shardBytes = try reader.int("shardBytes", in: 1...1 << 40)
    let special = try reader.optionalString("endOfText")
    try reader.finish()
    let corpusInput = try configuration.input("corpus")
    corpus = try Corpus(input: corpusInput)
    corpusID = corpusInput.id
    let tokenizerInput = try configuration.input("tokenizer")
    tokenizerID = tokenizerInput.id
    let model = try BytePairModel.load(input: tokenizerInput)
    self.model = model
    endOfText = try special.map { try model.specialToken($0, path: tokenizerInput.path) }
  }

  func run(output: String, threads: Int, isQuiet: Bool) throws -> StageSummary {
    let sums =
      switch element {
      case .u16: try write(UInt16.self, output, threads, isQuiet)
      case .u32: try write(UInt32.self, output, threads, isQuiet)
      }
    let bytes = sums.shardBytes.reduce(0, +)
    try sums.writer.finish(metadata: [
      "kind": .string(TokenizeStage.Kind.bpe.rawValue), "part": .string(part.rawValue),
      "bytes": .integer(bytes), "tokens": .integer(sums.writer.elements),
      "documents": .integer(sums.documents),
      "shardBytes": .array(sums.shardBytes.map { .integer($0) }),
      "vocabulary": .integer(model.vocabularySize), "pattern": .string(model.pattern.rawValue),
      "tokenizer": .string(tokenizerID), "corpus": .string(corpusID),
      "endOfText": endOfText.map { .integer(Int($0)) } ?? .null,
    ])
    return StageSummary(
      "tokenized \(sums.documents) documents, \(bytes) bytes into \(sums.writer.elements) tokens",
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
    let reader = CorpusReader(corpus, split: split, part: part, blockBytes: shardBytes)
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
