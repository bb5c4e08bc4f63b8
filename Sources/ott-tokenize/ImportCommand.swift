import ArgumentParser
import DataStages
import Foundation
import Support
import Tokenization

/// Token files of others back to a corpus of text.
struct ImportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Turn token files of nanoGPT, OLMo, llm.c or Megatron into a corpus of text.",
    discussion: """
      The tokenizer that made the ids gives their text back, byte for byte, as JSON lines that every stage \
      takes: with the same tokenizer the same ids come out, with another one the same text is compared. A \
      document ends at the end-of-text token, and where Megatron's index says so. Bytes that are no UTF-8, as \
      where a file was cut inside a letter, become U+FFFD and are counted.
      """)

  @OptionGroup var options: TokenizerOptions

  @Option(
    help: "Layout of the files: \(TokenLayout.allCases.map(\.rawValue).joined(separator: ", ")).")
  var from: TokenLayout

  @Option(
    help: "Bytes of an id of the layout olmo: 2 or 4 (default: as the vocabulary needs).")
  var width: Int?

  @Option(
    help: """
      Special token between documents (default: <|endoftext|> or <|end_of_text|>, which the tokenizer has).
      """)
  var endOfText: String?

  @Option(help: "The corpus, a file .jsonl.")
  var output: String

  @Argument(help: "Token files; of megatron what .bin and .idx are called, with .bin or without.")
  var files: [String]

  func validate() throws {
    guard width == nil || width == 2 || width == 4 else {
      throw ValidationError("--width: expected 2 or 4, found \(width ?? 0).")
    }
    guard width == nil || from == .olmo else {
      throw ValidationError(
        "--width: only the layout olmo leaves it open; \(from.rawValue) does not.")
    }
    guard output.hasSuffix(".jsonl") else {
      throw ValidationError("--output: expected a name that ends in .jsonl, found '\(output)'.")
    }
  }

  func run() throws {
    let model = try options.load()
    let endOfText = try endOfTextToken(of: model)
    let width = width ?? (model.vocabularySize <= 1 << 16 ? 2 : 4)
    try OutputPath.require(file: output, apartFrom: files)
    var sums = Sums()
    try AtomicFile.write(to: output) { writer in
      for path in files {
        let file = try TokenFile(path, layout: from, width: width)
        var progress = Progress("import \(file.path)", unit: "M ids", total: file.count / 1_000_000)
        while let ids = try file.next(endOfText: endOfText) {
          guard !ids.isEmpty else { continue }
          try sums.add(ids, of: model, path: file.path, to: &writer)
          progress.update(done: sums.tokens / 1_000_000)
        }
        progress.finish()
      }
      guard sums.documents > 0 else {
        throw UserError(
          files.joined(separator: ", "), expected: "at least one document", found: "no ids")
      }
    }
    try StandardOutput.line(
      "\(output): \(sums.documents) documents, \(sums.tokens) ids, \(sums.bytes) bytes of text"
        + (sums.repaired > 0 ? "; \(sums.repaired) documents with bytes that are no UTF-8" : ""))
  }

  /// The id between documents; nil where neither the command nor the tokenizer names one.
  private func endOfTextToken(of model: BytePairModel) throws -> UInt32? {
    if let endOfText { return try model.specialToken(endOfText, path: options.tokenizer) }
    for name in ["<|endoftext|>", "<|end_of_text|>"] {
      if let id = try? model.specialToken(name, path: options.tokenizer) { return id }
    }
    return nil
  }

  private struct Sums {
    var documents = 0, tokens = 0, bytes = 0, repaired = 0

    mutating func add(
      _ ids: [UInt32], of model: BytePairModel, path: String, to writer: inout FileWriter
    ) throws {
      if let id = ids.first(where: { Int($0) >= model.vocabularySize }) {
        throw UserError(
          "\(path): document \(documents + 1)", expected: "ids 0..<\(model.vocabularySize)",
          found: "\(id)", remedy: "Name the tokenizer that made the file, and its layout.")
      }
      let bytes = model.decode(ids)
      if String(validating: bytes, as: UTF8.self) == nil { repaired += 1 }
      let text = String(decoding: bytes, as: UTF8.self)
      try writer.append(
        Array((ConfigValue.object(["text": .string(text)]).canonicalJSON + "\n").utf8))
      documents += 1
      tokens += ids.count
      self.bytes += bytes.count
    }
  }
}

extension TokenLayout: ExpressibleByArgument {}
