import CZlib
import CZstd
import Foundation
import Grammar
import Parallel
import Support
import Tokenization

/// Tokenizer files, corpora and grammars: what comes from other people.
enum TextTargets {
  private static let text = "the cat sat on the mat. the rat sat on the cat, and 12 hats.\n"

  static func tokenizers(_ scratch: ScratchDirectory) throws -> [FuzzTarget] {
    let directory = try scratch.directory("tokenizer")
    try AtomicFile.write(String(repeating: text, count: 4), to: "\(directory)/corpus.txt")
    let counter = try PretokenCounter.count(
      CorpusReader(Corpus(["\(directory)/corpus.txt"])), pattern: .gpt2,
      pool: WorkerPool(threads: 1))
    let trained = try BytePairTrainer.train(
      BytePairTraining(
        vocabularySize: 280, pattern: .gpt2, specialTokens: ["<|endoftext|>"]), on: counter)
    let load = { (name: String, folder: String) throws -> ([UInt8]) throws -> Void in
      let path = try scratch.directory(folder)
      let file = try scratch.file("\(folder)/\(name)")
      return { bytes in
        try file.put(bytes)
        let model = try BytePairModel.load(path: "\(path)/\(name)", pattern: .gpt2)
        _ = BytePairEncoder(model).encode("the cat\u{301} sat <|endoftext|>")
      }
    }
    let words = [
      "\"type\": \"BPE\"", "\"merges\": [", "\"vocab\": {", "\"id\": ", "\"content\": ", "\\u0120",
      "Ġt", "h e", "YQ==", "\"Regex\": ", "\"normalizer\": {\"type\": \"NFC\"}",
    ]
    let json = Array(trained.huggingFaceJSON.utf8)
    let vocabulary = try split(trained)
    let merges = try load("vocab.json", "merges")
    let vocabularyReader = try load("vocab.json", "vocab")
    try AtomicFile.write(vocabulary.merges, to: "\(scratch.path)/vocab/merges.txt")
    let mergesFile = try scratch.file("merges/merges.txt")
    return [
      FuzzTarget(
        "tokenizer.json", seeds: [json] + smallTokenizers, words: words,
        read: try load("x.json", "hf")),
      FuzzTarget("vocab.json", seeds: [vocabulary.vocab], words: words, read: vocabularyReader),
      FuzzTarget("merges.txt", seeds: [vocabulary.merges], words: words) { bytes in
        try mergesFile.put(bytes)
        try merges(vocabulary.vocab)
      },
      FuzzTarget(
        "tiktoken", seeds: [Array(trained.tiktoken.utf8)], words: words,
        read: try load("x.tiktoken", "tiktoken")),
    ]
  }

  /// Any bytes as text, through every pattern's scanner and a small vocabulary, and back.
  static func texts(_ scratch: ScratchDirectory) throws -> FuzzTarget {
    let directory = try scratch.directory("text")
    try AtomicFile.write(String(repeating: text, count: 4), to: "\(directory)/corpus.txt")
    let encoders = try PretokenPattern.allCases.map { pattern in
      let counter = try PretokenCounter.count(
        CorpusReader(Corpus(["\(directory)/corpus.txt"])), pattern: pattern,
        pool: WorkerPool(threads: 1))
      let trained = try BytePairTrainer.train(
        BytePairTraining(vocabularySize: 270, pattern: pattern), on: counter)
      try AtomicFile.write(trained.huggingFaceJSON, to: "\(directory)/tokenizer.json")
      let model = try BytePairModel.load(path: "\(directory)/tokenizer.json")
      return (pattern, model, BytePairEncoder(model, findsSpecialTokens: false))
    }
    let words = ["'s", "'LL", "\r\n", "  ", "\u{A0}", "\u{2028}", "123", "\u{301}", "K", "ſ"]
    return FuzzTarget("text", seeds: [Array(text.utf8)], words: words) { bytes in
      for (pattern, model, encoder) in encoders {
        let (ids, ranges) = encoder.encodeWithOffsets(bytes)
        let isWhole = ranges.reduce((true, 0)) { ($0.0 && $1.lowerBound == $0.1, $1.upperBound) }
        guard model.decode(ids) == bytes, isWhole.0, isWhole.1 == bytes.count else {
          throw Finding(target: "text", problem: "\(pattern.rawValue): other text came back")
        }
      }
    }
  }

