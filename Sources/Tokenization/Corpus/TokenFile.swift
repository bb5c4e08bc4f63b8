import Foundation
import Support

/// How others keep the ids of a tokenized corpus. All little-endian.
///
/// - nanogpt: raw ids of 2 bytes (karpathy/nanoGPT, data/*/prepare.py).
/// - olmo: raw ids of 2 or 4 bytes, whatever the file is called (allenai/OLMo, olmo/data/memmap_dataset.py).
/// - llmc: 256 × i32 header [20240520, 1, count] and ids of 2 bytes, or [20240801, 7, count] and of 4 bytes
///   (karpathy/llm.c, dev/data/data_common.py).
/// - megatron: `.bin` with ids, and `.idx` beside it with their width and the ends of documents
///   (NVIDIA/Megatron-LM, megatron/core/datasets/indexed_dataset.py).
package enum TokenLayout: String, CaseIterable, Sendable { case nanogpt, olmo, llmc, megatron }

/// A file of token ids, read from front to end.
///
/// A document ends at the end-of-text token, before or behind which it may stand, and where an index says so.
package final class TokenFile {
  package let path: String
  /// Ids in it.
  package let count: Int
  private let width: Int
  private let file: RawFile
  /// Numbers of ids up to the ends of documents, ascending; empty without an index.
  private let ends: [Int]

  private var buffer: [UInt8] = []
  private var position = 0
  /// Ids read, and ends passed.
  private var done = 0
  private var passed = 0

  /// - Parameters:
  ///   - path: the file; of megatron the `.bin`, or what it and the `.idx` are called without that.
  ///   - width: bytes of an id where the layout leaves it open.
  /// - Throws: `UserError` when the file is of another layout, or cut.
  package init(_ path: String, layout: TokenLayout, width: Int) throws {
    let isPrefix = layout == .megatron && !path.hasSuffix(".bin")
    self.path = isPrefix ? path + ".bin" : path
    file = try RawFile(BytePath(argument: self.path))
    let size = try file.size()
    var start = 0
    var expected: Int?
    switch layout {
    case .nanogpt: (self.width, ends) = (2, [])
    case .olmo: (self.width, ends) = (width, [])
    case .llmc:
      let header = try Self.header(file, self.path)
      start = 1024
      (self.width, expected, ends) = (header.width, header.count, [])
    case .megatron:
      let index = try MegatronIndex(path: String(self.path.dropLast(4)) + ".idx")
      (self.width, ends) = (index.width, index.ends)
      expected = index.tokens
    }
    let bytes = size - start
    count = bytes / self.width
    guard bytes % self.width == 0, count == expected ?? count else {
      throw UserError(
        "\(self.path): not a whole file of the layout \(layout.rawValue)",
        expected: (expected.map { "\($0) ids" } ?? "ids") + " of \(self.width) bytes each",
        found: "\(bytes) bytes")
    }
  }

  private static func header(_ file: RawFile, _ path: String) throws -> (width: Int, count: Int) {
    var bytes: [UInt8] = []
    while bytes.count < 1024, case let more = try file.read(upTo: 1024 - bytes.count), !more.isEmpty
    {
      bytes += more
    }
    let words = stride(from: 0, to: min(bytes.count, 12) / 4 * 4, by: 4).map {
      littleEndian(bytes[$0..<$0 + 4])
    }
    switch (bytes.count, words.prefix(2)) {
    case (1024, [20_240_520, 1]): return (2, Int(words[2]))
    case (1024, [20_240_801, 7]): return (4, Int(words[2]))
    default:
      throw UserError(
        path, expected: "an llm.c header: 256 words that begin with 20240520, 1 or 20240801, 7",
        found: words.prefix(2).map(String.init).joined(separator: ", "))
    }
  }

  /// The next document without its end-of-text tokens, empty ones too; nil behind the last.
  package func next(endOfText: UInt32?) throws -> [UInt32]? {
    if done == count && (passed == ends.count || ends.isEmpty) { return nil }
    var ids: [UInt32] = []
    while done < count {
      if passed < ends.count, ends[passed] == done {
        passed += 1
        return ids
      }
      let id = try nextID()
      if id == endOfText {
        // The end in an index is where this one is.
        if passed < ends.count, ends[passed] == done { passed += 1 }
        return ids
      }
      ids.append(id)
    }
    passed = min(passed + 1, ends.count)
    return ids
  }

  private func nextID() throws -> UInt32 {
    while position + width > buffer.count {
      buffer.removeFirst(position)
      position = 0
      let more = try file.read(upTo: 1 << 20)
      guard !more.isEmpty else {
        throw UserError("\(path): changed while it was read", remedy: "Run the same command again.")
      }
      buffer += more
    }
    defer {
      position += width
      done += 1
    }
    return littleEndian(buffer[position..<position + width])
  }
}

/// The `.idx` of Megatron's indexed datasets.
private struct MegatronIndex {
  let width: Int
  let tokens: Int
  /// Numbers of ids up to the ends of documents.
  let ends: [Int]

  init(path: String) throws {
    let bytes = try FileBytes.read(path)
    func fault(_ expected: String, _ found: String) -> UserError {
      UserError("\(path): not an index of Megatron's", expected: expected, found: found)
    }
    guard bytes.starts(with: Array("MMIDIDX\0\0".utf8)), bytes.count >= 34 else {
      throw fault("MMIDIDX and a header of 34 bytes", "\(bytes.count) other bytes")
    }
    func word(at place: Int) -> UInt64 {
      bytes[place..<place + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
    let widths: [UInt8: Int] = [1: 1, 3: 2, 4: 4, 8: 2]
    guard word(at: 9) == 1, let width = widths[bytes[17]] else {
      throw fault(
        "version 1 and ids of kind 1, 3, 4 or 8", "version \(word(at: 9)), kind \(bytes[17])")
    }
    guard let sequences = Int(exactly: word(at: 18)), let documents = Int(exactly: word(at: 26)),
      sequences < 1 << 40, documents < 1 << 40,
      bytes.count - 34 == 12 * sequences + 8 * documents
        || bytes.count - 34 == 13 * sequences + 8 * documents
    else { throw fault("as many entries as it says", "\(bytes.count) bytes") }
    var lengths = [0]
    for sequence in 0..<sequences {
      let place = 34 + 4 * sequence
      let length = littleEndian(bytes[place..<place + 4])
      guard length < 1 << 31 else { throw fault("lengths from 0", "\(length)") }
      lengths.append(lengths[sequence] + Int(length))
    }
    // Documents are ranges of sequences: 0, end of the first, …
    let first = 34 + 12 * sequences
    var ends: [Int] = []
    for document in 0..<documents {
      let end = word(at: first + 8 * document)
      guard end <= UInt64(sequences), lengths[Int(end)] >= ends.last ?? 0 else {
        throw fault("documents in order, up to sequence \(sequences)", "sequence \(end)")
      }
      ends.append(lengths[Int(end)])
    }
    if ends.first == 0 { ends.removeFirst() }
    (self.width, self.tokens, self.ends) = (width, lengths[sequences], ends)
  }
}

/// At most four bytes as a number.
private func littleEndian(_ bytes: ArraySlice<UInt8>) -> UInt32 {
  bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) }
}
