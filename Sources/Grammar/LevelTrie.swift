import Foundation

/// All alternatives of one level as a trie over the symbols of the level below, shared by the level's
/// symbols. Symbols are local indices: their places in `Grammar.levels`. Node 0 is the root; nodes are
/// numbered so that the nodes reached by one symbol stand together, in `reached(by:)`.
struct LevelTrie: Sendable {
  /// An alternative that ends in a node.
  struct Completion: Sendable {
    /// Local index of the symbol whose alternative it is.
    let symbol: Int
    /// The alternative's probability, 1 / number of alternatives.
    let probability: Double
    /// Its information, log2 of the number of alternatives.
    let bits: Double
  }

  struct Node: Sendable {
    /// The local index, one level below, of the symbol that leads here.
    let symbol: Int32
    let parent: Int32
    /// Number of symbols from the root of the trie.
    let depth: Int32
    let isLeaf: Bool
    fileprivate let completionStart: Int32
    fileprivate let completionEnd: Int32

    /// The alternatives that end here, as a range of `LevelTrie.completions`.
    var completions: Range<Int> { Int(completionStart)..<Int(completionEnd) }
  }

  /// Number of symbols of this level and of the one below.
  let width: Int
  let lowerWidth: Int
  let nodes: [Node]
  let completions: [Completion]
  /// `children[node * lowerWidth + symbol]` is the child, −1 if there is none.
  let children: [Int32]
  /// `reachedStarts[symbol]..<reachedStarts[symbol + 1]` are the nodes reached by `symbol`.
  let reachedStarts: [Int]
  /// For every symbol of this level, the nodes that its alternatives pass (ends included) with the
  /// probability of passing.
  let passes: [[(node: Int, probability: Double)]]

  var count: Int { nodes.count }

  func reached(by symbol: Int) -> Range<Int> {
    reachedStarts[symbol]..<reachedStarts[symbol + 1]
  }

  /// The trie of the alternatives of `level` ≥ 1.
  init(_ grammar: Grammar, level: Int) {
    let localIndex = Dictionary(
      uniqueKeysWithValues: grammar.levels[level - 1].enumerated().map { ($1, $0) })
    let alternatives = grammar.levels[level].map { id in
      (grammar.symbol(id)?.alternatives ?? []).map { $0.map { localIndex[$0] ?? 0 } }
    }
    let prefixes = Set(
      alternatives.joined().flatMap { alternative in
        (1...alternative.count).map { Array(alternative.prefix($0)) }
      })
    let order =
      [[]]
      + prefixes.sorted { a, b in
        (a.last ?? 0, a.count) != (b.last ?? 0, b.count)
          ? (a.last ?? 0, a.count) < (b.last ?? 0, b.count) : a.lexicographicallyPrecedes(b)
      }
    let indexOf = Dictionary(uniqueKeysWithValues: order.enumerated().map { ($1, $0) })
    let inner = Set(prefixes.map { $0.dropLast() }.map(Array.init))

    width = alternatives.count
    lowerWidth = localIndex.count
    var nodes: [Node] = []
    var completions: [Completion] = []
    for prefix in order {
      let start = completions.count
      for (symbol, list) in alternatives.enumerated() where list.contains(prefix) {
        let count = Double(list.count)
        completions.append(Completion(symbol: symbol, probability: 1 / count, bits: log2(count)))
      }
      nodes.append(
        Node(
          symbol: Int32(prefix.last ?? -1), parent: Int32(indexOf[prefix.dropLast()] ?? 0),
          depth: Int32(prefix.count), isLeaf: !inner.contains(prefix),
          completionStart: Int32(start), completionEnd: Int32(completions.count)))
    }
    var children = [Int32](repeating: -1, count: order.count * localIndex.count)
    for (index, node) in nodes.enumerated().dropFirst() {
      children[Int(node.parent) * localIndex.count + Int(node.symbol)] = Int32(index)
    }
    var starts = [1]
    for symbol in 0..<localIndex.count {
      starts.append((starts.last ?? 1) + nodes.count { Int($0.symbol) == symbol })
    }
    passes = alternatives.map { list in
      var passing: [Int: Int] = [:]
      for alternative in list {
        for length in 1...alternative.count {
          passing[indexOf[Array(alternative.prefix(length))] ?? 0, default: 0] += 1
        }
      }
      return passing.sorted { $0.key < $1.key }.map {
        (node: $0.key, probability: Double($0.value) / Double(list.count))
      }
    }
    self.nodes = nodes
    self.completions = completions
    self.children = children
    reachedStarts = starts
  }
}

/// Powers of two that keep probabilities of prefixes near 1: a prefix of k symbols is scaled by
/// 2^exponent(k) with exponent(k) = ⌊bits per symbol · k⌋, so that scaling is exact and any two
/// probabilities of the same prefix are scaled alike.
struct Scale: Sendable {
  let bitsPerSymbol: Double

  init(_ grammar: Grammar) { bitsPerSymbol = grammar.scaleBitsPerSymbol }

  func exponent(_ k: Int) -> Int { Int((bitsPerSymbol * Double(k)).rounded(.down)) }

  /// The factor of the symbol at `position`: 2^(exponent(position + 1) − exponent(position)).
  func factor(at position: Int) -> Double {
    Double(sign: .plus, exponent: exponent(position + 1) - exponent(position), significand: 1)
  }
}
