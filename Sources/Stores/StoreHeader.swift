import Support

/// How a store keeps its numbers.
package enum StorePrecision: String, CaseIterable, Sendable {
  case float32, bfloat16

  /// Bytes of a number.
  package var bytes: Int { self == .float32 ? 4 : 2 }
  var code: UInt32 { self == .float32 ? 1 : 2 }
}

/// What a store holds: rows of which f-grams, by which model.
package struct StoreDescription: Sendable, Equatable {
  /// V and K of the f-grams, and how many there are.
  package let vocabulary: Int
  package let longest: Int
  package let count: Int
  /// D: numbers of a row.
  package let width: Int
  package let precision: StorePrecision
  /// Ids of the model that the rows are from, and of the set that the f-grams were cut from.
  package let model: String
  package let fGrams: String

  /// - Precondition: ids of at most 32 bytes.
  package init(
    vocabulary: Int, longest: Int, count: Int, width: Int, precision: StorePrecision,
    model: String, fGrams: String
  ) {
    precondition(model.utf8.count <= 32 && fGrams.utf8.count <= 32, "ids of at most 32 bytes")
    self.vocabulary = vocabulary
    self.longest = longest
    self.count = count
    self.width = width
    self.precision = precision
    self.model = model
    self.fGrams = fGrams
  }

  /// Bytes from one row to the next: the smallest multiple of 64 that holds one.
  package var rowBytes: Int { (width * precision.bytes + 63) & ~63 }
}

/// The first page of each file of a store; what follows is its content. `docs/FORMAT.md` has the table.
struct StoreHeader: Equatable {
  /// A page of memory, so that content begins at one.
  static let size = 4096
  static let version: UInt32 = 1
  private static let digested = 224

  enum File: String, CaseIterable {
    case keys, rows

    var magic: [UInt8] { Array((self == .keys ? "OTTFGKEY" : "OTTFGROW").utf8) }
  }

  let file: File
  let description: StoreDescription
  let contentBytes: Int
  /// See `ContentDigest`.
  let contentDigest: [UInt8]

  /// SHA-256 of all that the header says.
  var digest: [UInt8] { Array(bytes[Self.digested..<Self.digested + 32]) }

  var bytes: [UInt8] {
    var bytes = file.magic
    func add<Value: FixedWidthInteger>(_ value: Value) {
      withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
    }
    func add(_ id: String) { bytes += id.utf8 + [UInt8](repeating: 0, count: 32 - id.utf8.count) }
    add(Self.version)
    add(description.precision.code)
    for number in [
      description.vocabulary, description.longest, description.count, description.width,
      description.rowBytes, contentBytes,
    ] {
      add(UInt64(number))
    }
    add(description.model)
    add(description.fGrams)
    bytes += contentDigest
    bytes += [UInt8](repeating: 0, count: Self.digested - bytes.count)
    var hash = SHA256()
    hash.update(bytes)
    bytes += hash.finalize()
    return bytes + [UInt8](repeating: 0, count: Self.size - bytes.count)
  }

  init(_ file: File, _ description: StoreDescription, contentBytes: Int, contentDigest: [UInt8]) {
    self.file = file
    self.description = description
    self.contentBytes = contentBytes
    self.contentDigest = contentDigest
  }

