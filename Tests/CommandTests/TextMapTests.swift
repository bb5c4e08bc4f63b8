import Foundation
import NGrams
import Shards
import Support
import Testing
import Tokenization

/// ott-map over byte-pair tokens, from the outside.
@Suite struct TextMapTests {
  private let stages: TextStages

  init() throws { stages = try TextStages() }

  private let ids: ConfigValue = [
    "kind": "text", "content": "ngramIDs", "order": 3, "documentsPerShard": 13,
  ]
  private let rows: ConfigValue = [
    "kind": "text", "content": "overEncoding", "order": 4, "slices": 2, "rows": 5000,
    "moduli": "coprime",
    "documentsPerShard": 13,
  ]

  /// The n-gram id by its definition; it fits 63 bits here.
  private func gram(_ tokens: ArraySlice<Int>, _ t: Int, _ order: Int) -> Int {
    (0..<order).reversed().reduce(0) {
      $0 * 300 + (t >= $1 ? tokens[tokens.startIndex + t - $1] : 0)
    }
  }

  private func documents(_ set: ShardSet) throws -> [[[Int]]] {
    let loaded = try set.load(threads: 1)
    return (0..<loaded.documents).map { d in
      set.columns.indices.map { loaded.integers(column: $0, rows: loaded.rows(ofDocument: d)) }
    }
  }

