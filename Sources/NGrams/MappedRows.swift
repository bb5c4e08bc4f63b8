import Shards
import Support

/// The rows of a map set in memory, as a lane takes them: row ids of the input tables and the label.
package struct MappedRows: Sendable {
  /// Where the row ids of one table come from: a column of the set, as it is or modulo a number of rows.
  package struct Input: Sendable {
    package let column: Int
    package let modulus: Modulus?
    /// Taken before that of the first rows of a stretch, one each: see `TextMap.Source`.
    package let cuts: [Modulus]

    package init(column: Int, modulus: Modulus? = nil, cuts: [Modulus] = []) {
      self.column = column
      self.modulus = modulus
      self.cuts = cuts
    }
  }

  package let columns: LoadedColumns
  package var inputs: [Input]
  private let label: Int

  /// - Throws: `UserError` when a column is missing.
  package init(_ columns: LoadedColumns, inputs names: [String]) throws {
    self.columns = columns
    inputs = try names.map { Input(column: try columns.column($0)) }
    label = try columns.column("label")
  }

  /// Token and, behind it, what `wanted` says.
  ///
  /// - Parameter path: the index of the set, for messages.
  /// - Throws: `UserError` when the set does not have that, lacks a column or holds wrong ids.
  package init(
    _ columns: LoadedColumns, text: TextMap, wanted: TextColumns, path: String
  ) throws {
    try self.init(columns, inputs: ["token"])
    let sources = try text.sources(of: wanted, in: path)
    for (source, _) in sources {
      inputs.append(
        Input(
          column: try columns.column(source.column), modulus: source.modulus,
          cuts: source.cuts))
    }
    try check([text.vocabulary] + sources.map(\.rows), labels: text.vocabulary, path: path)
  }

  /// Calls `body` for each of `rows`, the whole of a window or document, in order with its label and
  /// its row id in each table.
  @inline(__always)
  package func forEach(
    in rows: Range<Int>, _ body: (_ label: Int32, _ input: (_ table: Int) -> Int32) -> Void
  ) {
    switch columns.element {
    case .u8: forEach(in: rows, as: UInt8.self, body)
    case .u16: forEach(in: rows, as: UInt16.self, body)
    case .u32: forEach(in: rows, as: UInt32.self, body)
    case .u64: forEach(in: rows, as: UInt64.self, body)
    case .f64: preconditionFailure("a map set holds ids")
    }
  }

  private func forEach<T: ShardElement & FixedWidthInteger>(
    in rows: Range<Int>, as type: T.Type,
    _ body: (_ label: Int32, _ input: (_ table: Int) -> Int32) -> Void
  ) {
    let labels = columns.buffer(label, as: type)
    let sources = inputs.map {
      (ids: columns.buffer($0.column, as: type), modulus: $0.modulus, cuts: $0.cuts)
    }
    let cut = rows.prefix(inputs.map(\.cuts.count).max() ?? 0)
    for row in cut {
      body(Int32(truncatingIfNeeded: labels[row])) { table in
        var id = UInt64(truncatingIfNeeded: sources[table].ids[row])
        let (cuts, place) = (sources[table].cuts, row - rows.lowerBound)
        if place < cuts.count { id = cuts[place].remainder(id) }
        return Int32(truncatingIfNeeded: sources[table].modulus?.remainder(id) ?? id)
      }
    }
    for row in cut.endIndex..<rows.upperBound {
      body(Int32(truncatingIfNeeded: labels[row])) { table in
        let id = sources[table].ids[row]
        guard let modulus = sources[table].modulus else { return Int32(truncatingIfNeeded: id) }
        return Int32(truncatingIfNeeded: modulus.remainder(UInt64(truncatingIfNeeded: id)))
      }
    }
  }

  /// The tokens that a stretch of a document's rows stands for: one a row, and the label of the last.
  ///
  /// - Precondition: the first input is the token.
  package func tokens(in rows: Range<Int>) -> [UInt32] {
    var tokens: [UInt32] = []
    tokens.reserveCapacity(rows.count + 1)
    var last: Int32?
    forEach(in: rows) { label, input in
      tokens.append(UInt32(bitPattern: input(0)))
      last = label
    }
    if let last { tokens.append(UInt32(bitPattern: last)) }
    return tokens
  }

  /// Σ over `rows` of `lengths[label]`.
  package func sum(of lengths: [Int], in rows: Range<Int>) -> Int {
    var sum = 0
    forEach(in: rows) { label, _ in sum += lengths[Int(label)] }
    return sum
  }

  /// Checks every id of the columns that are taken as they are.
  ///
  /// - Parameters:
  ///   - limits: rows of each table, in the order of `inputs`.
  ///   - path: the index of the set, for messages.
  /// - Throws: `UserError` for an id without a row and a label without a class.
  package func check(_ limits: [Int], labels: Int, path: String) throws(UserError) {
    let whole = zip(inputs, limits).filter { $0.0.modulus == nil }.map { ($0.0.column, $0.1) }
    for (column, limit) in whole + [(label, labels)] {
      let largest = columns.count == 0 ? -1 : largest(column)
      guard largest < limit else {
        throw UserError(
          "\(path): column '\(columns.columns[column].name)'",
          expected: "ids below \(limit), as its metadata says", found: "\(largest)",
          remedy: StageIndex.remedy(path))
      }
    }
  }

  private func largest(_ column: Int) -> Int {
    func largest<T: ShardElement & FixedWidthInteger>(_ type: T.Type) -> Int {
      Int(clamping: columns.buffer(column, as: type).reduce(0, max))
    }
    return switch columns.element {
    case .u8: largest(UInt8.self)
    case .u16: largest(UInt16.self)
    case .u32: largest(UInt32.self)
    case .u64: largest(UInt64.self)
    case .f64: Int.max
    }
  }
}
