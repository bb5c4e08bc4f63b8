import Foundation
import Support
import Testing
import Tokenization

/// Files that Tests/Peers/tokenizers_fixtures.py wrote with the peers' own programs.
enum Fixtures {
  struct Case: Decodable {
    var text: String
    var ids: [String: [UInt32]]
  }

  static func path(_ name: String) throws -> String {
    try #require(
      Bundle.module.url(forResource: "Fixtures", withExtension: nil)
    ).appendingPathComponent(name).path
  }

  static func cases(_ name: String = "cases.json") throws -> [Case] {
    let data = try Data(contentsOf: URL(fileURLWithPath: path(name)))
    return try JSONDecoder().decode([Case].self, from: data)
  }

  static func model(_ name: String) throws -> BytePairModel {
    name == "tiktoken"
      ? try .load(path: path("cl100k.tiktoken"), pattern: .cl100kTiktoken)
      : try .load(path: path(name + ".json"))
  }

  /// Merges of a tokenizer.json as byte strings.
  static func merges(_ name: String) throws -> [([UInt8], [UInt8])] {
    let data = try Data(contentsOf: URL(fileURLWithPath: path(name + ".json")))
    let json = try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
    let model = try #require(json["model"] as? [String: Any])
    let list = try #require(model["merges"] as? [[String]])
    return try list.map {
      (
        try #require(ByteAlphabet.bytes(of: $0[0])), try #require(ByteAlphabet.bytes(of: $0[1]))
      )
    }
  }

  /// A temporary directory with these files.
  static func directory(_ files: [String: String]) throws -> String {
    let path = NSTemporaryDirectory() + "ott-bpe-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    for (name, text) in files { try AtomicFile.write(text, to: path + "/" + name) }
    return path
  }
}

/// Texts drawn from pieces that the patterns treat differently.
struct TextGenerator {
  var random: RandomStream

  static let pieces = [
    "a", "b", "word", "The", "é", "e\u{301}", "日", "א", "ſ", "ʰ", "0", "7", "12", "1984", "٣", "Ⅷ",
    " ", " ", " ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", "\n  \n", "\u{A0}", "\u{3000}", "\u{B}",
    "'s", "'S", "'ll", "'RE", "'ve", "'d", "'", "''", "'ſ", "’", ".", ",", "--", "…", "🙂",
    "\u{301}",
    "\u{200D}", "\0", "\u{7F}", "\u{FFFD}", "averyveryverylongwordindeed",
    "HTMLParser", "aB", "ABC", "X'S", "ǅ", "Ж", "ж", "/", "//", "\n//", "x'rE", "'s's",
  ]

  mutating func text(pieces count: Int) -> String {
    var text = ""
    for _ in 0..<count { text += Self.pieces[Int(random.below(UInt32(Self.pieces.count)))] }
    return text
  }
}
