import Support

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Documents of a corpus that were read together, side by side in one block.
package final class DocumentBlock {
  package fileprivate(set) var bytes: [UInt8] = []
  /// Document i is `bytes[offsets[i]..<offsets[i + 1]]`.
  package fileprivate(set) var offsets = [0]

  package var count: Int { offsets.count - 1 }

  /// Calls `body` with views that are valid until it returns.
  package func withViews<R>(_ body: (DocumentViews) throws -> R) rethrows -> R {
    try bytes.withUnsafeBufferPointer { try body(DocumentViews($0, offsets: offsets)) }
  }
}

/// Reads the documents of one part of a corpus in order, a block of them at a time: memory is one
/// block and the longest document.
package final class CorpusReader {
  private let corpus: Corpus
  private let split: CorpusSplit?
  private let part: CorpusSplit.Part
  private let blockBytes: Int
  private var nextFile = 0
  private var file: CorpusFile?
  private var line = 0
  /// Bytes of the current file that belong to no document yet, from `rest` on.
  private var pending: [UInt8] = []
  private var rest = 0
  /// Documents met so far, of either part.
  package private(set) var documents = 0
  /// Bytes of the files, as they are stored, read so far.
  package private(set) var fileBytesRead = 0

  package init(
    _ corpus: Corpus, split: CorpusSplit? = nil, part: CorpusSplit.Part = .train,
    blockBytes: Int = 1 << 25
  ) {
    self.corpus = corpus
    self.split = split
    self.part = part
    self.blockBytes = blockBytes
  }

  /// The next documents, at least one; nil at the end.
  package func next() throws -> DocumentBlock? {
    let block = DocumentBlock()
    while block.bytes.count < blockBytes {
      if file == nil {
        if nextFile == corpus.files.count { break }
        file = try CorpusFile(path: corpus.files[nextFile])
        nextFile += 1
        line = 0
      }
      if Corpus.isLines(corpus.files[nextFile - 1]) {
        try readLines(into: block)
      } else {
        while try fill() > 0 {}
        pending.withUnsafeBufferPointer { take($0, into: block) }
        closeFile()
      }
    }
    return block.count == 0 ? nil : block
  }

  private func closeFile() {
    file = nil
    pending.removeAll(keepingCapacity: true)
    rest = 0
  }

  private func take(_ document: UnsafeBufferPointer<UInt8>, into block: DocumentBlock) {
    if document.isEmpty { return }
    defer { documents += 1 }
    if let split, split.part(ofDocument: documents) != part { return }
    block.bytes.append(contentsOf: document)
    block.offsets.append(block.bytes.count)
  }

  /// Reads a piece of the file behind `pending`; 0 at the end.
  private func fill() throws -> Int {
    guard let file else { return 0 }
    let before = pending.count
    let room = 1 << 20
    pending.append(contentsOf: repeatElement(0, count: room))
    let count = try pending.withUnsafeMutableBytes {
      try file.read(into: UnsafeMutableRawBufferPointer(rebasing: $0[before...]))
    }
    pending.removeLast(room - count)
    fileBytesRead += file.takeFileBytes()
    return count
  }

  private func readLines(into block: DocumentBlock) throws {
    var searched = rest
    while block.bytes.count < blockBytes {
      let end = pending.withUnsafeBytes { bytes -> Int? in
        guard searched < bytes.count, let base = bytes.baseAddress,
          let found = memchr(base + searched, 0x0A, bytes.count - searched)
        else { return nil }
        return UnsafeRawPointer(found) - base
      }
      if let end {
        try takeLine(rest..<end, into: block)
        rest = end + 1
        searched = rest
        continue
      }
      pending.removeFirst(rest)
      rest = 0
      searched = pending.count
      if try fill() == 0 {
        try takeLine(0..<pending.count, into: block)
        return closeFile()
      }
    }
  }

  private func takeLine(_ range: Range<Int>, into block: DocumentBlock) throws {
    line += 1
    let place = "\(corpus.files[nextFile - 1]):\(line)"
    try pending.withUnsafeBufferPointer { pending in
      let bytes = UnsafeBufferPointer(rebasing: pending[range])
      if bytes.allSatisfy({ $0 == 0x20 || $0 == 0x0D || $0 == 0x09 }) { return }
      guard let text = try Self.text(of: bytes, place) else {
        throw UserError("\(place): no text", expected: "an object with a string field \"text\"")
      }
      text.withUnsafeBufferPointer { take($0, into: block) }
    }
  }

  private static func text(
    of line: UnsafeBufferPointer<UInt8>, _ place: String
  ) throws -> [UInt8]? {
    var text: [UInt8]?
    do throws(JSONText.Malformed) {
      var reader = JSONText(line)
      try reader.object { (key, value) throws(JSONText.Malformed) in
        value.skipSpace()
        if key.elementsEqual("text".utf8), value.current == UInt8(ascii: "\"") {
          text = try value.string()
        } else {
          _ = try value.value()
        }
      }
      reader.skipSpace()
      if reader.position != line.count { throw reader.malformed("text behind the object") }
    } catch {
      throw UserError("\(place): not a JSON object: \(error.what)")
    }
    return text
  }
}
