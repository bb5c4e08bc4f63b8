import Shards
import Support

/// A set of f-grams of lengths 2…K, numbered from 0 in the order (length, tokens): what stage discover
/// found, or its most frequent part.
///
/// Whatever begins or ends an f-gram of the set is in it too, because it occurs as often and is shorter:
/// so the longest f-gram inside any window that ends at a position is as long as the window or the longest
/// one that ends there, whichever is less.
///
/// Memory: about 8 bytes an f-gram, and 8 more for how often it occurs.
package struct FGramSet: Sendable {
  /// V.
  package var vocabulary: Int { trie.vocabulary }
  /// K: f-grams have 2…K tokens.
  package var longest: Int { trie.longest }
  package let trie: FGramTrie
  /// Occurrences, of length n at n − 2; none where nobody counted.
  private let occurrences: [[Int]]
  /// (K): number of the first f-gram of each length from 2, and of all.
  private let starts: [Int]

  /// A set that was made before, without occurrences.
  package init(_ trie: FGramTrie) {
    self.init(trie, occurrences: [])
  }

  private init(_ trie: FGramTrie, occurrences: [[Int]]) {
    self.trie = trie
    self.occurrences = occurrences
    starts = trie.counts.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1) }
  }

  /// The f-grams of `levels` (lengths 2, 3, …) that have at most `longest` tokens and are among the first
  /// `size` by count, then length, then tokens; size 0 and sizes above their number take all.
  ///
  /// - Parameter levels: keys and counts, as `FGramDiscovery` gives them.
  package init(
    vocabulary: Int, levels: [(keys: [UInt64], counts: [Int])], longest: Int, size: Int = 0
  ) {
    var kept = Self.cut(Array(levels.prefix(longest - 1)), size: size)
    while kept.count < longest - 1 { kept.append(([], [])) }
    self.init(
      FGramTrie(vocabulary: vocabulary, longest: longest, keys: kept.map(\.keys)),
      occurrences: kept.map(\.counts))
  }

  private static func cut(
    _ levels: [(keys: [UInt64], counts: [Int])], size: Int
  ) -> [(keys: [UInt64], counts: [Int])] {
    let all = levels.flatMap(\.counts).sorted(by: >)
    guard size > 0, size < all.count else { return levels }
    // All that occur more often than the last, and of those that occur as often the first.
    let least = all[size - 1]
    var ties = size - all.prefix { $0 > least }.count
    // By number among all of the length before, that among those kept. The tokens are all there.
    var numbers: [UInt32]?
    return levels.map { level in
      var kept = (keys: [UInt64](), counts: [Int]())
      var own = [UInt32](repeating: GramKey.none, count: level.keys.count)
      for (i, count) in level.counts.enumerated() where count >= least {
        if count == least {
          if ties == 0 { continue }
          ties -= 1
        }
        own[i] = UInt32(kept.keys.count)
        let prefix = GramKey.prefix(level.keys[i])
        kept.keys.append(
          GramKey.make(
            prefix: numbers.map { $0[Int(prefix)] } ?? prefix, token: GramKey.token(level.keys[i])))
        kept.counts.append(count)
      }
      numbers = own
      return kept
    }
  }

  // MARK: - What it holds

  /// S.
  package var count: Int { starts[starts.count - 1] }

  /// Numbers of the f-grams of so many tokens.
  package func ids(ofLength length: Int) -> Range<Int> {
    guard 2...longest ~= length else { return 0..<0 }
    return starts[length - 2]..<starts[length - 1]
  }

  /// Tokens of f-gram `id`.
  package func length(of id: Int) -> Int {
    precondition(id >= 0 && id < count, "an f-gram of the set")
    // The last length that begins at or before it: lengths without f-grams begin where the next does.
    return (starts.lastIndex { $0 <= id } ?? 0) + 2
  }

  /// How often f-gram `id` occurs. Precondition: of a set that says so.
  package func occurrences(of id: Int) -> Int {
    let length = length(of: id)
    precondition(!occurrences.isEmpty, "f-grams without counts")
    return occurrences[length - 2][id - starts[length - 2]]
  }

  package func tokens(of id: Int) -> [UInt32] {
    let length = length(of: id)
    var tokens = [UInt32](repeating: 0, count: length)
    var number = id - starts[length - 2]
    for n in stride(from: length, through: 2, by: -1) {
      (number, tokens[n - 1]) = trie.parts(length: n, number: number)
    }
    tokens[0] = UInt32(number)
    return tokens
  }

  /// p·V + x of f-gram `id`, which is token x behind f-gram number p of the length before.
  package func key(of id: Int) -> Int {
    let length = length(of: id)
    let (prefix, token) = trie.parts(length: length, number: id - starts[length - 2])
    return prefix * vocabulary + Int(token)
  }

  /// The number of the f-gram with these tokens.
  package func id(of tokens: some Sequence<UInt32>) -> Int? {
    var prefix: UInt32?
    var length = 0
    for token in tokens {
      length += 1
      guard let shorter = prefix else {
        guard token < vocabulary else { return nil }
        prefix = token
        continue
      }
      guard length <= longest else { return nil }
      let longer = trie.number(length: length, prefix: shorter, token: token)
      if longer == GramKey.none { return nil }
      prefix = longer
    }
    guard length >= 2, let prefix else { return nil }
    return starts[length - 2] + Int(prefix)
  }
}