  /// Tokenizers of a few tokens: a change hits their structure rather than one of 256 bytes' names.
  private static var smallTokenizers: [[UInt8]] {
    let start =
      #"{"added_tokens":[{"id":9,"content":"<|end|>","special":true},{"id":10,"#
      + #""content":"é","normalized":true,"lstrip":false}],"normalizer":"#
    let vocabulary = #""vocab":{"t":0,"h":1,"e":2,"\u0120":3,"th":4,"the":5,"c":6,"a":7,"Ġt":8}"#
    let split = #"{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"#
    let level = #"{"type":"ByteLevel","add_prefix_space":false,"use_regex":"#
    let texts = [
      start + #"null,"pre_tokenizer":"# + level + #"true},"model":{"type":"BPE","unk_token":null,"#
        + vocabulary + #","merges":["t h","th e","Ġ t"]}}"#,
      start + #"{"type":"Sequence","normalizers":[{"type":"NFC"}]},"pre_tokenizer":"# + split
        + ConfigValue.string(PretokenPattern.gpt2.published[0]).canonicalJSON
        + #"},"behavior":"Isolated","invert":false},"# + level
        + #"false}]},"model":{"ignore_merges":true,"merges":[["t","h"],["th","e"]],"# + vocabulary
        + "}}",
    ]
    return texts.map { Array($0.utf8) }
  }

  /// The two files of a tokenizer as older tools write them.
  private static func split(
    _ trained: TrainedTokenizer
  ) throws -> (vocab: [UInt8], merges: [UInt8]) {
    guard
      case .object(let members) = try ConfigValue.parse(
        json: trained.huggingFaceJSON, source: "tokenizer")["model"],
      let vocab = members["vocab"], case .array(let merges)? = members["merges"]
    else { preconditionFailure("a tokenizer without its model") }
    let lines = merges.compactMap { value -> String? in
      if case .string(let text) = value { text } else { nil }
    }
    return (
      Array(vocab.canonicalJSON.utf8),
      Array(("#version: 0.2\n" + lines.joined(separator: "\n") + "\n").utf8)
    )
  }

  // MARK: - Corpora

  static func corpora(_ scratch: ScratchDirectory) throws -> [FuzzTarget] {
    let lines = Array(
      (0..<6).map {
        #"{"id": \#($0), "text": "line \#($0): \u00e9\ud83d\ude00 \#(text.dropLast())"}"#
      }
      .joined(separator: "\n").utf8)
    let words = ["\"text\": ", "\\u0000", "\\ud800", "{\"text\": \"\"}\n", "\n\n", "\u{1F}\u{8B}"]
    let target = { (name: String, suffix: String, seeds: [[UInt8]]) throws -> FuzzTarget in
      let file = try scratch.file("corpus\(suffix)")
      return FuzzTarget(name, seeds: seeds, words: words) { bytes in
        try file.put(bytes)
        let reader = CorpusReader(try Corpus([file.path]), blockBytes: 512)
        var documents = 0
        while let block = try reader.next() { documents += block.count }
        guard documents == reader.documents else {
          throw Finding(target: name, problem: "documents were lost")
        }
      }
    }
    return [
      try target("corpus.jsonl", ".jsonl", [lines]),
      try target("corpus.gz", ".jsonl.gz", [gzip(lines), gzip(lines + [0x0A]) + gzip(lines)]),
      try target("corpus.zst", ".txt.zst", [zstd(lines), zstd(lines) + zstd(Array(text.utf8))]),
    ]
  }

