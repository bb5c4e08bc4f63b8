import Foundation
import Support

/// What readers made of their inputs.
package struct FuzzCounts: Equatable, Sendable {
  package var inputs: UInt64 = 0
  package var refused: UInt64 = 0
  package var accepted: UInt64 = 0
  package var crashes: UInt64 = 0
  package var hangs: UInt64 = 0
  package var seconds = 0.0

  package init() {}

  package static func += (sum: inout FuzzCounts, other: FuzzCounts) {
    sum.inputs += other.inputs
    sum.refused += other.refused
    sum.accepted += other.accepted
    sum.crashes += other.crashes
    sum.hangs += other.hangs
    sum.seconds += other.seconds
  }
}

/// `results/fuzz.csv`: what was read so far, one row for each reader and seed, to which every run adds.
///
/// `end` is the number of the first input that no run has come to: the next one begins there, so that
/// no input is counted twice. Numbers below it that a slower worker was not given are not in `inputs`.
package struct FuzzTable: Equatable, Sendable {
  package struct Row: Equatable, Sendable {
    package let reader: String
    package let seed: UInt64
    package var end: UInt64
    package var counts: FuzzCounts
  }

  package private(set) var rows: [Row] = []

  private static let heading =
    "reader,seed,end,inputs,refused,accepted,crashes,hangs,seconds"

  package init() {}

  /// Reads the table at `path`; an empty one where there is no file.
  ///
  /// - Throws: `UserError` for another file.
  package init(path: String) throws {
    guard FileBytes.exists(path) else { return }
    let lines = try FileBytes.read(path).split(separator: UInt8(ascii: "\n"))
      .map { String(decoding: $0, as: UTF8.self) }
    for (number, line) in lines.enumerated() {
      if number == 0, line == FuzzTable.heading { continue }
      let cells = line.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
      let numbers = cells.dropFirst().prefix(7).compactMap { UInt64($0) }
      guard number > 0, cells.count == 9, numbers.count == 7, let seconds = Double(cells[8]) else {
        throw UserError(
          "\(path): line \(number + 1)", expected: "a row of \(FuzzTable.heading)",
          found: "'\(line)'", remedy: "Name another --output, or move the file away.")
      }
      var counts = FuzzCounts()
      counts.inputs = numbers[2]
      counts.refused = numbers[3]
      counts.accepted = numbers[4]
      counts.crashes = numbers[5]
      counts.hangs = numbers[6]
      counts.seconds = seconds
      rows.append(Row(reader: cells[0], seed: numbers[0], end: numbers[1], counts: counts))
    }
  }

  /// The number of the first input of `reader` that no run with `seed` has come to.
  package func end(_ reader: String, seed: UInt64) -> UInt64 {
    rows.first { $0.reader == reader && $0.seed == seed }?.end ?? 0
  }

  /// Inputs that `reader` has read, with any seed.
  package func inputs(_ reader: String) -> UInt64 {
    rows.reduce(0) { $0 + ($1.reader == reader ? $1.counts.inputs : 0) }
  }

  package mutating func add(
    _ counts: FuzzCounts, reader: String, seed: UInt64, end: UInt64
  ) {
    if let row = rows.firstIndex(where: { $0.reader == reader && $0.seed == seed }) {
      rows[row].counts += counts
      rows[row].end = max(rows[row].end, end)
    } else {
      // Behind the reader's other seeds.
      let place = rows.lastIndex { $0.reader == reader }.map { $0 + 1 } ?? rows.count
      rows.insert(Row(reader: reader, seed: seed, end: end, counts: counts), at: place)
    }
  }

  /// Adds to the table at `path` as it is now, and returns it: other runs may add as well.
  @discardableResult
  package static func add(
    _ counts: FuzzCounts, reader: String, seed: UInt64, end: UInt64, to path: String
  ) throws -> FuzzTable {
    try AtomicFile.makeDirectory(AtomicFile.parent(of: path))
    let lock = try DirectoryLock(of: path)
    defer { lock.release() }
    var table = try FuzzTable(path: path)
    table.add(counts, reader: reader, seed: seed, end: end)
    try AtomicFile.write(table.text, to: path)
    return table
  }

  var text: String {
    let lines = rows.map { row in
      let counts = row.counts
      return "\(row.reader),\(row.seed),\(row.end),\(counts.inputs),\(counts.refused),"
        + "\(counts.accepted),\(counts.crashes),\(counts.hangs),"
        + String(format: "%.1f", counts.seconds)
    }
    return ([FuzzTable.heading] + lines).map { $0 + "\n" }.joined()
  }
}
