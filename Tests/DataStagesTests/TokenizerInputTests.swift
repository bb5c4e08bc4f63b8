import DataStages
import Foundation
import Support
import Testing
import Tokenization

/// Tokenizers of one's own as inputs of stages: named by every byte that is read.
@Suite struct TokenizerInputTests {
  @Test func anotherFileBesideTheNamedOneIsNoticed() throws {
    let directory = NSTemporaryDirectory() + "tokenizer-input-" + UUID().uuidString
    try AtomicFile.makeDirectory(directory)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let bytes = (0...255).map { byte in
      let text = ByteAlphabet.printable([UInt8(byte)])
      return "\"\(text == "\"" || text == "\\" ? "\\" : "")\(text)\": \(byte)"
    }
    let entries = bytes + ["\"ab\": 256", "\"bc\": 257"]
    try AtomicFile.write("{\(entries.joined(separator: ", "))}", to: directory + "/vocab.json")
    try AtomicFile.write("a b\nb c\n", to: directory + "/merges.txt")
    for path in [directory, directory + "/vocab.json"] {
      let id = String(try TokenizerSource(path: path).digest.prefix(12))
      let input = StageConfiguration.Input(id: id, path: path)
      try AtomicFile.write("a b\nb c\n", to: directory + "/merges.txt")
      let model = try BytePairModel.load(input: input)
      #expect(BytePairEncoder(model).encode("abc") == [256, 99])
      try AtomicFile.write("b c\na b\n", to: directory + "/merges.txt")
      let error = #expect(throws: UserError.self) { try BytePairModel.load(input: input) }
      #expect(error?.description.contains("another tokenizer") == true)
      try AtomicFile.write("a b\nb c\n", to: directory + "/merges.txt")
    }
  }
}
