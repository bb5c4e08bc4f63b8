import Checkpoints
import Engine
import NGrams
import Shards
import Support
import Testing
import Training

@Suite struct TextDataTests {
  private func layout(
    vocabulary: Int = TextFixture.vocabulary, order: Int = 3, slices: Int = 2, rows: Int = 1000,
    moduli: OverEncodingLayout.Moduli = .coprime, orders: [Int]? = nil
  ) throws -> OverEncodingLayout {
    try OverEncodingLayout(
      vocabulary: vocabulary, order: order, slices: slices, rows: rows, width: 24, moduli: moduli,
      orders: orders)
  }

  /// Lanes of all windows, as (token, row in each table …, label) of every document.
  private func expected(
    context: Int, _ layout: OverEncodingLayout?, _ lookBack: LookBack
  ) -> [(inputs: [Int32], labels: [Int32])] {
    TextFixture.documents.flatMap { tokens -> [(inputs: [Int32], labels: [Int32])] in
      let positions = max(0, tokens.count - 1)
      return stride(from: 0, to: positions, by: context).map { start in
        let window = start..<min(start + context, positions)
        let seen = lookBack == .document ? 0 : start
        let inputs = window.flatMap { t in
          [tokens[t]]
            + (layout?.embedders ?? []).map {
              TextFixture.gram(Array(tokens[seen...]), t - seen, order: $0.order) % $0.modulus
            }
        }
        return (inputs.map(Int32.init), window.map { Int32(tokens[$0 + 1]) })
      }
    }
  }

  private func check(
    _ data: TrainingData, context: Int, _ layout: OverEncodingLayout?,
    lookBack: LookBack = .document
  ) throws {
    let windows = expected(context: context, layout, lookBack)
    #expect(data.sentences == windows.count)
    #expect(data.inputColumns == 1 + (layout?.embedders.count ?? 0))
    #expect(data.lengths == windows.map(\.labels.count))
    #expect(data.longestSentence == min(context, 99))
    var lane = PackedLane(tables: data.inputColumns)
    for (sentence, window) in windows.enumerated() {
      lane.removeAll()
      data.append(sentence, to: &lane)
      #expect(lane.inputs == window.inputs)
      #expect(lane.labels == window.labels)
      #expect(lane.segmentOffsets == [0, window.labels.count])
      let bytes = window.labels.reduce(0) { $0 + TextFixture.labelBytes[Int($1)] }
      #expect(data.symbols(of: sentence) == bytes)
    }
  }

  @Test(arguments: [ElementType.u32, .u64], [1, 7, 33, 98, 99, 100, 1000])
  func windowsOfExactIDs(element: ElementType, context: Int) throws {
    try withTemporaryDirectory { directory in
      let input = try TextFixture.write(in: directory, element: element)
      var data = try TrainingData(input, threads: 2)
      #expect(data.tables.map { [$0.order, $0.rows] } == [[1, 300]])
      #expect(data.kind == .text)
      data.cut(context: context)
      try check(data, context: context, nil)
      for tables in try [
        layout(), layout(order: 2, slices: 1, rows: 1), layout(rows: 70_000, moduli: .paper),
        layout(slices: 4, rows: 20_000_000, orders: [3]),
      ] {
        try data.fit(.tables(tables, .document))
        try check(data, context: context, tables)
        try data.fit(.tables(tables, .window))
        try check(data, context: context, tables, lookBack: .window)
      }
      try data.fit(.tokens)
      try check(data, context: context, nil)
    }
  }

  @Test(arguments: [ElementType.u16, .u32])
  func rowsOfOneLayout(element: ElementType) throws {
    try withTemporaryDirectory { directory in
      let tables = try layout()
      var data = try TrainingData(
        TextFixture.write(in: directory, layout: tables, element: element), threads: 1)
      data.cut(context: 10)
      try check(data, context: 10, nil)
      // Widths are the model's affair.
      let wide = try OverEncodingLayout(
        vocabulary: 300, order: 3, slices: 2, rows: 1000, width: 64, moduli: .coprime)
      try data.fit(.tables(wide, .document))
      try check(data, context: 10, wide)
    }
  }

