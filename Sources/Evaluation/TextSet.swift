import Contracts
import Engine
import NGrams
import Shards
import Parallel
import Support

/// A map set that a model of text is scored on.
package struct TextSet: Sendable {
  package let name: String
  package let rows: MappedRows
  package let labelBytes: [Int]
  /// What lanes hold of it.
  private let columns: TextColumns

  /// Loads a set for a model.
  ///
  /// - Parameters:
  ///   - text: what the model's training data say of their text.
  ///   - columns: what the model's lanes hold.
  /// - Throws: `UserError` when the set is no text, of another tokenizer than the model's, does not fit
  ///   its tables, has other f-grams, or has nothing to score.
  package init(
    name: String, _ input: StageConfiguration.Input, text: TextMap, columns: TextColumns,
    threads: Int
  ) throws {
    let set = try ShardSet(input: input)
    let path = "\(input.path)/\(StageIndex.fileName)"
    guard set.stage.stage == Stage.map.rawValue, let found = try TextMap(set.metadata, source: path)
    else {
      throw UserError(
        path, expected: "a map set of kind text",
        found: "a set of stage '\(set.stage.stage)'",
        remedy: "Name map sets over byte-pair tokens as the inputs beside 'run'.")
    }
    guard found.tokenizer == text.tokenizer, found.vocabulary == text.vocabulary else {
      throw UserError(
        "\(path): tokens of another tokenizer than the run's",
        expected: "\(text.tokenizer) with \(text.vocabulary) tokens",
        found: "\(found.tokenizer) with \(found.vocabulary)",
        remedy: "Tokenize the set '\(name)' with the tokenizer of the training data.")
    }
    guard columns.longestMatch == nil || found.columns == text.columns else {
      throw UserError(
        "\(path): matches of other f-grams than the run's", expected: "\(text.columns)",
        found: "\(found.columns)",
        remedy: "Map the set '\(name)' with the f-grams of the training data.")
    }
    guard set.elements > 0 else {
      throw UserError(
        "\(path): set '\(name)'", expected: "at least one row to score", found: "none")
    }
    self.name = name
    labelBytes = found.labelBytes
    self.columns = columns
    rows = try MappedRows(set.load(threads: threads), text: found, wanted: columns, path: path)
  }

  /// The sets that a configuration names beside other inputs, by name.
  ///
  /// - Throws: `UserError` where there is none, or one that `init` refuses.
  static func all(
    of configuration: StageConfiguration, beside others: String..., text: TextMap,
    columns: TextColumns, threads: Int
  ) throws -> [TextSet] {
    let names = configuration.inputs.keys.filter { !others.contains($0) }.sorted()
    guard !names.isEmpty else {
      throw UserError(
        "\(configuration.source): inputs", expected: "a map set beside '\(others[0])'",
        found: "none",
        remedy: "Add the map set of held-out text as input 'heldout'.")
    }
    if let name = names.first(where: { $0.contains { !isPlain($0) } }) {
      throw UserError(
        "\(configuration.source): inputs", expected: "names of letters, digits, - and _",
        found: "'\(name)'")
    }
    return try names.map {
      try TextSet(
        name: $0, configuration.input($0), text: text, columns: columns, threads: threads)
    }
  }

  private static func isPlain(_ character: Character) -> Bool {
    character.isASCII && (character.isLetter || character.isNumber || "-_".contains(character))
  }

  /// The windows that are scored; see `TextWindow`.
  ///
  /// - Parameter positions: the first rows of the set, 0 for all.
  /// - Throws: `UserError` where they stand for no byte.
  package func windows(context: Int, stride: Int, positions: Int) throws -> [TextWindow] {
    let windows = TextWindow.cut(
      offsets: rows.columns.documentOffsets, context: context, stride: stride,
      positions: positions == 0 ? nil : positions)
    guard bytes(of: windows) > 0 else {
      throw UserError(
        "set '\(name)'",
        expected: "text to score" + (positions == 0 ? "" : " in its first \(positions) rows"),
        found: "no byte", remedy: "Score more positions, or other text.")
    }
    return windows
  }

  /// log Q of the scored rows of each window, in nats, summed in order of rows in Double.
  ///
  /// Windows are packed side by side into lanes of at most `batchPositions` rows, in order, whatever
  /// the threads; attention stays within a window. Of R ranks rank i mod R scores lane i.
  ///
  /// - Returns: all on rank 0, nil on the others.
  package func logQ(
    _ windows: [TextWindow], engine: some LaneScoring, batchPositions: Int, lanesAtATime: Int,
    ranks: any Communicator = LocalCommunicator(), check: () throws -> Void = {}
  ) throws -> [Double]? {
    let all = TextWindow.pack(windows, rows: batchPositions)
    let groups = ranks.dealt(all.count).map { all[$0] }
    var result: [Double] = []
    result.reserveCapacity(windows.count / ranks.size)
    var next = 0
    while next < groups.count {
      try check()
      let part = groups[next..<min(next + lanesAtATime, groups.count)]
      let lanes = part.map { lane(windows[$0]) }
      for (group, scores) in zip(part, try engine.labelLogProbabilities(lanes)) {
        var row = 0
        for window in windows[group] {
          row += window.rows.count
          let own = scores[(row - window.scored.count)..<row]
          result.append(own.reduce(0.0) { $0 + Double($1) })
        }
      }
      next += part.count
    }
    guard var dealt = try ranks.gatherDealt(result) else { return nil }
    return all.indices.flatMap { dealt.take(all[$0].count, of: $0) }
  }

  /// log Q of the scored rows of each window, in nats, by a model of n-grams that sees what a
  /// transformer does: the rows of the window.
  package func logQ(_ windows: [TextWindow], model: KneserNey) -> [Double] {
    windows.map { window in
      model.logProbabilities(rows.tokens(in: window.rows)).suffix(window.scored.count)
        .reduce(0, +)
    }
  }

  private func lane(_ windows: ArraySlice<TextWindow>) -> PackedLane {
    var lane = PackedLane(
      tables: rows.inputs.count, capacity: windows.reduce(0) { $0 + $1.rows.count },
      longestMatch: columns.longestMatch)
    for window in windows {
      rows.forEach(in: window.rows) { lane.appendRow(label: $0, input: $1) }
      lane.endSegment()
    }
    return lane
  }

  /// Bytes of text that the scored rows of windows stand for.
  func bytes(of windows: [TextWindow]) -> Int {
    windows.reduce(0) { $0 + rows.sum(of: labelBytes, in: $1.scored) }
  }

  /// The scores of windows, gathered by document.
  package func scores(_ windows: [TextWindow], logQ: [Double]) -> TextScores {
    TextScores(
      windows: zip(windows, logQ).map { window, logQ in
        TextScores.Part(
          document: window.document, tokens: window.scored.count,
          bytes: rows.sum(of: labelBytes, in: window.scored), nats: -logQ)
      })
  }
}
