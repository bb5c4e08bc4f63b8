import Foundation
import Support
import Testing
import Tokenization

@Suite struct CorpusTests {
  static func read(
    _ corpus: Corpus, split: CorpusSplit? = nil, part: CorpusSplit.Part = .train,
    blockBytes: Int = 1 << 20
  ) throws -> [String] {
    let reader = CorpusReader(corpus, split: split, part: part, blockBytes: blockBytes)
    var texts: [String] = []
    while let block = try reader.next() {
      #expect(block.count > 0)
      block.withViews { views in
        for index in 0..<views.count {
          texts.append(String(decoding: views[index], as: UTF8.self))
        }
      }
    }
    return texts
  }

  @Test func filesDirectoriesAndGlobs() throws {
    let folder = try Fixtures.directory([
      "b.txt": "second", "a.md": "first",
      "c.jsonl": "{\"text\":\"third\"}\n\n{\"x\":1,\"text\":\"4\"}",
      "empty.txt": "", "other.csv": "no",
    ])
    #expect(try Self.read(Corpus([folder])) == ["first", "second", "third", "4"])
    #expect(try Self.read(Corpus([folder + "/*.txt"])) == ["second"])
    #expect(try Self.read(Corpus([folder + "/b.txt", folder + "/a.md"])) == ["second", "first"])
    for blockBytes in [1, 6, 7] {
      let texts = try Self.read(Corpus([folder]), blockBytes: blockBytes)
      #expect(texts == ["first", "second", "third", "4"])
    }
    for wrong in [folder + "/other.csv", folder + "/none.txt", folder + "/*.gz"] {
      #expect(throws: UserError.self) { try Corpus([wrong]) }
    }
    #expect(throws: UserError.self) { try Corpus([]) }
    #expect(try Corpus([folder + "/a.md"]).digest() != Corpus([folder + "/b.txt"]).digest())
  }

  @Test func escapes() throws {
    let folder = try Fixtures.directory([
      "a.jsonl":
        #"{"text": "\"\\\/\b\f\n\r\t\u00e9\ud83d\ude42\ud83d x", "more": [1, {"a": null}]}"#
    ])
    #expect(try Self.read(Corpus([folder])) == ["\"\\/\u{8}\u{C}\n\r\t\u{E9}🙂\u{FFFD} x"])
  }

  @Test(arguments: [
    ("{\"text\": \"a\"}\n{\"tex\": 1}\n", "c.jsonl:2: no text"), ("{\"text\": 5}", ":1: no text"),
    ("\n{\"text\": \"a\n", "c.jsonl:2: not a JSON object"), ("[1]", ":1: not a JSON object"),
    ("{\"text\": \"a\"} x", "behind"),
  ])
  func brokenLines(_ text: String, _ reason: String) throws {
    let folder = try Fixtures.directory(["c.jsonl": text])
    let error = #expect(throws: UserError.self) { try Self.read(Corpus([folder])) }
    #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
  }

  @Test(arguments: ["gz", "zst"])
  func compressedFilesAndTheirTruncations(_ coding: String) throws {
    let folder = try Fixtures.directory([:])
    let path = folder + "/t.txt." + coding
    let whole = try Data(
      contentsOf: URL(fileURLWithPath: Fixtures.path("corpus.txt." + coding)))
    let expected = try String(contentsOfFile: Fixtures.path("corpus.txt"), encoding: .utf8)
    try whole.write(to: URL(fileURLWithPath: path))
    #expect(try Self.read(Corpus([path])) == [expected])
    try (whole + whole).write(to: URL(fileURLWithPath: path))
    #expect(try Self.read(Corpus([path])) == [expected + expected])
    for kept in [1, 5, whole.count / 2, whole.count - 1] {
      try whole.prefix(kept).write(to: URL(fileURLWithPath: path))
      let error = #expect(throws: UserError.self) { try Self.read(Corpus([path])) }
      #expect(error?.description.contains("truncated") == true, "\(kept)")
    }
    var damaged = whole
    damaged[whole.count / 2] ^= 0xFF
    damaged[whole.count / 2 + 1] ^= 0xFF
    try damaged.write(to: URL(fileURLWithPath: path))
    #expect(throws: UserError.self) { try Self.read(Corpus([path])) }
  }

