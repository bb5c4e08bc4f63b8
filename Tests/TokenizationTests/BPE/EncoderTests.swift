import Foundation
import Parallel
import Support
import Testing
import Tokenization

@Suite struct EncoderTests {
  @Test(arguments: ["gpt2", "cl100k", "neox", "tiktoken"])
  func idsEqualThePeers(_ name: String) throws {
    let encoder = BytePairEncoder(
      try Fixtures.model(name), findsSpecialTokens: name != "tiktoken")
    let cases = try Fixtures.cases()
    #expect(cases.count >= 200)
    for pass in 0..<2 {
      for item in cases {
        #expect(encoder.encode(item.text) == item.ids[name], "pass \(pass): \(item.text)")
      }
    }
  }

  @Test(arguments: ["o200k", "o200k-tiktoken", "llama3", "qwen2"])
  func idsEqualThePeersOfNewerPatterns(_ name: String) throws {
    let encoder = BytePairEncoder(
      name == "o200k-tiktoken"
        ? try .load(path: Fixtures.path("o200k.tiktoken"), pattern: .o200k)
        : try Fixtures.model(name))
    let cases = try Fixtures.cases("patterns.json")
    #expect(cases.count >= 200)
    for item in cases { #expect(encoder.encode(item.text) == item.ids[name], "\(item.text)") }
  }

  @Test(arguments: ["gpt2", "cl100k", "o200k", "qwen2"])
  func tokensEqualTheTwin(_ name: String) throws {
    let model = try Fixtures.model(name)
    let twin = ReferenceTokenizer(model.pattern, merges: try Fixtures.merges(name))
    let encoder = BytePairEncoder(model)
    var generator = TextGenerator(random: RandomStream(seed: 3, name: "encoder"))
    for round in 0..<400 {
      let text = generator.text(pieces: 1 + round % 60)
      let expected = twin.pretokens(text).flatMap { twin.merged(Array($0.utf8)) }
      #expect(encoder.encode(text).map { Array(model.tokens.bytes(of: $0)) } == expected)
    }
  }

  @Test func longPretokensEqualTheTwin() throws {
    let model = try Fixtures.model("gpt2")
    let twin = ReferenceTokenizer(model.pattern, merges: try Fixtures.merges("gpt2"))
    var random = RandomStream(seed: 5, name: "long")
    let letters = Array("aeiousntrmbd".utf8)
    for length in [1, 2, 15, 16, 17, 63, 64, 65, 66, 100, 511, 512, 513, 700] {
      for distinct in [1, 2, 12] {
        let bytes = (0..<length).map { _ in letters[Int(random.below(UInt32(distinct)))] }
        let encoder = BytePairEncoder(model)
        for _ in 0..<2 {
          let ids = encoder.encode(bytes)
          #expect(ids.map { Array(model.tokens.bytes(of: $0)) } == twin.merged(bytes))
        }
      }
    }
  }

  @Test(arguments: ["gpt2", "cl100k", "tiktoken"])
  func decodingGivesAnyBytesBack(_ name: String) throws {
    let model = try Fixtures.model(name)
    let encoder = BytePairEncoder(model)
    var random = RandomStream(seed: 11, name: "bytes")
    for length in [0, 1, 2, 63, 64, 65, 1000] {
      for _ in 0..<50 {
        let bytes = (0..<length).map { _ in UInt8(truncatingIfNeeded: random.next32()) }
        let (ids, ranges) = encoder.encodeWithOffsets(bytes)
        #expect(model.decode(ids) == bytes)
        #expect(ranges.flatMap { bytes[$0] } == bytes)
      }
    }
  }

  @Test func compositionComesFirstAndOffsetsFollowIt() throws {
    let encoder = BytePairEncoder(try Fixtures.model("neox"))
    #expect(encoder.encode("e\u{301}") == encoder.encode("\u{E9}"))
    let (ids, ranges) = encoder.encodeWithOffsets(Array("e\u{301} x".utf8))
    #expect(ids.count == ranges.count && ranges.last?.upperBound == 4)
    // Nothing composes across a byte that is no UTF-8, and the byte stays.
    let broken: [UInt8] = [0x65, 0xFF, 0xCC, 0x81]
    #expect(encoder.model.decode(encoder.encode(broken)) == broken)
  }

  @Test func specialTokensOnRequest() throws {
    let model = try Fixtures.model("gpt2")
    let text = "a<|endoftext|>b"
    #expect(BytePairEncoder(model).encode(text).contains(0))
    #expect(!BytePairEncoder(model, findsSpecialTokens: false).encode(text).contains(0))
  }

  /// A vocabulary entry that no merges lead to is no token of a text, except where the format says
  /// that whole pretokens are looked up first.
  @Test func unreachableEntries() throws {
    var vocabulary = (0...255).map { "\(quoted(ByteAlphabet.printable([UInt8($0)]))): \($0)" }
    vocabulary += ["\"bc\": 256", "\"abc\": 257"]
    for whole in [false, true] {
      let directory = try Fixtures.directory([
        "tokenizer.json": """
        {"added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "ByteLevel",
        "add_prefix_space": false, "use_regex": true}, "model": {"type": "BPE",
        "ignore_merges": \(whole), "vocab": {\(vocabulary.joined(separator: ","))},
        "merges": [["b", "c"]]}}
        """
      ])
      let encoder = BytePairEncoder(try .load(path: directory))
      for _ in 0..<2 { #expect(encoder.encode("abc") == (whole ? [257] : [97, 256])) }
    }
  }

  private func quoted(_ text: String) -> String {
    text == "\"" || text == "\\" ? "\"\\\(text)\"" : "\"\(text)\""
  }

  /// The text ends where readable memory ends: reading behind it would crash.
  @Test func nothingIsReadBehindTheEnd() throws {
    let page = 4096
    let memory = try #require(
      mmap(nil, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
    defer { munmap(memory, 2 * page) }
    #expect(mprotect(memory + page, page, PROT_NONE) == 0)
    let tails: [[UInt8]] = [
      [0xF0, 0x9F, 0x99], [0xE2], Array("'".utf8), Array("'l".utf8), Array(" ".utf8), [0xC3, 0xA9],
      Array("word".utf8), Array("\r\n".utf8), Array(repeating: 0x78, count: 70),
    ]
    for name in ["gpt2", "cl100k", "neox", "tiktoken", "o200k", "qwen2"] {
      let encoder = BytePairEncoder(try Fixtures.model(name))
      for tail in tails {
        for length in tail.count..<140 {
          let text = Array(repeating: UInt8(ascii: "a"), count: length - tail.count) + tail
          let start = memory + page - length
          UnsafeMutableRawBufferPointer(start: start, count: length).copyBytes(from: text)
          let output = TokenBuffer()
          encoder.encode(
            UnsafeBufferPointer(
              start: UnsafePointer(start.assumingMemoryBound(to: UInt8.self)), count: length),
            into: output)
          #expect(encoder.encode(text) == output.tokens)
        }
      }
    }
  }

  @Test func threadsDoNotChangeIds() throws {
    let model = try Fixtures.model("cl100k")
    var generator = TextGenerator(random: RandomStream(seed: 13, name: "batch"))
    var bytes: [UInt8] = []
    var offsets = [0]
    for index in 0..<300 {
      bytes += Array(generator.text(pieces: index % 97 == 0 ? 0 : 100 + index).utf8)
      offsets.append(bytes.count)
    }
    let plain = BytePairEncoder(model)
    let expected = (0..<300).map { plain.encode(Array(bytes[offsets[$0]..<offsets[$0 + 1]])) }
    for threads in [1, 2, 3] {
      let encoder = BatchEncoder(model, pool: WorkerPool(threads: threads))
      let encode = {
        bytes.withUnsafeBufferPointer { encoder.encode(DocumentViews($0, offsets: offsets)) }
      }
      let isRight = { (groups: [BatchEncoder.Group]) in
        groups.flatMap { $0.counts } == expected.map(\.count)
          && groups.flatMap { $0.buffer.tokens } == expected.flatMap { $0 }
      }
      let first = encode()
      var second = encode()
      #expect(isRight(first) && isRight(second))
      // Buffers that nobody holds are written again, those that are held are not.
      let free = Set(second.map { $0.buffer.base })
      second = []
      let third = encode()
      #expect(isRight(third) && isRight(first))
      #expect(Set(third.map { $0.buffer.base }) == free)
    }
  }
}
