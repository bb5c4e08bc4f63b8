import Foundation
import Support
import Testing
import Tokenization

/// Token files of others, written here byte by byte as their own writers do.
@Suite struct TokenFileTests {
  private let directory = NSTemporaryDirectory() + "token-files-" + UUID().uuidString

  init() throws { try AtomicFile.makeDirectory(directory) }

  private func bytes(_ ids: [UInt64], width: Int) -> [UInt8] {
    ids.flatMap { id in (0..<width).map { UInt8(truncatingIfNeeded: id >> UInt64(8 * $0)) } }
  }

  private func documents(
    _ content: [UInt8], _ layout: TokenLayout, width: Int = 2, index: [UInt8]? = nil,
    endOfText: UInt32? = 9
  ) throws -> [[UInt32]] {
    let path = "\(directory)/file.bin"
    try AtomicFile.write(content, to: path)
    if let index { try AtomicFile.write(index, to: "\(directory)/file.idx") }
    let file = try TokenFile(path, layout: layout, width: width)
    var documents: [[UInt32]] = []
    while let ids = try file.next(endOfText: endOfText) { documents.append(ids) }
    return documents
  }

  @Test func documentsEndAtTheEndOfText() throws {
    for ids in [[1, 2, 9, 300, 9], [1, 2, 9, 300], [1, 2, 300]] as [[UInt64]] {
      let expected: [[UInt32]] = ids.contains(9) ? [[1, 2], [300]] : [[1, 2, 300]]
      #expect(try documents(bytes(ids, width: 2), .nanogpt) == expected)
      #expect(try documents(bytes(ids, width: 2), .olmo) == expected)
      #expect(try documents(bytes(ids, width: 4), .olmo, width: 4) == expected)
    }
    // Before each document, as llm.c has it.
    #expect(try documents(bytes([9, 1, 9, 2], width: 2), .nanogpt) == [[], [1], [2]])
    #expect(try documents([], .nanogpt) == [])
    #expect(try documents(bytes([1, 9, 2], width: 2), .nanogpt, endOfText: nil) == [[1, 9, 2]])
    // More than is read at once.
    let long = (0..<1_200_000).map { UInt64($0 % 7) }
    #expect(
      try documents(bytes(long + [9, 5], width: 2), .nanogpt).map(\.count) == [1_200_000, 1])
  }

  private func llmc(_ words: [UInt64], _ ids: [UInt64], width: Int) -> [UInt8] {
    bytes(words + [UInt64](repeating: 0, count: 256 - words.count), width: 4)
      + bytes(ids, width: width)
  }

  @Test func llmcKnowsItsWidth() throws {
    #expect(
      try documents(llmc([20_240_520, 1, 4], [9, 1, 2, 300], width: 2), .llmc) == [
        [], [1, 2, 300],
      ])
    #expect(
      try documents(llmc([20_240_801, 7, 2], [128_000, 5], width: 4), .llmc) == [[128_000, 5]])
  }

  private func megatron(
    kind: UInt8, lengths: [UInt64], documents: [UInt64], modes: Bool = false
  ) -> [UInt8] {
    var pointers: [UInt64] = []
    for length in lengths { pointers.append((pointers.last ?? 0) + length) }
    return Array("MMIDIDX\0\0".utf8) + bytes([1], width: 8) + [kind]
      + bytes([UInt64(lengths.count), UInt64(documents.count)], width: 8)
      + bytes(lengths, width: 4) + bytes(pointers, width: 8) + bytes(documents, width: 8)
      + (modes ? [UInt8](repeating: 0, count: lengths.count) : [])
  }

  @Test func megatronKnowsWhereDocumentsEnd() throws {
    let ids: [UInt64] = [1, 2, 9, 3, 4, 5]
    for (kind, width) in [(UInt8(8), 2), (4, 4), (3, 2), (1, 1)] {
      let content = bytes(ids, width: width)
      // One sequence a document, with and without the token at its end; then several.
      #expect(
        try documents(
          content, .megatron,
          index: megatron(kind: kind, lengths: [3, 2, 1], documents: [0, 1, 2, 3]))
          == [[1, 2], [3, 4], [5]])
      #expect(
        try documents(
          content, .megatron,
          index: megatron(kind: kind, lengths: [3, 2, 1], documents: [0, 1, 3], modes: true))
          == [[1, 2], [3, 4, 5]])
    }
    // Empty documents stand where they are.
    #expect(
      try documents(
        bytes([1, 2], width: 2), .megatron,
        index: megatron(kind: 8, lengths: [0, 2, 0], documents: [0, 1, 2, 3])) == [[], [1, 2], []])
  }

  @Test func filesOfOtherLayoutsAreRefused() throws {
    let whole = llmc([20_240_520, 1, 2], [1, 2], width: 2)
    let index = megatron(kind: 8, lengths: [2], documents: [0, 1])
    let cases: [(content: [UInt8], layout: TokenLayout, index: [UInt8]?)] = [
      ([1, 2, 3], .nanogpt, nil), ([], .llmc, nil), (Array(whole.dropLast()), .llmc, nil),
      (whole + [0, 0], .llmc, nil), (Array(whole.prefix(1000)), .llmc, nil),
      (llmc([20_240_520, 2, 2], [1, 2], width: 2), .llmc, nil),
      (llmc([1, 1, 2], [1, 2], width: 2), .llmc, nil),
      (bytes([1, 2, 3], width: 2), .megatron, index),
      (bytes([1, 2], width: 2), .megatron, Array(index.dropLast())),
      (bytes([1, 2], width: 2), .megatron, []),
      (bytes([1, 2], width: 2), .megatron, megatron(kind: 6, lengths: [2], documents: [0, 1])),
      (bytes([1, 2], width: 2), .megatron, megatron(kind: 8, lengths: [2], documents: [0, 2])),
      (
        bytes([1, 2], width: 2), .megatron,
        megatron(kind: 8, lengths: [1, 1], documents: [0, 2, 1])
      ),
      (
        bytes([1, 2], width: 2), .megatron,
        Array(index.prefix(18)) + [UInt8](repeating: 255, count: 16)
      ),
    ]
    for (number, sample) in cases.enumerated() {
      #expect(throws: UserError.self, "\(number)") {
        try documents(sample.content, sample.layout, index: sample.index)
      }
    }
  }
}
