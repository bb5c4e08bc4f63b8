import Foundation
import NGrams
import Stores
import Support

/// Times reading from a store of f-grams that a made-up model left.
///
/// The f-grams are the paths of nested graphs: each token has 105 followers, of which the first 11 count
/// for f-grams of three tokens, the first 4 for four, the first 2 for five. So whatever begins or ends one
/// is one, and V tokens have V · (105 + 11² + 4³ + 2⁴) of them: 10⁷ for V = 32,768.
package struct StoreBench {
  package static let degrees = [105, 11, 4, 2]
  package static let longest = degrees.count + 1

  private let vocabulary: Int
  /// (V, 105): followers, first the strongest; all different for a token.
  private let followers: [[UInt32]]

  /// - Parameter vocabulary: V, 105 or more.
  package init(vocabulary: Int) {
    precondition(vocabulary >= Self.degrees[0], "more tokens than one has followers")
    self.vocabulary = vocabulary
    followers = (0..<vocabulary).map { token in
      let order = Permutation(count: vocabulary, seed: UInt64(token), name: "followers")
      return (0..<Self.degrees[0]).map { UInt32(order[$0]) }
    }
  }

  /// All f-grams.
  package var fGrams: FGramSet {
    var levels: [(keys: [UInt64], counts: [Int])] = []
    // Of the level before: the last token of each, and how many followers all its edges are among.
    var ends = (0..<vocabulary).map { (token: UInt32($0), rank: 0) }
    for degree in Self.degrees {
      var keys: [UInt64] = []
      var next: [(token: UInt32, rank: Int)] = []
      for (prefix, end) in ends.enumerated() where end.rank < degree {
        let ranked = followers[Int(end.token)].prefix(degree).enumerated()
        for (rank, token) in ranked.sorted(by: { $0.element < $1.element }) {
          keys.append(UInt64(prefix) << 32 | UInt64(token))
          next.append((token, max(end.rank, rank)))
        }
      }
      levels.append((keys, [Int](repeating: 1, count: keys.count)))
      ends = next
    }
    return FGramSet(vocabulary: vocabulary, levels: levels, longest: Self.longest)
  }

  /// Writes a store of the f-grams into `directory`.
  ///
  /// - Parameter filled: whether rows hold numbers; otherwise they are zeros that take no room.
  package func make(
    in directory: String, width: Int, precision: StorePrecision, filled: Bool
  ) throws {
    let set = fGrams
    let configuration = StageConfiguration(
      stage: "bench", version: 1,
      parameters: ["width": .integer(width), "precision": .string(precision.rawValue)])
    try AtomicFile.makeDirectory(directory)
    let description = StoreDescription(
      vocabulary: vocabulary, longest: Self.longest, count: set.count, width: width,
      precision: precision, model: "made-up", fGrams: "made-up")
    let store = try FGramStore.write(
      set, description: description, to: directory, filledRows: filled ? nil : 0
    ) { writer in
      guard filled else { return try writer.append(zeroRows: set.count) }
      let stream = RandomStream(seed: 1, name: "rows")
      var row = [Float](repeating: 0, count: width)
      for id in 0..<set.count {
        var random = stream.at(index: UInt64(id))
        // Others in each row are enough to tell rows apart.
        for i in 0..<min(width, 8) { row[i] = Float(random.uniform()) }
        try Self.append(row, to: &writer)
      }
    }
    try StageIndex.write(to: directory, configuration: configuration, content: ["store": store])
  }

  private static func append(_ row: [Float], to writer: inout FGramStore.Writer) throws {
    try writer.append(row.span)
  }

  /// The last tokens of `count` windows: (count, K). A token follows the one before as one of its first
  /// followers, the first most often, or is any.
  package func windows(_ count: Int, seed: UInt64) -> [UInt32] {
    let stream = RandomStream(seed: seed, name: "windows")
    return (0..<count).flatMap { window in
      var random = stream.at(index: UInt64(window))
      var token = random.below(UInt32(vocabulary))
      return (0..<Self.longest).map { _ in
        let step = Int(random.below(8))
        token =
          step == 0
          ? random.below(UInt32(vocabulary))
          : followers[Int(token)][Int(random.below(UInt32(Self.degrees[(step - 1) / 2])))]
        return token
      }
    }
  }

  // MARK: - Measuring

  /// Reading with one placement and batch.
  package struct Point: Sendable, Equatable {
    package let placement: FGramStore.Placement
    /// Whether rows came from the disk, as far as the system lets go of them.
    package let isCold: Bool
    package let batch: Int
    package let tokens: Int
    /// Share of the tokens that had an f-gram.
    package let found: Double
    /// Wall seconds, the fastest of the runs; of a cold one there is but one.
    package let seconds: Double
  }

  /// Looks up the longest f-gram of each window and reads its row, `batch` windows at a time.
  package static func measure(
    _ store: FGramStore, placement: FGramStore.Placement, isCold: Bool, batch: Int,
    windows: [UInt32], runs: Int
  ) -> Point {
    let count = windows.count / longest / batch * batch
    var ids = [Int](repeating: -1, count: batch)
    var rows = [Float](repeating: 0, count: batch * store.description.width)
    var (best, found) = (Double.infinity, 0)
    for _ in 0..<(isCold ? 1 : runs + 1) {
      found = 0
      let start = Host.monotonicSeconds
      for first in stride(from: 0, to: count, by: batch) {
        read(store, windows, first, &ids, &rows)
        found += ids.count { $0 >= 0 }
      }
      best = min(best, Host.monotonicSeconds - start)
    }
    return Point(
      placement: placement, isCold: isCold, batch: batch, tokens: count,
      found: Double(found) / Double(max(1, count)), seconds: best)
  }

  private static func read(
    _ store: FGramStore, _ windows: [UInt32], _ first: Int, _ ids: inout [Int],
    _ rows: inout [Float]
  ) {
    let own = windows.span.extracting(first * longest..<(first + ids.count) * longest)
    var found = ids.mutableSpan
    store.match(own, length: longest, into: &found)
    let wanted = found.span
    var output = rows.mutableSpan
    store.gather(wanted, into: &output)
  }

  /// Asks the system to keep nothing of the rows in memory. No store may have them mapped.
  package static func forget(_ directory: String) throws {
    let file = try OpenFile(directory + "/rows")
    _ = fsync(file.descriptor)
    let status = posix_fadvise(file.descriptor, 0, 0, POSIX_FADV_DONTNEED)
    guard status == 0 else {
      errno = status
      throw FileFault.error("\(directory)/rows: cannot be forgotten")
    }
  }

  package static func csv(_ points: [Point]) -> [[String]] {
    [["placement", "state", "batch", "tokens", "found", "microseconds_per_token"]]
      + points.map { point in
        [
          point.placement.rawValue, point.isCold ? "cold" : "warm", "\(point.batch)",
          "\(point.tokens)", String(format: "%.3f", point.found),
          String(format: "%.3f", point.seconds / Double(max(1, point.tokens)) * 1e6),
        ]
      }
  }
}
