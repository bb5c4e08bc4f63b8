import Foundation
import Support

/// What a shard set or a single shard is, as lines for people.
package enum ShardDescription {
  /// - Parameter path: the directory of a shard set, or a .shard file.
  package static func lines(of path: String) throws -> [String] {
    path.hasSuffix(".shard")
      ? lines(of: try ShardFile(path: path)) : lines(of: try ShardSet(directory: path))
  }

  private static func lines(of file: ShardFile) -> [String] {
    lines(file.columns, file.element, elements: file.elements, documents: file.documents) + [
      "longest    \(file.documentLengths.max() ?? 0)",
      "frames     \(file.frames) of \(file.frameRows) rows",
      "metadata   \(file.metadata.canonicalJSON)",
    ]
  }

  private static func lines(of set: ShardSet) -> [String] {
    let raw = set.elements * set.columns.count * set.element.width
    let ratio = set.bytes == 0 ? 0 : Double(raw) / Double(set.bytes)
    let inputs = set.stage.inputs.sorted { $0.key < $1.key }
    return ["stage      \(set.stage.stage), version \(set.stage.version), id \(set.id)"]
      + lines(set.columns, set.element, elements: set.elements, documents: set.documents)
      + [
        "length     mean \(decimals(set.meanDocumentLength, 3)), longest \(set.maxDocumentLength)",
        "shards     \(set.shards.count), \(set.bytes) bytes of \(raw) (\(decimals(ratio, 2))×), "
          + "level \(set.layout.level), frames of \(set.layout.frameRows) rows",
      ]
      + inputs.map { "input      \($0.key) \($0.value)" }
      + [
        "parameters \(set.stage.parameters.canonicalJSON)",
        "metadata   \(set.metadata.canonicalJSON)",
      ]
  }

  private static func lines(
    _ columns: [Column], _ element: ElementType, elements: Int, documents: Int
  ) -> [String] {
    columns.map { column in
      let ids = column.cardinality.map { " of \($0) ids" } ?? ""
      return "column     \(column.name): \(element.rawValue)\(ids)"
    } + ["elements   \(elements) in \(documents) documents"]
  }

  /// `value` with `digits` decimals.
  package static func decimals(_ value: Double, _ digits: Int) -> String {
    String(format: "%.\(digits)f", value)
  }
}
