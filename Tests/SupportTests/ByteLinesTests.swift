import Support
import Testing

@Suite struct ByteLinesTests {
  private static func lines(_ text: String) -> [String] {
    ByteLines(Array(text.utf8)).map { String(decoding: $0, as: UTF8.self) }
  }

  @Test(arguments: [
    ("", []), ("a", ["a"]), ("a\n", ["a"]), ("\n", [""]), ("a\n\nb", ["a", "", "b"]),
    ("#version: 0.2\r\na b\r\n", ["#version: 0.2", "a b"]), ("a\r\r\nb", ["a\r", "b"]),
    ("a\rb\n", ["a\rb"]), ("a\u{2028}b\u{85}c\u{B}d\n", ["a\u{2028}b\u{85}c\u{B}d"]),
    ("\u{FEFF}a\n\u{FEFF}b", ["a", "\u{FEFF}b"]), ("\n\u{301}\n", ["", "\u{301}"]),
  ])
  func cutsAtLineFeeds(_ text: String, _ expected: [String]) {
    // By bytes: as Strings, "\n" and a mark behind it compare in their own way.
    #expect(Self.lines(text).map { Array($0.utf8) } == expected.map { Array($0.utf8) })
  }

  @Test func pathsAreBytes() {
    let path = BytePath([0x64, 0x2F, 0xE9, 0x2E, 0x74, 0x78, 0x74])
    #expect(path.description == "d/\u{FFFD}.txt")
    #expect(path.hasSuffix(".txt") && !path.hasSuffix("x.txt"))
    #expect(Array(path.lastComponent) == Array(path.bytes.dropFirst(2)))
    #expect(path.sibling("a").description == "d/a")
    #expect(BytePath("x").sibling("a").description == "a")
    // A mark behind the slash makes one Character of both.
    #expect(BytePath("d/\u{301}x").sibling("a").description == "d/a")
    #expect(BytePath("K") != BytePath("\u{212A}"))
    #expect(BytePath("/nowhere/at/all").status == nil)
    #expect(BytePath("/").status != nil)
  }
}
