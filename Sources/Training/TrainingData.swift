import Engine
import Shards
import Support

/// A map set in memory: for every predicted position its row in each input table and its label.
///
/// Memory: the columns in their width on disk (1, 2 or 4 bytes a row and column) and 8 bytes a
/// document; `bytes` says how much.
package struct TrainingData: Sendable {
  /// An input table as the map set describes it.
  package struct Table: Sendable, Equatable {
    package let order: Int
    package let rows: Int
  }

  package let tables: [Table]
  /// Label classes.
  package let labels: Int
  /// Metadata of the map set, whole.
  package let metadata: ConfigValue
  /// Rows of the longest document.
  package let longestDocument: Int
  private let columns: LoadedColumns
  private let inputColumns: [Int]
  private let labelColumn: Int
  /// Characters of the document that a row with a given label consumes.
  private let labelCharacters: [Int]

  /// Loads the map set that a configuration calls `data`.
  ///
  /// - Throws: `UserError` when it is missing, damaged or the output of another stage, when its
  ///   metadata and columns disagree, when an id has no row or a label no class, and for documents
  ///   without rows.
  package init(_ input: StageConfiguration.Input, threads: Int) throws {
    let set = try ShardSet(input: input)
    let source = "\(input.path)/\(StageIndex.fileName)"
    guard set.stage.stage == "map" else {
      throw UserError(
        source, expected: "a set of stage 'map'", found: "stage '\(set.stage.stage)'",
        remedy: "Name a map set as the input 'data'.")
    }
    metadata = set.metadata
    var reader = try set.metadataReader()
    tables = try reader.objects("inputs").map { entry in
      var entry = entry
      return Table(order: try entry.int("order", in: 1...64), rows: try entry.int("rows"))
    }
    labels = try reader.int("labels", in: 1...Int(Int32.max))
    labelCharacters = try reader.ints("labelCharacters", in: 0...Int.max)
    guard labelCharacters.count == labels else {
      throw reader.fault(
        "labelCharacters", expected: "\(labels) counts, one a label",
        found: "\(labelCharacters.count)", remedy: StageIndex.remedy(input.path))
    }
    let needed =
      set.elements * set.columns.count * set.element.width
      + (set.documents + 1) * MemoryLayout<Int>.stride
    guard needed < Host.memoryBytes else {
      throw UserError(
        "\(input.path): does not fit in memory decoded",
        expected: "less than the \(Progress.short(Double(Host.memoryBytes)))B of this machine",
        found: "\(Progress.short(Double(needed)))B",
        remedy: "Sample fewer documents or use a larger machine.")
    }
    columns = try set.load(threads: threads)
    inputColumns = try tables.indices.map { [columns] in try columns.column("input\($0)") }
    labelColumn = try columns.column("label")
    longestDocument = set.maxDocumentLength
    try check(source: input.path)
  }

  private func check(source: String) throws {
    let limits = zip(inputColumns, tables.map(\.rows)) + [(labelColumn, labels)]
    for (column, limit) in limits {
      let largest = largest(column)
      guard largest < limit else {
        throw UserError(
          "\(source): column '\(columns.columns[column].name)'",
          expected: "ids below \(limit), as its metadata says", found: "\(largest)",
          remedy: StageIndex.remedy(source))
      }
    }
    for document in 0..<documents where rows(of: document) == 0 {
      throw UserError(
        "\(source): document \(document)", expected: "at least one row", found: "none",
        remedy: StageIndex.remedy(source))
    }
  }

  package var documents: Int { columns.documents }

  /// Bytes that the columns and document offsets take.
  package var bytes: Int {
    columns.columns.count * columns.count * columns.element.width
      + columns.documentOffsets.count * MemoryLayout<Int>.stride
  }

  package func rows(of document: Int) -> Int { columns.rows(ofDocument: document).count }

  /// Rows of every document.
  package var lengths: [Int] { (0..<documents).map(rows(of:)) }

  // MARK: - Element types

  /// Characters that `document` has.
  package func characters(of document: Int) -> Int {
    switch columns.element {
    case .u8: characters(of: document, as: UInt8.self)
    case .u16: characters(of: document, as: UInt16.self)
    case .u32: characters(of: document, as: UInt32.self)
    case .f64: preconditionFailure("a map set holds ids")
    }
  }

  /// Lays `document` at the end of `lane`.
  package func append(_ document: Int, to lane: inout PackedLane) {
    switch columns.element {
    case .u8: append(document, as: UInt8.self, to: &lane)
    case .u16: append(document, as: UInt16.self, to: &lane)
    case .u32: append(document, as: UInt32.self, to: &lane)
    case .f64: preconditionFailure("a map set holds ids")
    }
  }

  private func largest(_ column: Int) -> Int {
    switch columns.element {
    case .u8: Int(columns.buffer(column, as: UInt8.self).reduce(0, max))
    case .u16: Int(columns.buffer(column, as: UInt16.self).reduce(0, max))
    case .u32: Int(columns.buffer(column, as: UInt32.self).reduce(0, max))
    case .f64: Int.max
    }
  }

  private func characters<T: ShardElement & FixedWidthInteger>(
    of document: Int, as type: T.Type
  ) -> Int {
    let labels = columns.buffer(labelColumn, as: type)
    return columns.rows(ofDocument: document).reduce(0) { $0 + labelCharacters[Int(labels[$1])] }
  }

  private func append<T: ShardElement & FixedWidthInteger>(
    _ document: Int, as type: T.Type, to lane: inout PackedLane
  ) {
    let labels = columns.buffer(labelColumn, as: type)
    for row in columns.rows(ofDocument: document) {
      lane.appendRow(label: Int32(labels[row])) {
        Int32(columns.buffer(inputColumns[$0], as: type)[row])
      }
    }
    lane.endSegment()
  }
}
