import Parallel
import Shards
import Stages
import Support
import Tokenization

/// The stage "tokenize" with kind bpe: text files to token shards.
///
/// Parameters: part (train, validation), validation (share of documents held out), split (name) and
/// seed of the split, element (u16, u32), shardBytes (a shard ends with the document that reaches so
/// many bytes of text), endOfText (a special token behind every document, or none). Inputs: corpus
/// (file, directory or glob, with the first 12 digits of its digest as id) and tokenizer (likewise a
/// file, or the output of stage vocabulary).
enum BytePairStage {
  enum Element: String, CaseIterable { case u16, u32 }

  /// Runs the stage; returns the summary. `kind` has been read from `reader`.
  static func run(_ context: StageContext, _ reader: inout ConfigReader) throws -> String {
    let part = try reader.choice("part", CorpusSplit.Part.self)
    let split = CorpusSplit(
      name: try reader.string("split"), seed: UInt64(try reader.int("seed", in: 0...Int.max)),
      validation: try reader.double("validation"))
    let element = try reader.choice("element", Element.self)
    let shardBytes = try reader.int("shardBytes", in: 1...1 << 40)
    let endOfText = try reader.optionalString("endOfText")
    try reader.finish()

    let corpusInput = try context.configuration.input("corpus")
    let corpus = try Corpus(input: corpusInput)
    let tokenizerInput = try context.configuration.input("tokenizer")
    let model = try BytePairModel.load(input: tokenizerInput)
    let end = try endOfText.map { try specialToken($0, of: model, tokenizerInput.path) }
    let sums =
      switch element {
      case .u16: try write(UInt16.self, context, corpus, split, part, shardBytes, model, end)
      case .u32: try write(UInt32.self, context, corpus, split, part, shardBytes, model, end)
      }
    try sums.writer.finish(metadata: [
      "kind": "bpe", "part": .string(part.rawValue), "bytes": .integer(sums.bytes),
      "tokens": .integer(sums.tokens), "documents": .integer(sums.documents),
      "shardBytes": .array(sums.shardBytes.map { .integer($0) }),
      "vocabulary": .integer(model.vocabularySize), "pattern": .string(model.pattern.rawValue),
      "tokenizer": .string(tokenizerInput.id), "corpus": .string(corpusInput.id),
      "endOfText": end.map { .integer(Int($0)) } ?? .null,
    ])
    let seconds = context.evidence.wallSeconds
    context.evidence["bytesPerSecond"] = .double(Double(sums.bytes) / seconds)
    return "tokenized \(sums.documents) documents, \(sums.bytes) bytes into \(sums.tokens) tokens, "
      + "\(Int(Double(sums.bytes) / seconds / 1e6)) MB/s"
  }

  static func specialToken(
    _ text: String, of model: BytePairModel, _ path: String
  ) throws -> UInt32 {
    guard let token = model.addedTokens.first(where: { $0.content == Array(text.utf8) }) else {
      throw UserError(
        "\(path): no special token \"\(text)\"",
        expected: model.addedTokens.map { String(decoding: $0.content, as: UTF8.self) }
          .joined(separator: ", "))
    }
    return token.id
  }

  private struct Sums {
    let writer: ShardSetWriter
    var bytes = 0
    var tokens = 0
    var documents = 0
    var shardBytes: [Int] = []
  }

  private static func write<T: ShardElement & FixedWidthInteger & UnsignedInteger>(
    _ type: T.Type, _ context: StageContext, _ corpus: Corpus, _ split: CorpusSplit,
    _ part: CorpusSplit.Part, _ shardBytes: Int, _ model: BytePairModel, _ end: UInt32?
  ) throws -> Sums {
    var sums = Sums(
      writer: try ShardSetWriter(
        directory: context.output, element: T.elementType,
        columns: [Column("token", cardinality: model.vocabularySize)],
        configuration: context.configuration))
    // Text is text: a special token is made by `endOfText` only.
    let encoder = BatchEncoder(
      model, pool: WorkerPool(threads: context.threads), findsSpecialTokens: false)
    let reader = CorpusReader(corpus, split: split, part: part, blockBytes: shardBytes)
    var progress = Progress(
      "tokenize", unit: "MB", total: try corpus.byteCount() / 1_000_000, isQuiet: context.isQuiet)
    while let block = try reader.next() {
      let groups = block.withViews { encoder.encode($0) }
      try sums.writer.writeShard(sums.shardBytes.count) { sink in
        for group in groups {
          var start = 0
          for count in group.counts {
            var document = (start..<start + count).map { T(group.buffer.base[$0]) }
            if let end { document.append(T(end)) }
            try sink.append(document: document)
            start += count
          }
        }
        sums.tokens += sink.elements
        sums.documents += sink.documents
      }
      sums.bytes += block.bytes.count
      sums.shardBytes.append(block.bytes.count)
      progress.update(done: reader.fileBytesRead / 1_000_000)
    }
    progress.finish()
    return sums
  }
}
