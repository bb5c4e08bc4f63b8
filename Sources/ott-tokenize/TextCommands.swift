import ArgumentParser
import Support
import Tokenization

struct EncodeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "encode", abstract: "Read text from standard input and print its ids.")

  @OptionGroup var options: TokenizerOptions
  @Flag(help: "Print the ids, in decimal, with spaces between them.") var print = false
  @Flag(help: "Print the bytes that each id stands for, as first..<end behind a colon.")
  var offsets = false
  @Flag(help: "Take special tokens in the text for ordinary text.") var ordinary = false

  func validate() throws {
    if print == offsets {
      throw ValidationError("Say --print or --offsets, one of them; shards are the stage's work.")
    }
  }

  func run() throws {
    let encoder = BytePairEncoder(try options.load(), findsSpecialTokens: !ordinary)
    let text = try StandardInput.rest()
    var line = ""
    if offsets {
      let (ids, ranges) = encoder.encodeWithOffsets(text)
      line = zip(ids, ranges).map { "\($0):\($1.lowerBound)..<\($1.upperBound)" }
        .joined(separator: " ")
    } else {
      line = encoder.encode(text).map(String.init).joined(separator: " ")
    }
    try StandardOutput.line(line)
  }
}

struct DecodeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "decode", abstract: "Read ids from standard input and write their text.")

  @OptionGroup var options: TokenizerOptions

  func run() throws {
    let model = try options.load()
    let text = try StandardInput.rest()
    let ids = try text.split { $0 == 0x20 || 0x09...0x0D ~= $0 }.map { bytes in
      let word = String(decoding: bytes, as: UTF8.self)
      guard let id = UInt32(word), Int(id) < model.vocabularySize else {
        throw UserError(
          "standard input: not an id", expected: "0..<\(model.vocabularySize)", found: word)
      }
      return id
    }
    try StandardOutput.write(model.decode(ids))
  }
}