  @Test func splitsByDocument() throws {
    let lines = (0..<400).map { "{\"text\": \"document \($0)\"}" }.joined(separator: "\n")
    let folder = try Fixtures.directory(["c.jsonl": lines])
    let corpus = try Corpus([folder])
    let split = CorpusSplit(name: "split", seed: 3, validation: 0.25)
    let train = try Self.read(corpus, split: split, part: .train, blockBytes: 100)
    let validation = try Self.read(corpus, split: split, part: .validation)
    #expect(train.count + validation.count == 400)
    #expect(Set(train + validation).count == 400)
    // Four standard deviations of a binomial of 400 draws of 0.25.
    #expect(abs(validation.count - 100) <= 35)
    let other = try Self.read(
      corpus, split: CorpusSplit(name: "split", seed: 4, validation: 0.25), part: .validation)
    #expect(other != validation)
    let all = CorpusSplit(validation: 0)
    #expect(try Self.read(corpus, split: all, part: .validation).isEmpty)
  }

  /// Questions about one text stay together, wherever they stand and whatever their spaces.
  @Test(arguments: [1, 2, 3]) func splitsByTheFirstWords(seed: UInt64) throws {
    let lines = (0..<600).map { i in
      let gap = i % 3 == 0 ? " " : "  \\n"
      return "{\"text\": \"context number\(gap)\(i / 3) is this one: question \(i)\"}"
    }
    let folder = try Fixtures.directory(["c.jsonl": lines.joined(separator: "\n")])
    let split = CorpusSplit(seed: seed, validation: 0.25, groupWords: 4)
    let parts = try CorpusSplit.Part.allCases.map { part in
      try Self.read(Corpus([folder]), split: split, part: part)
    }
    #expect(parts.map(\.count).reduce(0, +) == 600)
    let groups = parts.map { part in
      Set(part.map { $0.split(whereSeparator: \.isWhitespace)[2] })
    }
    #expect(groups[0].isDisjoint(with: groups[1]) && groups.map(\.count).reduce(0, +) == 200)
    #expect((25...75).contains(groups[1].count))
    // Fewer words than that are all there are: "context number" alone puts all into one part.
    let all = CorpusSplit(seed: seed, validation: 0.25, groupWords: 2)
    let train = try Self.read(Corpus([folder]), split: all, part: .train)
    #expect(train.isEmpty || train.count == 600)
  }

  /// Blocks put together are the document; they end behind lines or between characters.
  @Test(arguments: [(64, true), (100, true), (64, false), (1 << 20, false)])
  func longDocumentsAreBlocks(bytes: Int, hasLines: Bool) throws {
    let text = (0..<300).map { "ж€😀\($0)" + (hasLines && $0 % 4 == 3 ? "\n" : ";") }.joined()
    let folder = try Fixtures.directory(["a.txt": text, "b.txt": "short", "c.txt": text + "!"])
    func read(_ part: CorpusSplit.Part, _ share: Double) throws -> [String] {
      try Self.read(
        Corpus([folder]), split: CorpusSplit(seed: 5, validation: share, blockBytes: bytes),
        part: part)
    }
    let whole = try read(.train, 0)
    #expect(whole.joined() == text + "short" + text + "!")
    #expect(whole.allSatisfy { $0.utf8.count <= bytes })
    #expect(hasLines ? whole.filter { $0.hasSuffix("\n") }.count > whole.count / 2 : true)
    #expect(bytes > 1 << 16 ? whole.count == 3 : whole.count > 2 * text.utf8.count / bytes)
    // Blocks keep their order, each in one part.
    let parts = try [read(.train, 0.3), read(.validation, 0.3)]
    var rest = parts
    for block in whole {
      let part = rest[0].first == block ? 0 : 1
      #expect(rest[part].first == block)
      rest[part].removeFirst()
    }
    #expect(rest == [[], []])
    #expect(bytes > 1 << 16 || parts.allSatisfy { $0.count > 10 })
  }

  // MARK: As they lie on disks