  @Test(arguments: [true, false])
  func columnsAreWhatTheDefinitionSays(endOfText: Bool) throws {
    let tokenizer = try stages.tokenizer()
    let tokens = try stages.tokens(tokenizer, endOfText: endOfText)
    let source = try documents(ShardSet(directory: tokens.path)).map { $0[0] }
    #expect(source.count == 54, "empty texts are no documents")
    let lengths = Set(source.map(\.count))
    #expect(lengths.min() == (endOfText ? 2 : 1))
    let model = try BytePairModel.load(path: tokenizer.path)
    let special = try #require(model.addedTokens.first?.id)
    let layout = try OverEncodingLayout(
      vocabulary: 300, order: 4, slices: 2, rows: 5000, width: 6, moduli: .coprime)
    let cases: [(String, ConfigValue, [(name: String, order: Int, modulus: Int)])] = [
      ("ids", ids, [("gram2", 2, 90_000), ("gram3", 3, 27_000_000)]),
      (
        "rows", rows,
        layout.embedders.enumerated().map { ("input\($0 + 1)", $1.order, $1.modulus) }
      ),
    ]
    for (name, parameters, tables) in cases {
      var indexes: Set<[UInt8]> = []
      for threads in [1, 2, 4] {
        let (result, input) = try stages.run(
          "map", parameters, ["tokens": tokens, "tokenizer": tokenizer], name: name + "\(threads)",
          threads: threads)
        #expect(result.status == 0, "\(result.all)")
        indexes.insert(try FileBytes.read(input.path + "/index.json"))
      }
      #expect(indexes.count == 1)
      let set = try ShardSet(directory: "\(stages.directory)/\(name)2")
      _ = try set.verify(threads: 1)
      #expect(set.element == (name == "ids" ? .u32 : .u16))
      #expect(set.columns.map(\.name) == ["token"] + tables.map(\.name) + ["label"])
      #expect(set.columns.map(\.cardinality) == [300] + tables.map(\.modulus) + [300])
      #expect(set.shards.count == 5)
      let found = try documents(set)
      #expect(found.count == source.count)
      var (bytes, positions) = (0, 0)
      var used = Set<Int>()
      for (tokens, columns) in zip(source, found) {
        let inputs = Array(tokens.dropLast())
        #expect(columns[0] == inputs)
        #expect(columns[columns.count - 1] == Array(tokens.dropFirst()))
        for (c, table) in tables.enumerated() {
          #expect(
            columns[c + 1]
              == inputs.indices.map { gram(tokens[...], $0, table.order) % table.modulus })
        }
        used.formUnion(columns[columns.count - 2])
        positions += inputs.count
        let labels = tokens.dropFirst().map(UInt32.init).filter { $0 != special }
        bytes += model.decode(labels).count
      }
      let metadata = set.metadata
      #expect(metadata["content"] == (name == "ids" ? "ngramIDs" : "overEncoding"))
      #expect(metadata["positions"] == .integer(positions))
      #expect(metadata["bytes"] == .integer(bytes))
      #expect(metadata["vocabulary"] == 300 && metadata["labels"] == 300)
      #expect(metadata["tokenizer"] == .string(tokenizer.id))
      #expect(metadata["inputs"]?[0]?["rows"] == 300)
      #expect(metadata["labelBytes"]?[Int(special)] == 0, "the special token stands for no text")
      if name == "rows" {
        let last = metadata["tables"]?[5]
        #expect(last?["modulus"] == .integer(layout.embedders[5].modulus))
        #expect(last?["rowsUsed"] == .integer(used.count))
      }
    }
  }

  @Test func statisticsCountWhatTheShardsHold() throws {
    let tokenizer = try stages.tokenizer()
    let tokens = try stages.tokens(tokenizer)
    let output = stages.directory + "/statistics.json"
    let result = try Program.run(
      "ott-map",
      [
        "statistics", "--tokens", tokens.path, "--order", "3", "--rows", "64,5000,1000000",
        "--slices", "2", "--moduli", "paper", "--output", output,
      ])
    #expect(result.status == 0, "\(result.all)")
    #expect(result.output.split(separator: "\n").count == 1 + 3 * 4)
    let text = String(decoding: try FileBytes.read(output), as: UTF8.self)
    let value = try ConfigValue.parse(yaml: text, source: output)
    guard case .array(let tables)? = value["tables"] else {
      Issue.record("no tables")
      return
    }
    let source = try documents(ShardSet(directory: tokens.path)).map { $0[0] }
    for table in tables {
      guard case .integer(let order)? = table["order"],
        case .integer(let modulus)? = table["modulus"]
      else {
        Issue.record("no order, no modulus")
        continue
      }
      let grams = source.flatMap { tokens in
        tokens.dropLast().indices.map { gram(tokens[...], $0, order) }
      }
      #expect(table["positions"] == .integer(grams.count))
      #expect(table["distinctGrams"] == .integer(Set(grams).count))
      #expect(table["rowsUsed"] == .integer(Set(grams.map { $0 % modulus }).count))
    }
    let usage = try Program.run("ott-map", ["statistics", "--tokens", tokens.path, "--rows", "a"])
    #expect(usage.status == 2)
  }

  private func message(
    _ parameters: ConfigValue, _ inputs: [String: StageConfiguration.Input]
  ) throws -> String {
    let (result, _) = try stages.run("map", parameters, inputs, name: "bad")
    #expect(result.status == 1, "\(result.all)")
    #expect(result.errors.split(separator: "\n").count == 1)
    return result.errors
  }

  private func changed(_ value: ConfigValue, _ key: String, _ new: ConfigValue?) -> ConfigValue {
    guard case .object(var members) = value else { return value }
    members[key] = new
    return .object(members)
  }

  @Test func badInputGetsOneMessage() throws {
    let tokenizer = try stages.tokenizer()
    let tokens = try stages.tokens(tokenizer)
    let both = ["tokens": tokens, "tokenizer": tokenizer]
    func bad(_ key: String, _ value: ConfigValue?) throws -> String {
      try message(changed(rows, key, value), both)
    }
    #expect(try bad("rows", 0).contains("rows: expected an integer in 1...2147483647"))
    #expect(try bad("moduli", "equal").contains("two over-encoding tables of the same order"))
    #expect(try bad("moduli", "prime").contains("paper, coprime, equal"))
    #expect(try bad("orders", [4, 3]).contains("ascending"))
    #expect(try bad("orders", [1]).contains("orders: expected a list of integers in 2...64"))
    #expect(try bad("order", nil).contains("order"))
    #expect(try bad("rowz", 5).contains("rowz"))
    #expect(try bad("content", "ngrams").contains("ngramIDs"))
    #expect(
      try message(changed(ids, "order", 8), both).contains("at most 2^63 - 1 of them, found 300^8"))
    #expect(try message(ids, ["tokens": tokens]).contains("tokenizer"))
    let other = try stages.tokenizer(290, name: "other")
    #expect(
      try message(ids, ["tokens": tokens, "tokenizer": other]).contains(
        "input 'tokenizer' does not match the token set: expected \(tokenizer.id)"))
    let forged = StageConfiguration.Input(id: tokenizer.id, path: other.path)
    #expect(
      try message(ids, ["tokens": tokens, "tokenizer": forged]).contains("another tokenizer"))
    #expect(
      try message(
        ["kind": "grammar", "inputOrders": [1], "outputOrder": 1, "documentsPerShard": 5],
        ["tokens": tokens]
      )
      .contains("Set parameters.kind to text"))
    let (mapped, input) = try stages.run("map", ids, both, name: "mapped")
    #expect(mapped.status == 0)
    #expect(
      try message(ids, ["tokens": input, "tokenizer": tokenizer]).contains(
        "expected byte-pair tokens in one column 'token', found kind 'text', columns"))
    let statistics = try Program.run(
      "ott-map", ["statistics", "--tokens", input.path, "--rows", "5"])
    #expect(statistics.status == 1 && statistics.errors.contains("byte-pair tokens"))
  }
}

extension ConfigValue {
  /// The element of a list.
  fileprivate subscript(position: Int) -> ConfigValue? {
    guard case .array(let values) = self, values.indices.contains(position) else { return nil }
    return values[position]
  }
}
