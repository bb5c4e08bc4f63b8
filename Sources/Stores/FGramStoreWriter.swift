import Foundation
import Kernels
import NGrams
import Support

extension FGramStore {
  /// Takes the rows of all f-grams in the order of their ids.
  package struct Writer: ~Copyable {
    private var file: FileWriter
    private let description: StoreDescription
    private var digest = ContentDigest()
    /// Rows so far.
    package private(set) var count = 0
    private var rounded: [UInt16] = []
    private let padding: [UInt8]

    fileprivate init(_ file: consuming FileWriter, _ description: StoreDescription) {
      self.file = file
      self.description = description
      padding = [UInt8](
        repeating: 0,
        count: description.rowBytes - description.width * description.precision.bytes)
      rounded = [UInt16](repeating: 0, count: description.width)
    }

    /// Appends whole rows: (rows, D). In bfloat16 each number is rounded to the nearest, ties to even.
    package mutating func append(_ rows: Span<Float>) throws {
      let width = description.width
      precondition(rows.count % width == 0, "whole rows of \(width) numbers")
      precondition(count + rows.count / width <= description.count, "rows of the f-grams")
      for start in stride(from: 0, to: rows.count, by: width) {
        let row = rows.extracting(start..<start + width)
        switch description.precision {
        case .float32:
          try row.withUnsafeBufferPointer { try append(UnsafeRawBufferPointer($0)) }
        case .bfloat16:
          Self.round(row, into: &rounded)
          try rounded.withUnsafeBytes { try append($0) }
        }
        if !padding.isEmpty { try padding.withUnsafeBytes { try append($0) } }
      }
      count += rows.count / width
    }

    private static func round(_ row: Span<Float>, into rounded: inout [UInt16]) {
      var span = rounded.mutableSpan
      roundToBFloat16(into: &span, row)
    }

    private mutating func append(_ bytes: UnsafeRawBufferPointer) throws {
      try file.append(bytes)
      digest.update(bytes)
    }

    /// Appends so many rows of zeros, which take no room where the file system has holes.
    package mutating func append(zeroRows: Int) throws {
      precondition(zeroRows >= 0 && count + zeroRows <= description.count, "rows of the f-grams")
      try file.append(zeros: zeroRows * description.rowBytes)
      digest.update(zeros: zeroRows * description.rowBytes)
      count += zeroRows
    }

    fileprivate mutating func finish() throws -> StoreHeader {
      precondition(count == description.count, "\(count) rows of \(description.count) f-grams")
      let header = StoreHeader(
        .rows, description, contentBytes: count * description.rowBytes,
        contentDigest: digest.finalize())
      try file.overwrite(header.bytes, at: 0)
      return header
    }

    fileprivate consuming func giveBack() -> FileWriter { file }
  }

  /// Writes the files of a store into `directory`, each whole or not at all.
  ///
  /// - Parameters:
  ///   - filledRows: rows that take room; nil for all.
  ///   - body: appends a row for every f-gram of the set.
  /// - Returns: what the index says about the store: its caller writes it last, under `store`.
  /// - Throws: `UserError` where there is not room for it, before anything is written.
  package static func write(
    _ set: FGramSet, description: StoreDescription, to directory: String, filledRows: Int? = nil,
    _ body: (inout Writer) throws -> Void
  ) throws -> ConfigValue {
    precondition(
      description.count == set.count && description.vocabulary == set.vocabulary
        && description.longest == set.longest, "a description of the set")
    try requireRoom(
      for: 2 * StoreHeader.size + set.trie.content.count
        + (filledRows ?? set.count) * description.rowBytes, in: directory)
    var digest = ContentDigest()
    digest.update(set.trie.content)
    let keys = StoreHeader(
      .keys, description, contentBytes: set.trie.content.count, contentDigest: digest.finalize())
    try AtomicFile.write(to: path(.keys, in: directory)) { file in
      try file.append(keys.bytes)
      try file.append(set.trie.content)
    }
    let rows = try AtomicFile.write(to: path(.rows, in: directory)) { file in
      try file.append([UInt8](repeating: 0, count: StoreHeader.size))
      return try fill(&file, description, body)
    }
    return .object(
      Dictionary(
        uniqueKeysWithValues: [keys, rows].map { header in
          (
            header.file.rawValue,
            [
              "bytes": .integer(StoreHeader.size + header.contentBytes),
              "header": .string(SHA256.hexadecimal(header.digest)),
            ]
          )
        }))
  }

  private static func fill(
    _ file: inout FileWriter, _ description: StoreDescription,
    _ body: (inout Writer) throws -> Void
  ) throws -> StoreHeader {
    var writer = Writer(file, description)
    let result = Result {
      try body(&writer)
      return try writer.finish()
    }
    file = writer.giveBack()
    return try result.get()
  }

  /// - Throws: `UserError` when the file system of `directory` has not so many bytes left.
  private static func requireRoom(for bytes: Int, in directory: String) throws {
    var status = statvfs()
    guard statvfs(directory, &status) == 0 else { throw FileFault.error("cannot use \(directory)") }
    let free = Int(
      clamping: UInt(status.f_bavail).multipliedReportingOverflow(by: UInt(status.f_frsize))
        .partialValue)
    guard bytes <= free else {
      throw UserError(
        "\(directory): a store of f-grams", expected: "\(bytes) bytes of room", found: "\(free)",
        remedy: "Make room, take fewer f-grams, or store them as bfloat16.")
    }
  }

  static func path(_ file: StoreHeader.File, in directory: String) -> String {
    "\(directory)/\(file.rawValue)"
  }
}