/// The longest f-gram at the end of a document that grows token by token.
///
/// State: the numbers of the f-grams that end there, of all lengths up to the longest. A push makes one
/// look-up for each of them and one that fails; nothing is allocated after `init`.
package struct LongestMatch: Sendable {
  package let set: FGramSet
  /// Of length n at n − 1, among those of the length; the first is the token.
  private var numbers: [UInt32]
  /// Tokens of the longest f-gram at the end: 1 where there is none, 0 before the first token.
  package private(set) var length = 0

  package init(_ set: FGramSet) {
    self.set = set
    numbers = [UInt32](repeating: 0, count: set.longest)
  }

  /// Forgets the document.
  package mutating func reset() { length = 0 }

  /// Appends a token; returns the length of the longest f-gram that ends with it.
  ///
  /// - Precondition: a token of the vocabulary.
  @discardableResult
  package mutating func push(_ token: UInt32) -> Int {
    precondition(Int(token) < set.vocabulary, "a token of the vocabulary")
    let most = min(length + 1, set.longest)
    var prefix = token
    swap(&prefix, &numbers[0])
    length = 1
    while length < most {
      let number = set.trie.number(length: length + 1, prefix: prefix, token: token)
      if number == GramKey.none { break }
      prefix = numbers[length]
      numbers[length] = number
      length += 1
    }
    return length
  }

  /// The f-gram of so many tokens at the end. Precondition: from 2 to `length`.
  package func id(ofLength tokens: Int) -> Int {
    precondition(2...max(2, length) ~= tokens && tokens <= length, "an f-gram that ends here")
    return set.ids(ofLength: tokens).lowerBound + Int(numbers[tokens - 1])
  }

  /// Fills `lengths` with that of the longest f-gram at each of the first positions of a document.
  ///
  /// - Parameters:
  ///   - tokens: (T), all below V.
  ///   - lengths: (≤ T) overwritten.
  @specialized(where T == UInt16, U == UInt16)
  @specialized(where T == UInt16, U == UInt32)
  @specialized(where T == UInt32, U == UInt32)
  package mutating func match<T: FixedWidthInteger & UnsignedInteger, U: FixedWidthInteger>(
    _ tokens: Span<T>, into lengths: inout MutableSpan<U>
  ) {
    reset()
    for t in 0..<lengths.count {
      lengths[t] = U(truncatingIfNeeded: push(UInt32(truncatingIfNeeded: tokens[t])))
    }
  }
}