  private func fault(
    _ tables: OverEncodingLayout, mapped: OverEncodingLayout? = nil,
    lookBack: LookBack = .document
  ) throws -> String {
    try withTemporaryDirectory { directory in
      var data = try TrainingData(TextFixture.write(in: directory, layout: mapped), threads: 1)
      let error = #expect(throws: UserError.self) {
        try data.fit(.tables(tables, lookBack))
      }
      return try #require(error).description
    }
  }

  @Test func refusesSetsMappedForSomethingElse() throws {
    #expect(
      try fault(layout(), mapped: layout(), lookBack: .window).contains(
        "expected exact n-gram ids, which can be cut at the start of a window"))
    #expect(
      try fault(layout(vocabulary: 301)).contains("expected 301 tokens, as the model, found 300"))
    #expect(
      try fault(layout(order: 4)).contains(
        "without the model's n-grams: expected order 4 or more, found n-gram ids up to order 3"))
    let mapped = try layout()
    #expect(
      try fault(layout(moduli: .paper), mapped: mapped).contains(
        "expected (order, modulus) (2, 1000) (2, 1002) (3, 1004) (3, 1006), found (order, modulus) (2, "
      ))
    #expect(try fault(layout(slices: 1), mapped: mapped).contains("map set of other over-encoding"))
    #expect(try fault(layout(vocabulary: 301), mapped: mapped).contains("another vocabulary"))
    try withTemporaryDirectory { directory in
      var data = try TrainingData(MapFixture.write(in: directory), threads: 1)
      try data.fit(.tokens)
      let error = #expect(throws: UserError.self) { try data.fit(.tables(mapped, .document)) }
      #expect(
        error?.description.contains("expected a map set of kind text, found kind grammar") == true)
    }
  }

  @Test func refusesMetadataThatContradictThemselves() throws {
    for (key, value, message) in [
      ("labelBytes", [1, 2] as ConfigValue, "expected 300 counts"), ("vocabulary", 299, "counts"),
      ("order", 1, "order"), ("tokenizer", .null, "tokenizer"),
      (
        "inputs", [["order": 1, "rows": 5]],
        "expected one table of order 1 with 300 rows, found [[1, 5]]"
      ),
    ] {
      try withTemporaryDirectory { directory in
        let input = try TextFixture.write(in: directory, changing: [key: value])
        let error = #expect(throws: UserError.self) { try TrainingData(input, threads: 1) }
        #expect(error?.description.contains(message) == true, "\(key)")
      }
    }
  }

  @Test func emptySetsHaveNoSentences() throws {
    try withTemporaryDirectory { directory in
      var data = try TrainingData(
        TextFixture.write(in: directory, documents: [[], [7], []]), threads: 1)
      #expect(data.sentences == 0)
      data.cut(context: 4)
      #expect(data.sentences == 0)
      #expect(data.longestSentence == 0)
    }
  }

  // MARK: - Runs

  @Test func aRunOverWindowsCountsBytes() throws {
    try withTemporaryDirectory { directory in
      let input = try TextFixture.write(in: directory)
      let changes: [(String, ConfigValue?)] = [
        ("kind", "text"), ("model.context", 9), ("training.steps", nil), ("training.epochs", 2),
        ("training.batchSequences", 4), ("training.lanes", 2),
        ("snapshots.count", 1),
      ]
      let configuration = TrainerTests.configuration(input, changes)
      var identities: [[String: [UInt8]]] = []
      for threads in [1, 2, 4] {
        let output = "\(directory)/run\(threads)"
        let summary = try TrainerTests.train(configuration, in: output, threads: threads)
        #expect(summary.kind == .text)
        identities.append(try MapFixture.files(output))
      }
      #expect(identities[0] == identities[1])
      #expect(identities[0] == identities[2])
      let windows = expected(context: 9, nil, .document)
      let index = try TrainingRunIndex(directory: "\(directory)/run1")
      #expect(index.steps == (2 * windows.count + 3) / 4)
      #expect(index.snapshots.map(\.kind) == [.text])
      let line = try String(contentsOfFile: "\(directory)/run1/metrics.jsonl", encoding: .utf8)
        .split(separator: "\n").last.map(String.init)
      let metrics = try ConfigValue.parse(yaml: try #require(line), source: "metrics")
      #expect(metrics["bytes"] == .integer(index.symbols))
      #expect(metrics["windows"] == .integer(index.sequences))
      #expect(metrics["characters"] == nil && metrics["sentences"] == nil)
      let text = try StageIndex(directory: "\(directory)/run1").content
      #expect(text["bytes"] == .integer(index.symbols) && text["characters"] == nil)
      #expect(text["windows"] == .integer(index.sequences) && text["sentences"] == nil)
      #expect(index.data["kind"] == "text" && index.data["content"] == "ngramIDs")
    }
  }

  /// Exact ids modulo M and rows mapped beforehand train the same tables; other rows are refused.
  @Test func bothKindsOfSetsTrainTheSameModel() throws {
    try withTemporaryDirectory { directory in
      let tables = try layout(rows: 500)
      let encoding: ConfigValue = ["order": 3, "slices": 2, "rows": 500]
      func train(
        _ input: StageConfiguration.Input, _ encoding: ConfigValue?, _ name: String
      ) throws -> [UInt8] {
        let configuration = TrainerTests.configuration(
          input,
          [
            ("kind", "text"), ("model.context", 9), ("training.steps", nil), ("training.epochs", 2),
            ("training.batchSequences", 4),
            ("training.lanes", 2), ("snapshots.count", 1), ("model.overEncoding", encoding),
            (
              "optimizer.tables",
              encoding == nil
                ? nil : ["learningRateMultiplier": 1, "weightDecay": 0, "moments": "float32"]
            ),
          ])
        try TrainerTests.train(configuration, in: directory + "/" + name)
        return try FileBytes.read("\(directory)/\(name)/metrics.jsonl")
      }
      let ids = try train(TextFixture.write(in: directory), encoding, "ids")
      let mapped = try TextFixture.write(in: directory, layout: tables)
      #expect(try train(mapped, encoding, "rows") == ids)
      #expect(try train(mapped, nil, "plain") != ids)
      #expect(
        try TrainingRunIndex(directory: directory + "/rows").model["overEncoding"] == encoding)
      let error = #expect(throws: UserError.self) {
        _ = try train(mapped, ["order": 3, "slices": 2, "rows": 600], "other")
      }
      #expect(error?.description.contains("map set of other over-encoding tables") == true)
      let high = #expect(throws: UserError.self) {
        _ = try train(
          TextFixture.write(in: directory), ["order": 5, "slices": 1, "rows": 50], "high")
      }
      let message = "expected order 5 or more, found n-gram ids up to order 3"
      #expect(high?.description.contains(message) == true)
    }
  }

  @Test func onePassIsAllThatStepsGive() throws {
    try withTemporaryDirectory { directory in
      let input = try TextFixture.write(in: directory)
      let windows = expected(context: 9, nil, .document).count
      func configuration(_ steps: Int, batch: Int = 4) -> StageConfiguration {
        TrainerTests.configuration(
          input,
          [
            ("kind", "text"), ("model.context", 9), ("training.steps", .integer(steps)),
            ("training.batchSequences", .integer(batch)),
            ("training.lanes", 2), ("snapshots.count", 1), ("schedule.warmupSteps", 0),
          ])
      }
      let most = windows / 4
      try TrainerTests.train(configuration(most), in: directory + "/most")
      let error = #expect(throws: UserError.self) {
        try TrainerTests.train(configuration(most + 1), in: directory + "/more")
      }
      #expect(
        error?.description.contains(
          "expected at most \(most) steps of 4 windows, one pass over the \(windows) windows of the "
            + "map set, found \(most + 1)") == true)
      let batch = #expect(throws: UserError.self) {
        try TrainerTests.train(configuration(1, batch: windows + 1), in: directory + "/batch")
      }
      #expect(batch?.description.contains("at most \(windows), the windows of the map set") == true)
    }
  }
}
