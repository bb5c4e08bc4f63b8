import Engine
import Kernels
import Models
import Parallel
import Support

/// Whether the tables of an over-encoded model and their optimizer state fit in memory.
package enum TableBudget {
  /// Part of the memory that tables may take: the rest is for the dense model, the batch and the data.
  static let share = 0.9

  /// - Parameters:
  ///   - memoryBytes: of the machine.
  ///   - neighbours: ranks on it.
  ///   - ranks: those that have a share of the rows each.
  /// - Throws: `UserError` saying how much is needed, and how many rows fit or how many ranks would do.
  package static func check(
    _ encoding: OverEncoding, moments: TableMoments, memoryBytes: Int, neighbours: Int = 1,
    ranks: Int = 1, source: String
  ) throws {
    let needed = { (ranks: Int) in encoding.bytes(moments: moments, ranks: ranks) }
    let limit = Int(Self.share * Double(memoryBytes) / Double(neighbours))
    guard needed(ranks) > limit else { return }
    let rows = Int(Double(encoding.layout.rows) * Double(limit) / Double(needed(ranks)))
    let text = { (bytes: Int) in Progress.short(Double(bytes)) + "B" }
    var remedy = "Lower rows to about \(rows)"
    if moments == .float32 {
      remedy += ", or set optimizer.tables.moments to bfloat16 or rowwise"
    }
    if let enough = (1..<32).map({ 1 << $0 }).first(where: { $0 > ranks && needed($0) <= limit }) {
      remedy += ", or share them among \(enough) ranks with as much memory each"
    }
    throw UserError(
      "\(source): parameters.model.overEncoding.rows: the tables do not fit in memory",
      expected: "at most \(text(limit)) of tables and moments, of the \(text(memoryBytes)) of"
        + " memory" + (neighbours > 1 ? " that \(neighbours) ranks have together" : ""),
      found: "\(encoding.layout.embedders.count) tables of \(encoding.layout.rows) rows and more by"
        + " \(encoding.layout.embedders[0].width) columns: \(text(needed(ranks)))"
        + (ranks > 1 ? " for each of \(ranks) ranks" : ""), remedy: remedy + ".")
  }

  /// The same for the ranks of a training, each of which asks: those on one machine have its memory together,
  /// and none more than its limit of address space.
  package static func check(
    _ encoding: OverEncoding, moments: TableMoments, memoryBytes: Int, ranks: any Communicator,
    tables: TablePlacement, source: String
  ) throws {
    let neighbours = try ranks.count(like: Host.name)
    let space = Host.addressSpaceBytes.map { $0.multipliedReportingOverflow(by: neighbours) }
    let limit = space.flatMap { $0.overflow ? nil : $0.partialValue } ?? .max
    try check(
      encoding, moments: moments, memoryBytes: min(memoryBytes, limit), neighbours: neighbours,
      ranks: tables == .sharded ? ranks.size : 1, source: source)
  }
}

extension Communicator {
  /// How many ranks give this name, which each gives.
  fileprivate func count(like name: String) throws -> Int {
    if size == 1 { return 1 }
    let own = SHA256.hex(of: Array(name.utf8)).utf8.prefix(16)
    let all = try exchange(
      (0..<size).flatMap { _ in own }, counts: Array(repeating: own.count, count: size)
    ).rows
    return stride(from: 0, to: all.count, by: own.count).count {
      all[$0..<$0 + own.count].elementsEqual(own)
    }
  }
}
