import Foundation
import NGrams
import Parallel
import Support
import Testing

/// Frequent n-grams, against dictionaries of whole n-grams.
@Suite struct FGramTests {
  private static let vocabulary = 9

  /// Documents of no, one and many tokens, with a long one that repeats itself.
  private static func documents(_ count: Int = 90, seed: UInt64 = 1) -> [[UInt32]] {
    var stream = RandomStream(seed: seed, name: "documents")
    var documents = (0..<count).map { number in
      (0..<number % 13).map { _ in
        min(stream.below(UInt32(vocabulary)), stream.below(UInt32(vocabulary)))
      }
    }
    documents.append((0..<70).map { UInt32($0 % 3 + 5) })
    documents.append([UInt32](repeating: 8, count: 12))
    return documents
  }

  /// Each n-gram, n = 2…K, that occurs so often inside documents, and how often.
  private static func counts(
    _ documents: [[UInt32]], longest: Int, minimum: Int
  ) -> [[UInt32]: Int] {
    var counts: [[UInt32]: Int] = [:]
    for document in documents {
      for n in 2...longest where n <= document.count {
        for start in 0...document.count - n {
          counts[Array(document[start..<start + n]), default: 0] += 1
        }
      }
    }
    return counts.filter { $0.value >= minimum }
  }

  private static func discover(
    _ documents: [[UInt32]], longest: Int, minimum: Int, memory: Int = 1 << 20, threads: Int = 1,
    pieces: Int = 1, directory: String = NSTemporaryDirectory()
  ) throws -> (tokens: Int, levels: [FGramDiscovery.Level]) {
    let discovery = FGramDiscovery(
      vocabulary: vocabulary, longest: longest, minimumCount: minimum, memoryBytes: memory,
      directory: directory)
    return try discovery.run(pieces: pieces, pool: WorkerPool(threads: threads)) { piece, sink in
      for d in stride(from: piece, to: documents.count, by: pieces) {
        let document = documents[d]
        try sink.append(document.span)
      }
    }
  }

  private static func set(
    _ documents: [[UInt32]], longest: Int, minimum: Int, size: Int = 0
  ) throws -> FGramSet {
    let levels = try discover(documents, longest: longest, minimum: minimum).levels
    return FGramSet(
      vocabulary: vocabulary, levels: levels.map { ($0.keys, $0.counts) }, longest: longest,
      size: size)
  }

  private static func precedes(_ a: [UInt32], _ b: [UInt32]) -> Bool {
    a.count != b.count ? a.count < b.count : a.lexicographicallyPrecedes(b)
  }

  @Test(arguments: [(2, 1), (2, 5), (3, 2), (5, 5), (8, 1), (8, 3), (4, 1000)])
  func countsOfDictionaries(longest: Int, minimum: Int) throws {
    let documents = Self.documents()
    let expected = Self.counts(documents, longest: longest, minimum: minimum)
    let found = try Self.discover(documents, longest: longest, minimum: minimum)
    #expect(found.tokens == documents.reduce(0) { $0 + $1.count })
    #expect(found.levels.map(\.length) == Array(2...longest))
    let set = try Self.set(documents, longest: longest, minimum: minimum)
    #expect(set.count == expected.count)
    let tokens = (0..<set.count).map { set.tokens(of: $0) }
    #expect(tokens == expected.keys.sorted(by: Self.precedes))
    for (id, gram) in tokens.enumerated() {
      #expect(set.occurrences(of: id) == expected[gram])
      #expect(set.id(of: gram) == id && set.length(of: id) == gram.count)
      #expect(set.ids(ofLength: gram.count).contains(id))
    }
    for level in found.levels {
      #expect(level.candidates >= level.keys.count && level.keys.count == level.counts.count)
    }
    for stranger in [[], [1], [8, 0, 8, 0], [UInt32](repeating: 8, count: 9), [1, 40]] as [[UInt32]]
    where expected[stranger] == nil {
      #expect(set.id(of: stranger) == nil)
    }
  }

