import Support

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Documents of a corpus that were read together, side by side in one block.
package final class DocumentBlock: Sendable {
  package let bytes: [UInt8]
  /// Document i is `bytes[offsets[i]..<offsets[i + 1]]`.
  package let offsets: [Int]

  fileprivate init(bytes: [UInt8], offsets: [Int]) {
    self.bytes = bytes
    self.offsets = offsets
  }

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
  private let blockBytes: Int
  private var nextFile = 0
  private var file: CorpusFile?
  /// Bytes of the current file that belong to no document yet, from `rest` on.
  private var pending: [UInt8] = []
  private var rest = 0
  /// Bytes to ask the current file for: few at first, so that a small file costs little.
  private var room = CorpusReader.smallestRoom
  private static let smallestRoom = 1 << 14
  private static let largestRoom = 1 << 20
  private var gathered: GatheredDocuments
  /// Bytes of the files, as they are stored, read so far.
  package private(set) var fileBytesRead = 0

  package init(
    _ corpus: Corpus, split: CorpusSplit? = nil, part: CorpusSplit.Part = .train,
    blockBytes: Int = 1 << 25
  ) {
    self.corpus = corpus
    self.blockBytes = blockBytes
    gathered = GatheredDocuments(split: split, part: part)
  }

  /// Documents met so far, of either part.
  package var documents: Int { gathered.documents }

  /// The next documents, at least one; nil at the end.
  package func next() throws -> DocumentBlock? {
    while gathered.bytes.count < blockBytes {
      if file == nil {
        if nextFile == corpus.files.count { break }
        file = try CorpusFile(path: corpus.files[nextFile])
        nextFile += 1
        gathered.line = 0
      }
      if Corpus.isLines(corpus.files[nextFile - 1]) {
        try readLines()
      } else {
        while try fill() > 0 {}
        gathered.bytes.append(contentsOf: pending)
        gathered.endDocument()
        closeFile()
      }
    }
    return gathered.takeBlock()
  }

  /// At the end: refuses a division that left `part` without a document, see `CorpusSplit.require`.
  package func require(_ part: CorpusSplit.Part) throws {
    let first = corpus.files[0].description
    let name = corpus.files.count == 1 ? first : "\(first) and \(corpus.files.count - 1) more"
    try gathered.split?.require(
      part, of: name, documents: documents, held: gathered.validationDocuments)
  }

  private func closeFile() {
    file = nil
    room = Self.smallestRoom
    pending.removeAll(keepingCapacity: true)
    rest = 0
  }

  /// Reads a piece of the file behind `pending`; 0 at the end.
  private func fill() throws -> Int {
    guard let file else { return 0 }
    let before = pending.count
    pending.append(contentsOf: repeatElement(0, count: room))
    let count = try pending.withUnsafeMutableBytes {
      try file.read(into: UnsafeMutableRawBufferPointer(rebasing: $0[before...]))
    }
    pending.removeLast(room - count)
    fileBytesRead += file.takeFileBytes()
    room = min(2 * room, Self.largestRoom)
    return count
  }

  private func readLines() throws {
    let path = corpus.files[nextFile - 1]
    var searched = rest
    while gathered.bytes.count < blockBytes {
      let taken = try pending.withUnsafeBufferPointer {
        try gathered.takeLines(of: $0, from: rest, searched: searched, upTo: blockBytes, path)
      }
      rest = taken
      if gathered.bytes.count >= blockBytes { return }
      pending.removeFirst(rest)
      searched = pending.count
      rest = 0
      if try fill() == 0 {
        try pending.withUnsafeBufferPointer { try gathered.takeLine($0, path) }
        return closeFile()
      }
    }
  }
}

/// The documents of the block that is being read, and where in the corpus reading is. A value, so that
/// a line costs no checks of access to a class.
private struct GatheredDocuments {
  let split: CorpusSplit?
  private let draws: RandomStream?
  private let part: CorpusSplit.Part
  var bytes: [UInt8] = []
  private var offsets = [0]
  /// Documents met so far, of either part, and those of them that are held out.
  private(set) var documents = 0
  private(set) var validationDocuments = 0
  /// Number of the line of the current file.
  var line = 0

  init(split: CorpusSplit?, part: CorpusSplit.Part) {
    self.split = split
    self.part = part
    draws = split?.stream
  }

  /// What was gathered, nil when it is nothing; from then on a new block is.
  mutating func takeBlock() -> DocumentBlock? {
    if offsets.count == 1 { return nil }
    defer { (bytes, offsets) = ([], [0]) }
    return DocumentBlock(bytes: bytes, offsets: offsets)
  }

  /// Makes a document of what stands behind the last one, or several where the split has blocks, or
  /// removes it again when it is empty or of the other part.
  mutating func endDocument() {
    guard let split, let draws else {
      if bytes.count > offsets[offsets.count - 1] {
        documents += 1
        offsets.append(bytes.count)
      }
      return
    }
    var start = offsets[offsets.count - 1]
    while start < bytes.count {
      let end = split.end(ofBlockAt: start, in: bytes[start...])
      let place = split.place(ofDocument: documents, bytes[start..<end])
      documents += 1
      let drawn = split.part(drawnBy: draws.at(index: place))
      if drawn == .validation { validationDocuments += 1 }
      if drawn == part {
        offsets.append(end)
        start = end
      } else {
        bytes.removeSubrange(start..<end)
      }
    }
  }

  /// Takes the lines of `text` that end in it, from `start` on, until there are `limit` bytes; none ends
  /// before `searched`. Returns where the next line starts.
  mutating func takeLines(
    of text: UnsafeBufferPointer<UInt8>, from start: Int, searched: Int, upTo limit: Int,
    _ path: BytePath
  ) throws -> Int {
    guard let base = UnsafeRawPointer(text.baseAddress) else { return start }
    var (start, searched) = (start, searched)
    while bytes.count < limit, searched < text.count,
      let found = memchr(base + searched, 0x0A, text.count - searched)
    {
      let end = UnsafeRawPointer(found) - base
      try takeLine(UnsafeBufferPointer(rebasing: text[start..<end]), path)
      start = end + 1
      searched = start
    }
    return start
  }

  /// Takes the document of a line of the file at `path`.
  mutating func takeLine(_ text: UnsafeBufferPointer<UInt8>, _ path: BytePath) throws {
    line += 1
    var text = text
    if line == 1, text.starts(with: ByteLines.mark) {
      text = UnsafeBufferPointer(rebasing: text.dropFirst(ByteLines.mark.count))
    }
    if text.allSatisfy({ $0 == 0x20 || $0 == 0x0D || $0 == 0x09 }) { return }
    do throws(JSONText.Malformed) {
      var reader = JSONText(text)
      if try reader.appendText(to: &bytes) { return endDocument() }
    } catch {
      throw UserError("\(path):\(line): not a JSON object: \(error.what)")
    }
    throw UserError(
      "\(path):\(line): no text", expected: "an object with a string field \"text\"")
  }
}
