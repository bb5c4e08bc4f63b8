import NGrams
import Shards
import Support

/// Map sets over byte-pair tokens made by hand, by the definition of n-gram ids.
enum TextFixture {
  static let vocabulary = 300
  static let order = 3

  /// Documents of 0, 1, 2 … tokens, and a long one.
  static let documents: [[Int]] = (0..<12).map { d in tokens(d, seed: d) } + [tokens(100, seed: 99)]

  private static func tokens(_ count: Int, seed: Int) -> [Int] {
    var stream = RandomStream(seed: UInt64(seed), name: "text")
    return (0..<count).map { _ in Int(stream.below(stream.below(2) == 0 ? 300 : 4)) }
  }

  /// Bytes of a label: its id mod 5, so special tokens (0) are among them.
  static let labelBytes = (0..<vocabulary).map { $0 % 5 }

  static func gram(_ tokens: [Int], _ t: Int, order: Int) -> Int {
    (0..<order).reversed().reduce(0) { $0 * vocabulary + (t >= $1 ? tokens[t - $1] : 0) }
  }

  /// Columns of a document, planar: token, n-grams mapped by `row`, label.
  static func document(_ tokens: [Int], _ row: [(order: Int, modulus: Int)]) -> [UInt64] {
    let positions = tokens.dropLast().indices
    let middle = row.flatMap { entry in
      positions.map { gram(tokens, $0, order: entry.order) % entry.modulus }
    }
    return (positions.map { tokens[$0] } + middle + positions.map { tokens[$0 + 1] })
      .map(UInt64.init)
  }

  /// Writes directory/text.
  ///
  /// - Parameter layout: of the rows; nil for exact ids.
  static func write(
    in directory: String, layout: OverEncodingLayout? = nil, element: ElementType = .u32,
    documents: [[Int]] = documents, changing: [String: ConfigValue] = [:]
  ) throws -> StageConfiguration.Input {
    let rows: [(order: Int, modulus: Int)] =
      layout?.embedders.map { ($0.order, $0.modulus) }
      ?? (2...order).map { ($0, (0..<$0).reduce(1) { size, _ in size * vocabulary }) }
    var metadata: [String: ConfigValue] = [
      "kind": "text", "content": "ngramIDs", "order": .integer(order),
      "vocabulary": .integer(vocabulary),
      "tokenizer": "feedfacecafe", "labels": .integer(vocabulary),
      "labelBytes": .array(labelBytes.map(ConfigValue.integer)),
      "inputs": [["order": 1, "rows": .integer(vocabulary)]],
    ]
    if let layout {
      metadata["content"] = "overEncoding"
      metadata["order"] = .integer(layout.order)
      metadata["orders"] = .array(layout.orders.map(ConfigValue.integer))
      metadata["slices"] = .integer(layout.slices)
      metadata["rows"] = .integer(layout.rows)
      metadata["moduli"] = .string(layout.moduli.rawValue)
    }
    metadata.merge(changing) { $1 }
    let configuration = StageConfiguration(
      stage: "map", version: 1, parameters: .object(["metadata": .object(metadata)]))
    let path = "\(directory)/text-\(configuration.id)"
    try AtomicFile.makeDirectory(path)
    let names =
      layout == nil ? rows.map { "gram\($0.order)" } : rows.indices.map { "input\($0 + 1)" }
    let writer = try ShardSetWriter(
      directory: path, element: element,
      columns: [Column("token", cardinality: vocabulary)]
        + zip(names, rows).map { Column($0, cardinality: $1.modulus) }
        + [Column("label", cardinality: vocabulary)], configuration: configuration)
    try writer.writeShards(count: 2, threads: 1) { shard, sink in
      let half = documents.count / 2
      for tokens in shard == 0 ? documents[..<half] : documents[half...] {
        try sink.append(document: document(tokens, rows))
      }
    }
    try writer.finish(metadata: .object(metadata))
    return StageConfiguration.Input(id: configuration.id, path: path)
  }
}
