import Contracts
import Engine
import Models
import NGrams
import Shards
import Support

/// A map set in memory: for every predicted position its row in each input table and its label.
///
/// A *sentence* is what is laid into a lane and attends within itself: a whole document of a grammar's
/// symbols; of text a window of at most `context` rows, cut from a document without overlap by
/// `cut(context:)`. n-grams, which come from the map, look back over the borders of windows or not.
///
/// Memory: the columns in their width on disk (1, 2, 4 or 8 bytes a row and column) and 8 bytes a
/// sentence; `bytes` says how much.
package struct TrainingData: Sendable {
  /// The dense tables: those of the map set, for text the 1-gram table alone.
  package let tables: [InputTable]
  /// Label classes.
  package let labels: Int
  /// Metadata of the map set, whole.
  package let metadata: ConfigValue
  package let kind: DataKind
  /// What the set says of text; nil for n-grams of a grammar's symbols.
  package let text: TextMap?
  private let source: String
  private var mapped: MappedRows
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
    guard set.stage.stage == Stage.map.rawValue else {
      throw UserError(
        source, expected: "a set of stage '\(Stage.map.rawValue)'",
        found: "stage '\(set.stage.stage)'",
        remedy: "Name a map set as the input 'data'.")
    }
    metadata = set.metadata
    text = try TextMap(set.metadata, source: source)
    kind = text == nil ? .grammar : .text
    var reader = try set.metadataReader()
    tables = try reader.objects("inputs").map { entry in
      var entry = entry
      return InputTable(
        order: try entry.int("order", in: 1...64), rows: try entry.int("rows"))
    }
    if let text, tables != [InputTable(order: 1, rows: text.vocabulary)] {
      throw reader.fault(
        "inputs", expected: "one table of order 1 with \(text.vocabulary) rows",
        found: "\(tables.map { [$0.order, $0.rows] })", remedy: StageIndex.remedy(input.path))
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
    let names = text == nil ? tables.indices.map { "input\($0)" } : ["token"]
    mapped = try MappedRows(columns, inputs: names)
    try mapped.check(tables.map(\.rows), labels: labels, path: source)
    offsets = columns.documentOffsets
    cut(context: max(1, columns.count))
    for document in 0..<sentences where rows(of: document) == 0 {
      throw UserError(
        "\(source): document \(document)", expected: "at least one row", found: "none",
        remedy: StageIndex.remedy(source))
    }
  }

  // MARK: - Text

  /// Cuts every document of text into windows of `context` rows, the last one of what is left; documents
  /// without rows have none. Documents that are sentences stay whole.
  package mutating func cut(context: Int) {
    precondition(context >= 1, "a window has rows")
    guard text != nil else { return }
    var cuts = [0]
    for d in 0..<mapped.columns.documents {
      let document = mapped.columns.rows(ofDocument: d)
      var start = document.lowerBound
      while start < document.upperBound {
        start = min(start + context, document.upperBound)
        cuts.append(start)
      }
    }
    offsets = cuts
  }

  /// Makes lanes hold, behind the token, what `wanted` says.
  ///
  /// - Throws: `UserError` when the set is no text, is of another vocabulary, has no n-grams of some
  ///   order, holds rows of other tables, or has no f-grams.
  package mutating func fit(_ wanted: TextColumns) throws {
    guard let text else {
      if wanted == .tokens { return }
      let (name, key) =
        wanted.longestMatch == nil ? ("over-encoding", "overEncoding") : ("f-grams", "fGrams")
      throw UserError(
        "\(source): \(name)", expected: "a map set of kind text",
        found: "kind grammar", remedy: "Map byte-pair tokens, or delete model.\(key).")
    }
    mapped = try MappedRows(mapped.columns, text: text, wanted: wanted, path: source)
  }

  /// Checks that a label is a token, so that there is one a token further ahead.
  ///
  /// - Parameter key: the heads that are to predict it, as the configuration calls them.
  /// - Throws: `UserError` when labels are n-grams.
  func requireSingleTokens(for key: String) throws {
    guard text == nil else { return }
    var reader = try ConfigReader(metadata, source: source, path: "metadata")
    let order = try reader.int("outputOrder", in: 1...64)
    guard order == 1 else {
      throw UserError(
        "\(source): model.\(key)", expected: "labels of one token each",
        found: "labels of \(order) tokens, which predict further ahead themselves",
        remedy: "Map with outputOrder 1, or delete model.\(key).")
    }
  }

  // MARK: - Sentences

  package var sentences: Int { offsets.count - 1 }

  /// Row ids of a position: columns of a lane.
  package var inputColumns: Int { mapped.inputs.count }

  /// Bytes that the columns and sentence offsets take.
  package var bytes: Int {
    mapped.columns.columns.count * mapped.columns.count * mapped.columns.element.width
      + offsets.count * MemoryLayout<Int>.stride
  }

  private func range(of sentence: Int) -> Range<Int> { offsets[sentence]..<offsets[sentence + 1] }

  package func rows(of sentence: Int) -> Int { range(of: sentence).count }

  /// Rows of every sentence.
  package var lengths: [Int] { (0..<sentences).map(rows(of:)) }

  /// Rows of the longest sentence.
  package var longestSentence: Int { lengths.max() ?? 0 }

  /// Characters or bytes that `sentence` has.
  package func symbols(of sentence: Int) -> Int {
    mapped.sum(of: labelLengths, in: range(of: sentence))
  }

  /// The tokens of a window of text: one a row, and behind them the label of the last.
  package func tokens(of sentence: Int) -> [UInt32] { mapped.tokens(in: range(of: sentence)) }

  /// Lays `sentence` at the end of `lane`.
  package func append(_ sentence: Int, to lane: inout PackedLane) {
    mapped.forEach(in: range(of: sentence)) { lane.appendRow(label: $0, input: $1) }
    lane.endSegment()
  }
}
