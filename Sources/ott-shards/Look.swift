import ArgumentParser
import Foundation
import Shards
import Stages
import Support

struct Info: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Describes a shard set, or one shard.")

  @Argument(help: "The directory of a shard set, or a .shard file.")
  var path: String

  func run() throws {
    if path.hasSuffix(".shard") {
      let file = try ShardFile(path: path)
      describe(file.columns, file.element, elements: file.elements, documents: file.documents)
      print("longest    \(file.documentLengths.max() ?? 0)")
      print("frames     \(file.frames) of \(file.frameRows) rows")
      print("metadata   \(file.metadata.canonicalJSON)")
      return
    }
    let set = try ShardSet(directory: path)
    print("stage      \(set.stage.stage), version \(set.stage.version), id \(set.id)")
    describe(set.columns, set.element, elements: set.elements, documents: set.documents)
    print("length     mean \(fixed(set.meanDocumentLength, 3)), longest \(set.maxDocumentLength)")
    let raw = set.elements * set.columns.count * set.element.width
    let ratio = set.bytes == 0 ? 0 : Double(raw) / Double(set.bytes)
    print(
      "shards     \(set.shards.count), \(set.bytes) bytes of \(raw) (\(fixed(ratio, 2))×), "
        + "level \(set.layout.level), frames of \(set.layout.frameRows) rows")
    for (name, id) in set.stage.inputs.sorted(by: { $0.key < $1.key }) {
      print("input      \(name) \(id)")
    }
    print("parameters \(set.stage.parameters.canonicalJSON)")
    print("metadata   \(set.metadata.canonicalJSON)")
  }

  private func describe(
    _ columns: [Column], _ element: ElementType, elements: Int, documents: Int
  ) {
    for column in columns {
      let ids = column.cardinality.map { " of \($0) ids" } ?? ""
      print("column     \(column.name): \(element.rawValue)\(ids)")
    }
    print("elements   \(elements) in \(documents) documents")
  }
}

struct Cat: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Prints documents, one a line; with several columns, one line a column.")

  @Argument(help: "The directory of a shard set.")
  var directory: String

  @Option(help: "Which documents: 7, 0...4 or (in quotes) 0..<5; default: all.")
  var documents: DocumentRange?

  @Option(help: "Only this column.")
  var column: String?

  func run() throws {
    let set = try ShardSet(directory: directory)
    if let column, !set.columns.contains(where: { $0.name == column }) {
      throw UserError(
        "\(directory): column '\(column)'",
        expected: "one of \(set.columns.map(\.name).joined(separator: ", "))",
        found: "no such column")
    }
    let wanted = documents?.range ?? 0..<set.documents
    guard wanted.upperBound <= set.documents else {
      throw UserError(
        "--documents", expected: "documents below \(set.documents)",
        found: "\(wanted.lowerBound)..<\(wanted.upperBound)")
    }
    var first = 0
    for (shard, record) in set.shards.enumerated() {
      let here = wanted.clamped(to: first..<first + record.documents)
      if !here.isEmpty {
        let loaded = try set.load(shard: shard)
        for document in here { print(document - first, of: loaded) }
      }
      first += record.documents
    }
  }

  private func print(_ document: Int, of loaded: LoadedColumns) {
    let rows = loaded.rows(ofDocument: document)
    var text = ""
    for (position, entry) in loaded.columns.enumerated() where column ?? entry.name == entry.name {
      if loaded.columns.count > 1 && column == nil { text += entry.name + ": " }
      if loaded.element == .f64 {
        let values = loaded.buffer(position, as: Double.self)[rows]
        text += values.map { "\($0)" }.joined(separator: " ")
      } else {
        let values = loaded.integers(column: position, rows: rows)
        text += values.map(String.init).joined(separator: " ")
      }
      text += "\n"
    }
    FileHandle.standardOutput.write(Data(text.utf8))
  }
}

/// "7", "0..<5" or "0...4".
struct DocumentRange: ExpressibleByArgument {
  let range: Range<Int>

  init?(argument: String) {
    for (separator, extra) in [("..<", 0), ("...", 1)] {
      guard let dots = argument.range(of: separator) else { continue }
      guard let low = Int(argument[..<dots.lowerBound]),
        let high = Int(argument[dots.upperBound...]),
        low >= 0, high < Int.max, low <= high + extra
      else { return nil }
      range = low..<high + extra
      return
    }
    guard let single = Int(argument), single >= 0, single < Int.max else { return nil }
    range = single..<single + 1
  }
}

func validateThreads(_ threads: Int) throws {
  guard (1...1024).contains(threads) else {
    throw ValidationError("--threads: expected 1...1024, found \(threads).")
  }
}

/// `value` with `digits` decimals.
func fixed(_ value: Double, _ digits: Int) -> String {
  String(format: "%.\(digits)f", value)
}
