import Engine
import Evaluation
import Foundation
import Models
import NGrams
import Stores
import Support
import Testing

/// Generation by given rows of f-grams beside the model's own scores of the same tokens.
@Suite struct FGramContinuationTests {
  private static let vocabulary = 5

  private static func model(_ width: Int, tables: Bool) throws -> ModelConfiguration {
    let trunk = OLMo2(
      TrunkSize(layers: 2, width: width, heads: 2, context: 24), settings: .init(hiddenWidth: 32))
    let fGrams = FGrams(vocabulary: vocabulary, longest: 3, on: trunk)
    let layout = try OverEncodingLayout(
      vocabulary: vocabulary, order: 3, slices: 1, rows: 40, width: width, moduli: .coprime)
    return try ModelConfiguration(
      input: tables
        ? OverEncodedFGrams(
          fGrams: fGrams,
          overEncoding: OverEncoding(layout: layout, reduction: .sum, deviation: 0.3))
        : fGrams,
      trunk: trunk, outputs: [NextToken(labels: vocabulary)])
  }

  /// All pairs that do not end with 4, and those triples whose tokens do not descend.
  private static func fGrams() -> FGramSet {
    var pairs: [UInt64] = []
    var triples: [UInt64] = []
    for a in 0..<UInt64(vocabulary) {
      for b in 0..<UInt64(vocabulary) where b != 4 {
        for c in 0..<UInt64(vocabulary) where c != 4 && a <= b && b <= c {
          triples.append(UInt64(pairs.count) << 32 | c)
        }
        pairs.append(a << 32 | b)
      }
    }
    return FGramSet(
      vocabulary: vocabulary,
      levels: [pairs, triples].map { ($0, [Int](repeating: 1, count: $0.count)) }, longest: 3)
  }

  private static func store(
    _ set: FGramSet, of model: EngineModel, in directory: String
  ) throws -> FGramStore {
    try AtomicFile.makeDirectory(directory)
    let width = model.configuration.width
    let rows = model.fGramEngine(capacity: 7, threads: 2).rows(
      of: (0..<set.count).map { set.tokens(of: $0).map { Int32(bitPattern: $0) } })
    let store = try FGramStore.write(
      set,
      description: StoreDescription(
        vocabulary: vocabulary, longest: 3, count: set.count, width: width, precision: .float32,
        model: "0123456789ab", fGrams: "ba9876543210"), to: directory
    ) { try $0.append(rows.span) }
    try StageIndex.write(
      to: directory,
      configuration: StageConfiguration(stage: "test", version: 1, parameters: ["x": 1]),
      content: ["store": store])
    return try FGramStore(directory: directory, placement: .disk)
  }

  /// The log-probabilities behind every position of a sequence that is continued alone, with the rows of all
  /// f-grams as the model makes them; by its side those of the whole sequence scored by the model itself.
  private static func expected(
    _ tokens: [UInt32], _ set: FGramSet, _ model: ModelConfiguration, seed: UInt64
  ) -> (continued: [Float], scored: [Float]) {
    let parameters = model.makeParameters(moments: false)
    parameters.initialize(seed: seed)
    let stored = model.stored(rows: set.count)
    let store = stored.makeStoredParameters()
    model.fill(
      store, from: parameters,
      fGrams: (0..<set.count).map { set.tokens(of: $0).map { Int32(bitPattern: $0) } }, threads: 1)
    let engine = DecodingEngine(stored, parameters: store, capacity: 1)
    engine.reset(sequences: 1)
    var lane = model.makeLane()
    var history = model.overEncoding.map { OverEncodingHistory(OverEncodingMapper($0.layout)) }
    let tables = model.inputColumns - 2
    var match = LongestMatch(set)
    var continued: [Float] = []
    for token in tokens {
      let length = match.push(token)
      let id = length > 1 ? match.id(ofLength: length) : -1
      history?.push(token)
      let rows = (0..<tables).map { Int32(history?.row(of: $0) ?? 0) }
      engine.step(inputs: [Int32(token), Int32(id + 1)] + rows, tables: 2 + tables) {
        continued += $0
      }
      lane.appendRow(label: 0) { $0 == 0 ? Int32(token) : $0 == 1 ? Int32(length) : rows[$0 - 2] }
    }
    lane.endSegment()
    let scoring = ScoringEngine(model, parameters: parameters, laneCapacity: 24, threads: 1)
    return (continued, scoring.logProbabilities([lane])[0])
  }

  /// Sequences begin and end at different steps; each has the bits of one that is continued alone, and what
  /// scoring says but for rounding.
  @Test(arguments: [(16, false), (40, false), (16, true)], [true, false])
  func hasTheBitsOfTheModel(size: (width: Int, tables: Bool), isStored: Bool) throws {
    let directory = NSTemporaryDirectory() + "ott-continuation-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let configuration = try Self.model(size.width, tables: size.tables)
    let model = EngineModel(configuration)
    model.initialize(seed: 4)
    let set = Self.fGrams()
    let rows: any FGramRows =
      isStored
      ? StoredFGramRows(try Self.store(set, of: model, in: directory))
      : ComputedFGramRows(model, set: set, capacity: 2)
    let continuation = FGramContinuation(model, rows: rows, sequences: 3)
    let random = RandomStream(seed: 1, name: "tokens")
    var (texts, found): ([[UInt32]], [[Float]]) = ([], [])
    /// Numbers of the live ones.
    var live: [Int] = []
    func begin(_ count: Int) {
      for _ in 0..<count {
        live.append(texts.count)
        texts.append([])
        found.append([])
      }
    }
    for round in 0..<2 {
      live = []
      continuation.restart(sequences: 2)
      begin(2)
      for step in 0..<20 {
        if step == 3 {
          continuation.begin(sequences: 1)
          begin(1)
        }
        if step == 7 {
          continuation.retain { $0 != 0 }
          live.removeFirst()
          continuation.begin(sequences: 1)
          begin(1)
        }
        #expect(continuation.live == live.count)
        var drawn = random.at(index: UInt64(100 * round + step))
        let tokens = live.map { _ in drawn.below(UInt32(Self.vocabulary)) }
        continuation.advance(tokens) { row in
          for (n, text) in live.enumerated() {
            texts[text].append(tokens[n])
            found[text] += row[n * Self.vocabulary..<(n + 1) * Self.vocabulary]
          }
        }
      }
    }
    #expect(texts.count == 8 && texts.map(\.count).min() == 7)
    for (text, own) in zip(texts, found) {
      let expected = Self.expected(text, set, configuration, seed: 4)
      let isEqual = own == expected.continued
      #expect(isEqual)
      let distance = zip(own, expected.scored).map { abs($0 - $1) }.max() ?? .nan
      #expect(distance < 1e-5)
    }
    let matched = texts.map { text in
      var match = LongestMatch(set)
      return Set(text.map { match.push($0) })
    }
    #expect(matched.reduce(into: Set()) { $0.formUnion($1) } == [1, 2, 3])
  }
}
