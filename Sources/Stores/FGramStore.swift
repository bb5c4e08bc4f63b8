import Kernels
import NGrams
import Support

/// The rows of all f-grams of a set, as an f-gram model made them once, for reading in generation: from
/// memory, or from a disk as they are needed.
///
/// Two files: `keys`, the f-grams as a tree (`FGramTrie`), and `rows`, records of a fixed size in the order
/// of ids, each from a multiple of 64 bytes on. The index of the directory vouches for their headers, each
/// header for its content.
package struct FGramStore: Sendable {
  package let directory: String
  package let description: StoreDescription
  /// The f-grams, without how often they occur.
  package let set: FGramSet
  private let keys: MappedFile
  private let rows: MappedFile
  /// Of rows on a disk.
  private let readAhead: ReadAhead?
  private let digests: [[UInt8]]

  /// Where rows are read from.
  package enum Placement: String, CaseIterable, Sendable {
    /// All are read into memory when the store is opened.
    case memory
    /// Each is read from the disk when it is asked for, where the system does not have it still.
    case disk
  }

  /// Opens a finished store: checks its index, headers, sizes, and that its keys are in order. Contents are
  /// checked against their digests by `verify` alone.
  ///
  /// - Parameter model: id of the model that the rows must be from; nil for any.
  /// - Throws: `UserError` where there is none, for a file that was cut or is another, and for rows of
  ///   another model.
  package init(directory: String, placement: Placement, model: String? = nil) throws {
    let index = try StageIndex(directory: directory)
    guard let files = index.content["store"] else {
      throw UserError(
        "\(directory)/\(StageIndex.fileName)", expected: "the index of a store of f-grams",
        found: "an output of stage \(index.stage)", remedy: "Give the output of ott-materialize.")
    }
    let opened = try [StoreHeader.File.keys, .rows].map { name in
      let path = Self.path(name, in: directory)
      let file = try MappedFile(path, isResident: name == .keys || placement == .memory)
      let header = try StoreHeader(name, of: file, path: path)
      let found = SHA256.hexadecimal(header.digest)
      guard files[name.rawValue]?["header"] == .string(found) else {
        throw StoreFault.error(
          path, expected: "the file that \(StageIndex.fileName) describes", found: "another")
      }
      return (file, header)
    }
    (keys, rows) = (opened[0].0, opened[1].0)
    description = opened[1].1.description
    readAhead = placement == .disk ? ReadAhead(rows: description.count) : nil
    digests = opened.map(\.1.contentDigest)
    self.directory = directory
    let rowsPath = Self.path(.rows, in: directory)
    guard opened[0].1.description == description,
      opened[1].1.contentBytes == description.count * description.rowBytes
    else {
      throw StoreFault.error(
        rowsPath, expected: "\(description.count) rows of the keys beside it", found: "others")
    }
    if let model, model != description.model {
      throw UserError(
        "\(directory): rows of another model", expected: "model \(model)",
        found: description.model, remedy: "Materialize the f-grams of this model.")
    }
    set = try Self.keys(keys, description, path: Self.path(.keys, in: directory))
  }

  /// The f-grams of a file of keys alone, its content checked against its digest.
  ///
  /// - Throws: `UserError` for any other file.
  package static func keys(at path: String) throws -> FGramSet {
    let file = try MappedFile(path, isResident: true)
    let header = try StoreHeader(.keys, of: file, path: path)
    try check(file, header.contentDigest, path: path)
    return try keys(file, header.description, path: path)
  }

  private static func keys(
    _ file: MappedFile, _ description: StoreDescription, path: String
  ) throws -> FGramSet {
    let trie = try FGramTrie(
      vocabulary: description.vocabulary, longest: description.longest,
      content: UnsafeRawBufferPointer(rebasing: file.bytes[StoreHeader.size...]), owner: file
    ) { StoreFault.error(path, expected: $0, found: $1) }
    let set = FGramSet(trie)
    guard set.count == description.count else {
      throw StoreFault.error(
        path, expected: "\(description.count) f-grams", found: "\(set.count)")
    }
    return set
  }

  /// Checks the contents of both files against their digests; returns the number of bytes checked.
  package func verify() throws -> Int {
    try Self.check(keys, digests[0], path: Self.path(.keys, in: directory))
    try Self.check(rows, digests[1], path: Self.path(.rows, in: directory))
    return keys.bytes.count + rows.bytes.count
  }

  private static func check(_ file: MappedFile, _ digest: [UInt8], path: String) throws {
    var found = ContentDigest()
    let content = UnsafeRawBufferPointer(rebasing: file.bytes[StoreHeader.size...])
    for start in stride(from: 0, to: content.count, by: ContentDigest.blockBytes) {
      try Interruption.check()
      found.update(
        UnsafeRawBufferPointer(
          rebasing: content[start..<min(start + ContentDigest.blockBytes, content.count)]))
    }
    guard found.finalize() == digest else {
      throw StoreFault.error(
        path, expected: "content as its digest says", found: "other bytes")
    }
  }

  // MARK: - Reading

  /// Begins to bring the rows of these f-grams near, all at once; negative ids are none.
  package func expect(_ ids: Span<Int>) {
    guard let readAhead else { return }
    readAhead.begin()
    for i in 0..<ids.count where ids[i] >= 0 {
      let offset = offset(of: ids[i])
      if readAhead.isNew(ids[i]) { rows.expect(description.rowBytes, at: offset) }
    }
  }

  /// Copies the rows of these f-grams, as single precision: (ids, D). A negative id leaves its row as it
  /// is. Rows that are not in memory yet are asked for all together before the first is read.
  ///
  /// - Precondition: ids below the number of f-grams; `output.count == ids.count · D`.
  package func gather(_ ids: Span<Int>, into output: inout MutableSpan<Float>) {
    let width = description.width
    precondition(output.count == ids.count * width, "a row for each id")
    if ids.count > 1 { expect(ids) }
    guard let base = rows.bytes.baseAddress else { return }
    output.withUnsafeMutableBufferPointer { output in
      guard let target = output.baseAddress else { return }
      for i in 0..<ids.count where ids[i] >= 0 {
        let (row, place) = (base + offset(of: ids[i]), target + i * width)
        switch description.precision {
        case .float32:
          UnsafeMutableRawPointer(place).copyMemory(from: row, byteCount: 4 * width)
        case .bfloat16:
          widenBFloat16(place, row.assumingMemoryBound(to: UInt16.self), count: width)
        }
      }
    }
  }

  private func offset(of id: Int) -> Int {
    precondition(id < description.count, "an f-gram of the store")
    return StoreHeader.size + id * description.rowBytes
  }

  /// The ids of the longest f-grams at the ends of windows; −1 where there is none.
  ///
  /// - Parameters:
  ///   - windows: (count, length): the last tokens of each, all below V.
  ///   - ids: (count) overwritten.
  package func match(_ windows: Span<UInt32>, length: Int, into ids: inout MutableSpan<Int>) {
    precondition(windows.count == ids.count * length, "a window for each id")
    var match = LongestMatch(set)
    for i in 0..<ids.count {
      match.reset()
      // What is further back than the longest f-gram matters to none.
      for t in max(0, length - set.longest)..<length { match.push(windows[i * length + t]) }
      ids[i] = match.length > 1 ? match.id(ofLength: match.length) : -1
    }
  }
}
