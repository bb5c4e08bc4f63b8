import Support

/// The part of `index.json` that a shard set adds to what every stage writes.
struct ShardIndex: Equatable {
  var layout: ShardLayout
  var shards: [ShardRecord]
  var metadata: ConfigValue

  var elements: Int { shards.reduce(0) { $0 + $1.elements } }
  var documents: Int { shards.reduce(0) { $0 + $1.documents } }
  var bytes: Int { shards.reduce(0) { $0 + $1.bytes } }
  var longestDocument: Int { shards.map(\.longestDocument).max() ?? 0 }
  var meanDocumentLength: Double {
    documents == 0 ? 0 : Double(elements) / Double(documents)
  }

  init(layout: ShardLayout, shards: [ShardRecord], metadata: ConfigValue) {
    self.layout = layout
    self.shards = shards
    self.metadata = metadata
  }

  var content: [String: ConfigValue] {
    [
      "element": .string(layout.element.rawValue),
      "columns": ShardSetWriter.describe(layout.columns),
      "frameRows": .integer(layout.frameRows), "level": .integer(layout.level),
      "shards": .array(
        shards.map {
          [
            "name": .string($0.name), "elements": .integer($0.elements),
            "documents": .integer($0.documents), "longestDocument": .integer($0.longestDocument),
            "bytes": .integer($0.bytes), "sha256": .string($0.fileDigest),
            "rawSha256": .string($0.rawDigest),
          ]
        }),
      "totals": [
        "elements": .integer(elements), "documents": .integer(documents),
        "bytes": .integer(bytes),
        "rawBytes": .integer(elements * layout.columns.count * layout.element.width),
        "longestDocument": .integer(longestDocument),
        "meanDocumentLength": .double(meanDocumentLength),
      ],
      "metadata": metadata,
    ]
  }

  /// Reads and checks the content of an index that passed its digest.
  init(_ index: StageIndex) throws {
    let path = index.directory + "/" + StageIndex.fileName
    guard index.content["shards"] != nil else {
      throw UserError(
        path, expected: "the index of a shard set", found: "an index of stage '\(index.stage)'")
    }
    let count = 0...(1 << 48)
    var reader = try index.reader()
    let element = try reader.choice("element", ElementType.self)
    let columns = try reader.objects("columns").map { entry in
      var entry = entry
      return Column(
        try entry.string("name"),
        cardinality: try entry.optionalInt("cardinality", in: 1...Int.max))
    }
    guard (1...ShardHeader.maximumColumns).contains(columns.count) else {
      throw reader.fault("columns", expected: "1...1024 of them", found: "\(columns.count)")
    }
    let width = columns.count * element.width
    layout = ShardLayout(
      element: element, columns: columns,
      frameRows: try reader.int("frameRows", in: 1...(ShardHeader.maximumFrameBytes / width)),
      level: try reader.int("level", in: 1...22))
    shards = try reader.objects("shards").enumerated().map { position, entry in
      var entry = entry
      let name = try entry.string("name")
      guard name == ShardSetWriter.name(ofShard: position) else {
        throw entry.fault(
          "name", expected: ShardSetWriter.name(ofShard: position), found: "'\(name)'")
      }
      return ShardRecord(
        name: name, elements: try entry.int("elements", in: count),
        documents: try entry.int("documents", in: count),
        longestDocument: try entry.int("longestDocument", in: count),
        bytes: try entry.int("bytes", in: count), fileDigest: try entry.string("sha256"),
        rawDigest: try entry.string("rawSha256"))
    }
    _ = reader.value("totals")
    metadata = reader.value("metadata") ?? .object([:])
    try reader.finish()
    guard content["totals"] == index.content["totals"] else {
      throw reader.fault("totals", expected: "the sums over the shards", found: "other numbers")
    }
  }
}