  /// Token files of others: ids behind a header, and the index of ids that stand in a file beside it.
  static func tokenFiles(_ scratch: ScratchDirectory) throws -> [FuzzTarget] {
    let words = (1...3).map { String(decoding: little([$0], 4), as: UTF8.self) } + ["\0\0\0\0"]
    func read(_ path: String, _ layout: TokenLayout, of name: String) throws {
      let file = try TokenFile(path, layout: layout, width: 2)
      var ids = 0
      while let document = try file.next(endOfText: 9) { ids += document.count }
      guard ids <= file.count else {
        throw Finding(target: name, problem: "more ids than the file has")
      }
    }
    let llmc = try scratch.file("tokens-llmc.bin")
    let header = little([20_240_520, 1, 4] + [UInt64](repeating: 0, count: 253), 4)
    let (index, ids) = (try scratch.file("tokens.idx"), little([1, 9, 2, 3, 4, 9], 2))
    try AtomicFile.write(ids, to: "\(scratch.path)/tokens.bin")
    let whole =
      Array("MMIDIDX\0\0".utf8) + little([1], 8) + [8] + little([3, 4], 8) + little([2, 3, 1], 4)
      + little([0, 4, 10], 8) + little([0, 1, 2, 3], 8)
    return [
      FuzzTarget("tokens.llmc", seeds: [header + little([9, 1, 2, 3], 2)], words: words) { bytes in
        try llmc.put(bytes)
        try read(llmc.path, .llmc, of: "tokens.llmc")
      },
      FuzzTarget("tokens.idx", seeds: [whole], words: words) { bytes in
        try index.put(bytes)
        try read("\(scratch.path)/tokens.bin", .megatron, of: "tokens.idx")
      },
    ]
  }

  private static func little(_ values: [UInt64], _ width: Int) -> [UInt8] {
    values.flatMap { value in (0..<width).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
    }
  }

  private static func gzip(_ bytes: [UInt8]) -> [UInt8] {
    let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    stream.initialize(to: z_stream())
    defer { stream.deallocate() }
    var output = [UInt8](repeating: 0, count: bytes.count + 256)
    var input = bytes
    let size = input.withUnsafeMutableBufferPointer { input in
      output.withUnsafeMutableBufferPointer { output in
        deflateInit2_(
          stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
          Int32(MemoryLayout<z_stream>.size))
        stream.pointee.next_in = input.baseAddress
        stream.pointee.avail_in = UInt32(input.count)
        stream.pointee.next_out = output.baseAddress
        stream.pointee.avail_out = UInt32(output.count)
        deflate(stream, Z_FINISH)
        return Int(stream.pointee.total_out)
      }
    }
    deflateEnd(stream)
    return Array(output[..<size])
  }

  private static func zstd(_ bytes: [UInt8]) -> [UInt8] {
    var output = [UInt8](repeating: 0, count: ZSTD_compressBound(bytes.count))
    let size = ZSTD_compress(&output, output.count, bytes, bytes.count, 3)
    return Array(output[..<size])
  }

  // MARK: - Grammars

  static func grammar() -> FuzzTarget {
    let text = """
      # Two levels.
      root: 5
      terminals: 1..3

      5 -> 4 4 | 4 4 4
      4 -> 1 2 | 2 1 3
      """
    return FuzzTarget(
      "grammar", seeds: [Array(text.utf8)], words: ["->", " | ", "root: ", "terminals: 1..", "4 "]
    ) { bytes in
      _ = try Grammar(bytes: bytes, source: "x.grammar")
    }
  }
}

/// Every reader of files, by name.
package enum FuzzTargets {
  /// - Throws: when scratch files cannot be written.
  package static func all(_ scratch: ScratchDirectory) throws -> [FuzzTarget] {
    [
      try BinaryTargets.shard(scratch), try BinaryTargets.safeTensors(scratch),
      try BinaryTargets.keys(scratch),
      try JSONTargets.index(scratch), try JSONTargets.evidence(scratch),
      JSONTargets.configuration(), JSONTargets.yaml(), try JSONTargets.state(scratch),
      try JSONTargets.metrics(scratch), JSONTargets.requests(),
    ] + (try TextTargets.tokenizers(scratch)) + (try TextTargets.corpora(scratch))
      + (try TextTargets.tokenFiles(scratch)) + [
        TextTargets.grammar(), try TextTargets.texts(scratch),
      ]
  }
}

extension FuzzTargets {
  /// - Throws: `UserError` that lists the readers where there is no such.
  package static func named(_ name: String, _ scratch: ScratchDirectory) throws -> FuzzTarget {
    let targets = try all(scratch)
    guard let target = targets.first(where: { $0.name == name }) else {
      throw UserError(
        "reader '\(name)'", expected: targets.map(\.name).joined(separator: ", "),
        found: "no such reader",
        remedy: EditDistance.nearest(to: name, among: targets.map(\.name))
          .map { "Did you mean '\($0)'?" })
    }
    return target
  }
}