  /// Neither the bound on memory, under which nearly all goes to files, nor threads nor pieces matter.
  @Test func memoryAndThreadsChangeNothing() throws {
    let directory = NSTemporaryDirectory() + "ott-f-grams-" + UUID().uuidString
    try AtomicFile.makeDirectory(directory)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    var documents = Self.documents(400, seed: 2)
    var stream = RandomStream(seed: 3, name: "long")
    documents += (0..<40).map { _ in (0..<500).map { _ in stream.below(UInt32(Self.vocabulary)) } }
    let first = try Self.discover(documents, longest: 5, minimum: 3)
    for (memory, threads, pieces) in [(1 << 30, 3, 7), (1, 1, 1), (1, 4, 50), (9000, 2, 3)] {
      let other = try Self.discover(
        documents, longest: 5, minimum: 3, memory: memory, threads: threads, pieces: pieces,
        directory: directory)
      #expect(first.levels == other.levels && first.tokens == other.tokens)
      #expect(try AtomicFile.names(in: directory).isEmpty)
    }
    let none = try Self.discover([], longest: 3, minimum: 1)
    #expect(none.tokens == 0 && none.levels.allSatisfy { $0.keys.isEmpty })
    #expect(
      throws: UserError.self, "no such directory to spill into"
    ) {
      _ = try Self.discover(
        documents, longest: 2, minimum: 1, memory: 1, directory: directory + "/none")
    }
  }

  /// Keys of all digits, and whole blocks of one key.
  @Test(arguments: [0, 1, 511, 512, 513, 5000])
  func manyOfOneKey(count: Int) throws {
    let document = [UInt32](repeating: 7, count: count)
    for memory in [1, 1 << 20] {
      let found = try Self.discover([document], longest: 4, minimum: 1, memory: memory)
      for level in found.levels {
        #expect(level.counts == (count >= level.length ? [count - level.length + 1] : []))
      }
    }
  }

  // MARK: - Cuts

  @Test(arguments: [1, 2, 7, 40, 100, 10_000])
  func cutsAreTheMostFrequent(size: Int) throws {
    let documents = Self.documents()
    let counts = Self.counts(documents, longest: 5, minimum: 2)
    let best = counts.sorted {
      $0.value != $1.value ? $0.value > $1.value : Self.precedes($0.key, $1.key)
    }.prefix(size).map(\.key)
    let cut = try Self.set(documents, longest: 5, minimum: 2, size: size)
    #expect((0..<cut.count).map { cut.tokens(of: $0) } == best.sorted(by: Self.precedes))
    for id in 0..<cut.count {
      let tokens = cut.tokens(of: id)
      #expect(cut.occurrences(of: id) == counts[tokens])
      if tokens.count > 2 {
        #expect(cut.id(of: tokens.dropLast()) != nil && cut.id(of: tokens.dropFirst()) != nil)
      }
    }
  }

  @Test func longestCutsLengths() throws {
    let documents = Self.documents()
    let levels = try Self.discover(documents, longest: 5, minimum: 2).levels
    let cut = FGramSet(
      vocabulary: Self.vocabulary, levels: levels.map { ($0.keys, $0.counts) }, longest: 3)
    #expect(cut.count == Self.counts(documents, longest: 3, minimum: 2).count)
    #expect(cut.longest == 3 && cut.ids(ofLength: 4).isEmpty)
  }

  // MARK: - Matches

  /// The definition: the longest gram of the set among the last tokens.
  private static func match(_ set: FGramSet, _ document: ArraySlice<UInt32>) -> Int {
    (2...set.longest).last { $0 <= document.count && set.id(of: document.suffix($0)) != nil } ?? 1
  }

  private static func matches(_ set: FGramSet, _ document: [UInt32]) -> [UInt16] {
    let narrow = document.map { UInt16($0) }
    var lengths = [UInt16](repeating: 99, count: max(0, document.count - 1))
    var match = LongestMatch(set)
    var span = lengths.mutableSpan
    match.match(narrow.span, into: &span)
    return lengths
  }

  @Test(arguments: [0, 1, 5, 30])
  func longestMatches(size: Int) throws {
    let set = try Self.set(Self.documents(), longest: 5, minimum: 2, size: size)
    var match = LongestMatch(set)
    for document in Self.documents(60, seed: 5) + [[], [3]] {
      match.reset()
      var lengths: [Int] = []
      for (t, token) in document.enumerated() {
        let length = match.push(token)
        #expect(length == Self.match(set, document[...t]))
        if length > 1 {
          for shorter in 2...length {
            #expect(match.id(ofLength: shorter) == set.id(of: document[...t].suffix(shorter)))
          }
        }
        lengths.append(length)
      }
      // A document at once, its last token a label.
      #expect(Self.matches(set, document).map(Int.init) == Array(lengths.dropLast()))
      // Inside a window a match is cut by the window alone.
      for start in document.indices {
        for t in start..<document.count {
          #expect(Self.match(set, document[start...t]) == min(lengths[t], t - start + 1))
        }
      }
    }
  }
}
