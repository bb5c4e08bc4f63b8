import Support
import Testing
import Tokenization

@Suite struct PretokenTests {
  static func cut(_ bytes: [UInt8], _ pattern: PretokenPattern) -> [[UInt8]] {
    bytes.withUnsafeBufferPointer { buffer in
      PretokenScanner(pattern).pretokens(of: buffer).map { Array(buffer[$0]) }
    }
  }

  static func cut(_ text: String, _ pattern: PretokenPattern) -> [String] {
    cut(Array(text.utf8), pattern).map { String(decoding: $0, as: UTF8.self) }
  }

  @Test func knownCuts() {
    #expect(
      Self.cut("I'll pay 12345  \n now", .gpt2) == ["I", "'ll", " pay", " 12345", "  \n", " now"])
    #expect(
      Self.cut("I'll pay 12345  \n now", .cl100k)
        == ["I", "'ll", " pay", " ", "123", "45", "  \n", " now"])
    #expect(Self.cut("(a) --x\n\ty", .cl100k) == ["(a", ")", " --", "x", "\n", "\ty"])
    #expect(Self.cut("end.\n  ", .cl100k) == ["end", ".\n", "  "])
    #expect(Self.cut("end \n  ", .cl100k) == ["end", " \n", "  "])
    #expect(Self.cut("end \n  ", .cl100kTiktoken) == ["end", " \n  "])
    #expect(
      Self.cut("HTMLParser's aB don'Tx 12345", .o200k)
        == ["HTMLParser's", " a", "B", " don'T", "x", " ", "123", "45"])
    #expect(
      Self.cut("a's's;\n//b /\n/ \u{65E5}ABC", .o200k)
        == ["a's", "'s", ";\n//", "b", " /\n/", " \u{65E5}", "ABC"])
    #expect(Self.cut("a 123's", .qwen2) == ["a", " ", "1", "2", "3", "'s"])
    #expect(Self.cut("a b", .none) == ["a b"])
    for pattern in PretokenPattern.allCases { #expect(Self.cut("", pattern).isEmpty) }
  }

  @Test(arguments: PretokenPattern.allCases)
  func equalsTheTwinOnGeneratedText(_ pattern: PretokenPattern) {
    let twin = ReferenceTokenizer(pattern)
    var generator = TextGenerator(random: RandomStream(seed: 7, name: "pretokens"))
    for round in 0..<3000 {
      let text = generator.text(pieces: 1 + round % 120)
      #expect(Self.cut(text, pattern) == twin.pretokens(text), "round \(round)")
    }
  }

  @Test(arguments: PretokenPattern.allCases)
  func equalsTheTwinOnEveryShortAsciiMix(_ pattern: PretokenPattern) {
    let twin = ReferenceTokenizer(pattern)
    let alphabets = [
      ["a", "s", "1", " ", "\n", "'", ".", "\t"], ["a", "S", "s", "/", "\n", "'", "L", "l"],
    ]
    // All strings of five, behind a prefix that puts them anywhere in a block of 64.
    for alphabet in alphabets {
      for code in 0..<32768 {
        let tail = (0..<5).map { alphabet[code >> (3 * $0) & 7] }.joined()
        let text =
          String(repeating: "ab ", count: code % 22) + tail + " word of some more length here."
        let cuts = Self.cut(text, pattern)
        if cuts != twin.pretokens(text) {
          Issue.record("\(text.debugDescription): \(cuts)")
          return
        }
      }
    }
  }

  @Test(arguments: [PretokenPattern.gpt2, .cl100k, .cl100kTiktoken, .o200k, .qwen2])
  func invalidBytesAreCutAsReplacementCharacters(_ pattern: PretokenPattern) {
    let invalid: [[UInt8]] = [
      [0x80], [0xC3], [0xE2, 0x82], [0xF0, 0x9F, 0x99], [0xC0, 0x80], [0xED, 0xA0, 0x80],
      [0xF5, 0x80, 0x80, 0x80], [0xFF],
    ]
    var random = RandomStream(seed: 9, name: "invalid")
    var generator = TextGenerator(random: RandomStream(seed: 10, name: "invalid text"))
    for _ in 0..<500 {
      var bytes: [UInt8] = []
      var replaced = ""
      for _ in 0..<4 {
        let text = generator.text(pieces: 1 + Int(random.below(12)))
        let broken = invalid[Int(random.below(UInt32(invalid.count)))]
        bytes += Array(text.utf8) + broken
        replaced += text + String(repeating: "\u{FFFD}", count: broken.count)
      }
      let cuts = Self.cut(bytes, pattern)
      let twin = ReferenceTokenizer(pattern).pretokens(replaced)
      #expect(cuts.flatMap { $0 } == bytes)
      // Where one replacement character stands for each byte, the cuts hold as many characters.
      #expect(cuts.map(Self.characters) == twin.map { $0.unicodeScalars.count })
    }
  }

  /// Characters of bytes, each byte outside well-formed UTF-8 being one.
  static func characters(_ bytes: [UInt8]) -> Int {
    var count = 0
    var rest = bytes[...]
    while !rest.isEmpty {
      let length = (1...4).first {
        rest.count >= $0 && String(validating: rest.prefix($0), as: UTF8.self) != nil
      }
      rest = rest.dropFirst(length ?? 1)
      count += 1
    }
    return count
  }

  @Test func runsLongerThanBlocks() {
    for unit in ["x", " ", "\n", "7", "'", ".", "é", "日", " a", "a\n", "\n "] {
      for count in [1, 20, 21, 22, 31, 32, 33, 62, 63, 64, 65, 66, 127, 128, 129, 200] {
        let text = String(repeating: unit, count: count)
        for pattern in PretokenPattern.allCases {
          #expect(Self.cut(text, pattern) == ReferenceTokenizer(pattern).pretokens(text))
        }
      }
    }
  }

  @Test func publishedPatternsAreRecognised() throws {
    for pattern in PretokenPattern.allCases {
      for regex in pattern.published {
        #expect(try PretokenPattern(regex: Array(regex.utf8), source: "x").cuts(as: pattern))
      }
    }
    let error = #expect(throws: UserError.self) {
      try PretokenPattern(regex: Array(#"\w+"#.utf8), source: "t.json")
    }
    #expect(error?.description.contains(#"\w+"#) == true)
  }
}