  /// Reads a header.
  ///
  /// - Throws: `UserError` for anything but a header of this version that fits the file.
  init(_ file: File, of mapped: MappedFile, path: String) throws {
    let (bytes, fileBytes) = (Array(mapped.bytes.prefix(Self.size)), mapped.bytes.count)
    func fault(_ expected: String, _ found: String) -> UserError {
      StoreFault.error(path, expected: expected, found: found)
    }
    guard bytes.count == Self.size else {
      throw fault("a header of \(Self.size) bytes", "a file of \(fileBytes) bytes (truncated?)")
    }
    guard bytes.starts(with: file.magic) else {
      throw fault("a file of \(file.rawValue)", "another")
    }
    func word(_ offset: Int) -> UInt64 {
      (0..<8).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
    }
    let version = UInt32(truncatingIfNeeded: word(8))
    guard version == Self.version else { throw fault("version \(Self.version)", "\(version)") }
    var hash = SHA256()
    hash.update(Array(bytes[..<Self.digested]))
    guard hash.finalize() == Array(bytes[Self.digested..<Self.digested + 32]),
      bytes[(Self.digested + 32)...].allSatisfy({ $0 == 0 })
    else { throw fault("a header as its digest says", "other bytes") }
    let code = UInt32(truncatingIfNeeded: word(12))
    guard let precision = StorePrecision.allCases.first(where: { $0.code == code }) else {
      throw fault("a precision of 1 or 2", "\(code)")
    }
    let numbers = (0..<6).map { word(16 + 8 * $0) }
    guard numbers[0] >= 1, numbers[0] < 1 << 32, 2...8 ~= numbers[1], numbers[2] < 1 << 36,
      numbers[3] >= 1, numbers[3] < 1 << 24, numbers[5] < 1 << 62
    else { throw fault("numbers of a store", "\(numbers)") }
    func id(_ offset: Int) throws -> String {
      let text = bytes[offset..<offset + 32].prefix { $0 != 0 }
      guard text.allSatisfy({ 0x21...0x7E ~= $0 }) else { throw fault("an id", "other bytes") }
      return String(decoding: text, as: UTF8.self)
    }
    description = StoreDescription(
      vocabulary: Int(numbers[0]), longest: Int(numbers[1]), count: Int(numbers[2]),
      width: Int(numbers[3]), precision: precision, model: try id(64), fGrams: try id(96))
    guard numbers[4] == UInt64(description.rowBytes) else {
      throw fault("rows of \(description.rowBytes) bytes", "\(numbers[4])")
    }
    contentBytes = Int(numbers[5])
    contentDigest = Array(bytes[128..<160])
    self.file = file
    guard fileBytes == Self.size + contentBytes else {
      throw fault("\(Self.size + contentBytes) bytes", "\(fileBytes) (truncated?)")
    }
  }
}

/// A digest of content that is too large to wait for one stream: SHA-256 over `SHA256.halves` of its blocks
/// of 4 MiB in order, the last of what is left.
struct ContentDigest {
  static let blockBytes = 1 << 22

  private var hash = SHA256()
  private var block: [UInt8] = []
  private var ofZeros: [UInt8]?

  init() { block.reserveCapacity(Self.blockBytes) }

  mutating func update(_ bytes: UnsafeRawBufferPointer) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let taken = rest.prefix(Self.blockBytes - block.count)
      block += taken
      rest = rest.dropFirst(taken.count)
      if block.count == Self.blockBytes { turn() }
    }
  }

  /// As `update` with so many zeros, whose blocks are hashed once.
  mutating func update(zeros: Int) {
    var rest = zeros
    while rest > 0 {
      if block.isEmpty, rest >= Self.blockBytes {
        let digest = ofZeros ?? Self.digest([UInt8](repeating: 0, count: Self.blockBytes))
        ofZeros = digest
        hash.update(digest)
        rest -= Self.blockBytes
        continue
      }
      let taken = min(rest, Self.blockBytes - block.count)
      block += repeatElement(0, count: taken)
      rest -= taken
      if block.count == Self.blockBytes { turn() }
    }
  }

  private mutating func turn() {
    hash.update(Self.digest(block))
    block.removeAll(keepingCapacity: true)
  }

  private static func digest(_ block: [UInt8]) -> [UInt8] {
    block.withUnsafeBytes { SHA256.halves(of: $0) }
  }

  mutating func finalize() -> [UInt8] {
    if !block.isEmpty { turn() }
    return hash.finalize()
  }
}

enum StoreFault {
  /// An error about the file at `path`, with the way to get it back.
  static func error(_ path: String, expected: String, found: String) -> UserError {
    UserError(
      path, expected: expected, found: found,
      remedy: StageIndex.remedy(AtomicFile.parent(of: path)))
  }
}