  @Test func linksHiddenNamesAndDirectoriesCalledLikeFiles() throws {
    let folder = try Fixtures.directory(["real.txt": "real"])
    let other = try Fixtures.directory(["linked.txt": "linked"])
    for path in ["page.md", ".cache", ".ipynb_checkpoints", "page.md/deep"] {
      try AtomicFile.makeDirectory("\(folder)/\(path)")
    }
    for path in [
      "page.md/a.txt", ".cache/no.txt", ".ipynb_checkpoints/no.md", "._real.txt", "page.md/.no.txt",
    ] {
      try AtomicFile.write(path, to: "\(folder)/\(path)")
    }
    let links = FileManager.default
    try links.createSymbolicLink(atPath: "\(folder)/to", withDestinationPath: other)
    try links.createSymbolicLink(atPath: "\(folder)/page.md/deep/up", withDestinationPath: folder)
    try links.createSymbolicLink(
      atPath: "\(folder)/z.txt", withDestinationPath: "\(other)/linked.txt")
    let corpus = try Corpus([folder])
    #expect(try Self.read(corpus) == ["page.md/a.txt", "real", "linked", "linked"])
    let note = try #require(corpus.leftOut)
    #expect(note.contains(".cache") && note.contains("._real.txt") && note.contains("deep/up"))
    // A corpus that is a link itself.
    try links.createSymbolicLink(atPath: other + "/all", withDestinationPath: folder)
    let linked = try Corpus([other + "/all"])
    #expect(try Self.read(linked) == ["page.md/a.txt", "real", "linked", "linked"])
    #expect(try linked.digest() == corpus.digest())
    // By the link in it, the directory that the glob names leads to all the others.
    #expect(
      try Self.read(Corpus([folder + "/*.md"])) == ["page.md/a.txt", "real", "linked", "linked"])
    #expect(try Corpus([folder + "/.cache"]).leftOut == nil)
    try links.createSymbolicLink(atPath: "\(folder)/gone.txt", withDestinationPath: "/nowhere")
    let error = #expect(throws: UserError.self) { try Corpus([folder]) }
    #expect(error?.description.contains("gone.txt: cannot be read") == true)
  }

  @Test func namesAreBytes() throws {
    let folder = try Fixtures.directory(["a.txt": "first"])
    let path = BytePath(folder).appending([0x63, 0xE9, 0x2E, 0x74, 0x78, 0x74])
    let descriptor = path.withCString { open($0, O_WRONLY | O_CREAT, 0o644) }
    #expect(write(descriptor, "second", 6) == 6)
    close(descriptor)
    let corpus = try Corpus([folder])
    #expect(try Self.read(corpus) == ["first", "second"])
    #expect(try corpus.byteCount() == 11)
    #expect(try Self.read(Corpus([folder + "/*.txt"])) == ["first", "second"])
    let digest = try corpus.digest()
    #expect(path.withCString { unlink($0) } == 0)
    try AtomicFile.write("second", to: folder + "/c\u{FFFD}.txt")
    #expect(try Corpus([folder]).digest() != digest)
  }

  @Test(arguments: ["gz", "zst"])
  func emptyCompressedFilesAreCut(_ coding: String) throws {
    let folder = try Fixtures.directory(["t.txt.\(coding)": ""])
    let error = #expect(throws: UserError.self) { try Self.read(Corpus([folder])) }
    #expect(error?.description.contains("truncated") == true)
    #expect(error?.description.contains("an empty file") == true)
  }

  @Test func gzipPaddedWithZeros() throws {
    let whole = try FileBytes.read(Fixtures.path("corpus.txt.gz"))
    let expected = String(decoding: try FileBytes.read(Fixtures.path("corpus.txt")), as: UTF8.self)
    let folder = try Fixtures.directory([:])
    let read = { (bytes: [UInt8]) in
      try AtomicFile.write(bytes, to: folder + "/t.txt.gz")
      return try Self.read(Corpus([folder]))
    }
    for zeros in [1, 511, 1 << 18, (1 << 18) + 1] {
      #expect(try read(whole + [UInt8](repeating: 0, count: zeros)) == [expected])
    }
    #expect(try read(whole + [0, 0, 0] + whole) == [expected + expected])
    #expect(throws: UserError.self) { try read(whole + [0, 0, 7]) }
    #expect(throws: UserError.self) { try read([UInt8](repeating: 0, count: 512)) }
  }

  /// A frame made with a window of 512 MiB, which the library does not take by default: header, one raw
  /// block, no checksum.
  @Test func framesWithLargeWindows() throws {
    let frame: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0x00, (29 - 10) << 3, 0x11, 0, 0, 0x68, 0x69]
    let folder = try Fixtures.directory([:])
    try AtomicFile.write(frame, to: folder + "/t.txt.zst")
    #expect(try Self.read(Corpus([folder])) == ["hi"])
    var larger = frame
    larger[5] = (40 - 10) << 3
    try AtomicFile.write(larger, to: folder + "/t.txt.zst")
    let error = #expect(throws: UserError.self) { try Self.read(Corpus([folder])) }
    #expect(error?.description.contains("--long") == true, "\(error?.description ?? "")")
  }

  @Test func linesOfOtherWriters() throws {
    let lines = [
      "\u{FEFF}{\"text\": \"first\"}", #"{"text": "no", "text": "last"}"#,
      #"{"te\u0078t": "escaped", "texts": 1, "a": {"text": "inner"}, "b": [1.5e-3, "x\"", [], {}]}"#,
      #"{"text": 5, "text": "number first"}"#, #"{"text": "\u00e9\ud83d\ude42"}"#, "",
      #"{"n": null, "t": true, "f": false, "text": ""}"#, #"{"a": "\u0074", "text": "x"}"#,
    ]
    for end in ["\n", "\r\n"] {
      let folder = try Fixtures.directory(["c.jsonl": lines.joined(separator: end) + end])
      for blockBytes in [1, 7, 1 << 20] {
        #expect(
          try Self.read(Corpus([folder]), blockBytes: blockBytes)
            == ["first", "last", "escaped", "number first", "\u{E9}🙂", "x"])
      }
    }
    for wrong in [
      #"{"text": "a", "text": 5}"#, #"{"text": "a", "n": 01}"#, #"{"text": "a", "n": +1}"#,
      #"{"text": "a", "n": 1.}"#, #"{"text": "a", "n": tru}"#, #"{"text": "a\q"}"#,
      #"{"x": "a\u12g4", "text": "a"}"#, #"{"text": "a",}"#, #"{"text": "a" "b": 1}"#,
      "{\"text\": \"a\u{1}\"}", #"{"text": "a", "n": [1 2]}"#,
      #"{"n": \#(String(repeating: "[", count: 200)), "text": "a"}"#,
    ] {
      let folder = try Fixtures.directory(["c.jsonl": wrong])
      #expect(throws: UserError.self, "\(wrong)") { try Self.read(Corpus([folder])) }
    }
  }

  /// Lines of every length up to some blocks of the scan, with a quote, a backslash or none at the end.
  @Test func linesOfEveryLength() throws {
    var lines: [String] = []
    var expected: [String] = []
    for length in 1..<200 {
      let text = String(repeating: "x", count: length)
      for (written, read) in [
        (text, text), (text + #"\""#, text + "\""), (text + #"\n"#, text + "\n"),
      ] {
        lines.append("{\"id\": \"\(written)\", \"text\": \"\(written)\"}")
        expected.append(read)
      }
    }
    let folder = try Fixtures.directory(["c.jsonl": lines.joined(separator: "\n")])
    #expect(try Self.read(Corpus([folder])) == expected)
  }

  @Test func partsThatWouldBeEmptyAreRefused() throws {
    let folder = try Fixtures.directory(["a.txt": "one document"])
    func check(_ share: Double, _ part: CorpusSplit.Part) throws {
      let reader = CorpusReader(
        try Corpus([folder]), split: CorpusSplit(validation: share), part: part)
      while try reader.next() != nil {}
      try reader.require(part)
    }
    try check(0.01, .train)
    let error = #expect(throws: UserError.self) { try check(0.01, .validation) }
    #expect(error?.description.contains("1 document, 0 in validation") == true)
    #expect(error?.description.contains(".jsonl") == true)
    // Asked for.
    try check(0, .validation)
    try check(1, .train)
    #expect(throws: UserError.self) { try check(0.9999, .train) }
  }
}
