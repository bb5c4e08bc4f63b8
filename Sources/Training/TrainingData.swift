import Checkpoints
import Engine
import NGrams
import Shards
import Support

/// A map set in memory: for every predicted position its row in each input table and its label.
///
/// A *sentence* is what is laid into a lane and attends within itself: a whole document of a grammar's
/// symbols; of text a window of at most `context` rows, cut from a document without overlap by
/// `cut(context:)`. n-grams look back over the borders of windows, because they come from the map.
///
/// Memory: the columns in their width on disk (1, 2, 4 or 8 bytes a row and column) and 8 bytes a
/// sentence; `bytes` says how much.
package struct TrainingData: Sendable {
  /// An input table as the map set describes it.
  package struct Table: Sendable, Equatable {
    package let order: Int
    package let rows: Int
  }

  /// Where the rows of one column of a lane come from: ids of a column of the set, as they are or
  /// modulo a number of rows.
  private struct Input {
    let column: Int
    let modulus: Modulus?
  }

  /// The dense tables: those of the map set, for text the 1-gram table alone.
  package let tables: [Table]
  /// Label classes.
  package let labels: Int
  /// Metadata of the map set, whole.
  package let metadata: ConfigValue
  /// What `characters` counts.
  package let unit: TextUnit
  /// What the set says of text; nil for n-grams of a grammar's symbols.
  package let text: TextMap?
  private let source: String
  private let columns: LoadedColumns
  private var inputs: [Input]
  private let labelColumn: Int
  /// Units of text that a row with a given label consumes.
  private let labelLengths: [Int]
  /// (sentences + 1) first row of each sentence, then the number of rows.
  private var offsets: [Int]

  /// Loads the map set that a configuration calls `data`.
  ///
  /// - Throws: `UserError` when it is missing, damaged or the output of another stage, when its
  ///   metadata and columns disagree, when an id has no row or a label no class, and for documents
  ///   without rows where documents are sentences.
  package init(_ input: StageConfiguration.Input, threads: Int) throws {
    let set = try ShardSet(input: input)
    source = "\(input.path)/\(StageIndex.fileName)"
    guard set.stage.stage == "map" else {
      throw UserError(
        source, expected: "a set of stage 'map'", found: "stage '\(set.stage.stage)'",
        remedy: "Name a map set as the input 'data'.")
    }
    metadata = set.metadata
    text = try TextMap(set.metadata, source: source)
    unit = text == nil ? .characters : .bytes
    var reader = try set.metadataReader()
    tables = try reader.objects("inputs").map { entry in
      var entry = entry
      return Table(order: try entry.int("order", in: 1...64), rows: try entry.int("rows"))
    }
    labels = try reader.int("labels", in: 1...Int(Int32.max))
    let lengths = text == nil ? "labelCharacters" : "labelBytes"
    labelLengths = try reader.ints(lengths, in: 0...Int.max)
    guard labelLengths.count == labels else {
      throw reader.fault(
        lengths, expected: "\(labels) counts, one a label",
        found: "\(labelLengths.count)", remedy: StageIndex.remedy(input.path))
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
    let columns = try set.load(threads: threads)
    self.columns = columns
    let names = text == nil ? tables.indices.map { "input\($0)" } : ["token"]
    inputs = try names.map { Input(column: try columns.column($0), modulus: nil) }
    labelColumn = try columns.column("label")
    offsets = columns.documentOffsets
    if text == nil {
      for document in 0..<sentences where rows(of: document) == 0 {
        throw UserError(
          "\(source): document \(document)", expected: "at least one row", found: "none",
          remedy: StageIndex.remedy(source))
      }
    } else {
      cut(context: max(1, columns.count))
    }
    try check(zip(inputs.map(\.column), tables.map(\.rows)) + [(labelColumn, labels)])
  }

  private func check(_ limits: [(column: Int, limit: Int)]) throws {
    for (column, limit) in limits {
      let largest = largest(column)
      guard largest < limit || columns.count == 0 else {
        throw UserError(
          "\(source): column '\(columns.columns[column].name)'",
          expected: "ids below \(limit), as its metadata says", found: "\(largest)",
          remedy: StageIndex.remedy(source))
      }
    }
  }

  // MARK: - Text

  /// Cuts every document of text into windows of `context` rows, the last one of what is left; documents
  /// without rows have none. Documents that are sentences stay whole.
  package mutating func cut(context: Int) {
    precondition(context >= 1, "a window has rows")
    guard text != nil else { return }
    var cuts = [0]
    for d in 0..<columns.documents {
      let rows = columns.rows(ofDocument: d)
      var start = rows.lowerBound
      while start < rows.upperBound {
        start = min(start + context, rows.upperBound)
        cuts.append(start)
      }
    }
    offsets = cuts
  }

  /// Makes lanes hold, behind the token, the row in each table of `layout`; nil for the tokens alone.
  ///
  /// - Throws: `UserError` when the set is no text, is of another vocabulary, has no n-grams of some
  ///   order, or holds rows of other tables.
  package mutating func fit(_ layout: OverEncodingLayout?) throws {
    guard let text else {
      if layout == nil { return }
      throw UserError(
        "\(source): over-encoding", expected: "a map set of kind ngramIDs or overEncoding",
        found: "kind ngram", remedy: "Map byte-pair tokens, or delete model.overEncoding.")
    }
    inputs.removeSubrange(1...)
    guard let layout else { return }
    for source in try text.sources(of: layout, in: self.source) {
      inputs.append(
        Input(column: try columns.column(source.column), modulus: source.modulus))
    }
    if case .rows = text.content {
      try check(zip(inputs.dropFirst().map(\.column), layout.embedders.map(\.modulus)).map { $0 })
    }
  }

  // MARK: - Sentences

  package var sentences: Int { offsets.count - 1 }

  /// Row ids of a position: columns of a lane.
  package var inputColumns: Int { inputs.count }

  /// Bytes that the columns and sentence offsets take.
  package var bytes: Int {
    columns.columns.count * columns.count * columns.element.width
      + offsets.count * MemoryLayout<Int>.stride
  }

  private func range(of sentence: Int) -> Range<Int> { offsets[sentence]..<offsets[sentence + 1] }

  package func rows(of sentence: Int) -> Int { range(of: sentence).count }

  /// Rows of every sentence.
  package var lengths: [Int] { (0..<sentences).map(rows(of:)) }

  /// Rows of the longest sentence.
  package var longestSentence: Int { lengths.max() ?? 0 }

  // MARK: - Element types

  /// Characters, or bytes (see `unit`), that `sentence` has.
  package func characters(of sentence: Int) -> Int {
    switch columns.element {
    case .u8: characters(of: sentence, as: UInt8.self)
    case .u16: characters(of: sentence, as: UInt16.self)
    case .u32: characters(of: sentence, as: UInt32.self)
    case .u64: characters(of: sentence, as: UInt64.self)
    case .f64: preconditionFailure("a map set holds ids")
    }
  }

  /// Lays `sentence` at the end of `lane`.
  package func append(_ sentence: Int, to lane: inout PackedLane) {
    switch columns.element {
    case .u8: append(sentence, as: UInt8.self, to: &lane)
    case .u16: append(sentence, as: UInt16.self, to: &lane)
    case .u32: append(sentence, as: UInt32.self, to: &lane)
    case .u64: append(sentence, as: UInt64.self, to: &lane)
    case .f64: preconditionFailure("a map set holds ids")
    }
  }

  private func largest(_ column: Int) -> Int {
    switch columns.element {
    case .u8: Int(columns.buffer(column, as: UInt8.self).reduce(0, max))
    case .u16: Int(columns.buffer(column, as: UInt16.self).reduce(0, max))
    case .u32: Int(columns.buffer(column, as: UInt32.self).reduce(0, max))
    case .u64: Int(columns.buffer(column, as: UInt64.self).reduce(0, max))
    case .f64: Int.max
    }
  }

  private func characters<T: ShardElement & FixedWidthInteger>(
    of sentence: Int, as type: T.Type
  ) -> Int {
    let labels = columns.buffer(labelColumn, as: type)
    return range(of: sentence).reduce(0) { $0 + labelLengths[Int(labels[$1])] }
  }

  private func append<T: ShardElement & FixedWidthInteger>(
    _ sentence: Int, as type: T.Type, to lane: inout PackedLane
  ) {
    let labels = columns.buffer(labelColumn, as: type)
    for row in range(of: sentence) {
      lane.appendRow(label: Int32(truncatingIfNeeded: labels[row])) { g in
        let id = columns.buffer(inputs[g].column, as: type)[row]
        guard let modulus = inputs[g].modulus else { return Int32(truncatingIfNeeded: id) }
        return Int32(truncatingIfNeeded: modulus.remainder(UInt64(truncatingIfNeeded: id)))
      }
    }
    lane.endSegment()
  }
}
