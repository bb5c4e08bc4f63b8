import Foundation

/// Exact probabilities of the next symbol after a prefix, symbol by symbol, with cheap undo.
///
/// The state after a prefix w of length k knows, for every symbol X of every level,
///
///     F_X(k) = P(the sentence begins with w and an X begins at k),
///
/// so that F of the terminals, and the probability that the sentence is w itself, are the joint
/// probabilities of prefix and continuation; dividing by their sum gives P(next | w). A symbol that
/// has begun is an *item*: a node of its level's trie, the position m where the symbol began, and the
/// probability q that the symbols up to the node derive w[m..<k]. `extend` completes upward (items of
/// level l + 1 from spans of level l that end at k) and predicts downward:
///
///     F_X(k) = Σ_items q(node, m) Σ_{children t of node, by X} G_t(m) + Σ_{t of depth 1, by X} G_t(k)
///     G_t(k) = Σ_A F_A(k) · P(A's alternative passes t)
///
/// An item is made only where its symbol was predicted, so work is spent on viable prefixes only.
/// There is no recursion or unit chain to invert: strict layers make both sums finite and direct.
/// All values at k carry the scale 2^exponent(k), so nothing underflows however long the string.
///
/// It is a value: a copy is an independent branch. Cheaper is `extend` … `retract()`, which undoes
/// exactly. One step costs about the number of live items, a few dozen for cfg3f.
///
/// Source: Stolcke, "An efficient probabilistic context-free parsing algorithm that computes prefix
/// probabilities" (CL 1995), specialised to strict layers.
package struct PrefixParser: Sendable {
  package let grammar: Grammar
  private let scale: Scale
  private let tries: [LevelTrie]
  /// Where the nodes of each trie, and the symbols of each level, begin among all.
  private let nodeOffsets: [Int]
  private let symbolOffsets: [Int]
  private let nodeCount: Int
  private let symbolCount: Int
  /// For each level and symbol, the nodes in which an alternative of the symbol ends.
  private let finals: [[[(node: Int, probability: Double)]]]

  private struct Item: Sendable {
    var origin: Int32
    var value: Double
  }

  /// The items of all positions; those of (position k, node v) are
  /// `items[itemStarts[k * nodeCount + v]..<itemEnds[…]]`.
  private var items: [Item] = []
  private var itemStarts: [Int32] = []
  private var itemEnds: [Int32] = []
  /// F for (position, symbol) and G for (position, node).
  private var predicted: [Double] = []
  private var passing: [Double] = []
  /// Joint probability of the prefix and the sentence's end, and of the prefix, both scaled.
  private var ends: [Double] = []
  private var totals: [Double] = []
  /// `items.count` before each position, for `retract`.
  private var marks: [Int] = []

  /// The spans of one level that end at the newest position, grouped by symbol.
  private struct Completed: Sendable {
    var spans: [Item] = []
    var starts: [Int] = []
  }
  private var lower = Completed()
  private var upper = Completed()
  private var slots: [Int32] = []

  /// The state of the empty prefix.
  package init(_ grammar: Grammar) {
    self.grammar = grammar
    scale = Scale(grammar)
    tries = (1...grammar.depth).map { LevelTrie(grammar, level: $0) }
    var nodeOffsets: [Int] = []
    var nodes = 0
    for trie in tries {
      nodeOffsets.append(nodes)
      nodes += trie.count
    }
    var symbolOffsets: [Int] = []
    var symbols = 0
    for level in grammar.levels {
      symbolOffsets.append(symbols)
      symbols += level.count
    }
    self.nodeOffsets = nodeOffsets
    self.symbolOffsets = symbolOffsets
    nodeCount = nodes
    symbolCount = symbols
    finals = tries.map { trie in
      var finals = [[(node: Int, probability: Double)]](repeating: [], count: trie.width)
      for (index, node) in trie.nodes.enumerated() {
        for completion in trie.completions[node.completions] {
          finals[completion.symbol].append((index, completion.probability))
        }
      }
      return finals
    }
    begin()
  }

  private mutating func begin() {
    marks.append(0)
    appendEmptyPosition()
    predicted[symbolOffsets[grammar.depth]] = 1
    predict()
    ends.append(0)
    totals.append(nextJoint().reduce(0, +))
  }

  // MARK: The state

  /// Number of symbols of the prefix.
  package var count: Int { marks.count - 1 }

  /// Whether the prefix begins a sentence, or is one: P(prefix) > 0.
  package var isViable: Bool { totals[count] > 0 }

  /// log2 P(the sentence begins with the prefix); −∞ if none does.
  package var log2PrefixProbability: Double {
    isViable ? log2(totals[count]) - Double(scale.exponent(count)) : -.infinity
  }

  /// log2 P(the sentence is the prefix); −∞ if it is not in the language.
  package var log2SentenceProbability: Double {
    ends[count] > 0 ? log2(ends[count]) - Double(scale.exponent(count)) : -.infinity
  }

  /// P(the next symbol is `terminal` | prefix), nil if the prefix has probability 0.
  package func probability(ofNext terminal: UInt8) -> Double? {
    guard isViable else { return nil }
    guard terminal >= 1, Int(terminal) <= grammar.terminalCount else { return 0 }
    return predicted[count * symbolCount + Int(terminal) - 1] / totals[count]
  }

  /// P(the sentence ends here | prefix), nil if the prefix has probability 0.
  package var endProbability: Double? {
    isViable ? ends[count] / totals[count] : nil
  }

  /// P(next | prefix) for the terminals 1...A and then the end, nil if the prefix has probability 0.
  /// Sums to 1.
  package var distribution: [Double]? {
    guard isViable else { return nil }
    return nextJoint().map { $0 / totals[count] } + [ends[count] / totals[count]]
  }

  private func nextJoint() -> ArraySlice<Double> {
    let base = (marks.count - 1) * symbolCount
    return predicted[base..<base + grammar.terminalCount]
  }

  // MARK: Moving

  /// Appends `symbol` to the prefix; any byte may be appended. Returns whether the prefix is viable.
  @discardableResult
  package mutating func extend(_ symbol: UInt8) -> Bool {
    let probability = probability(ofNext: symbol) ?? 0
    marks.append(items.count)
    appendEmptyPosition()
    guard probability > 0 else {
      ends.append(0)
      totals.append(0)
      return false
    }
    completeTerminal(Int(symbol) - 1)
    for level in 1...grammar.depth {
      makeItems(level)
      complete(level)
    }
    ends.append(upper.spans.first?.value ?? 0)
    predict()
    totals.append(nextJoint().reduce(0, +) + (ends.last ?? 0))
    return isViable
  }

  /// Undoes the last `extend`.
  /// - Precondition: the prefix is not empty.
  package mutating func retract() {
    precondition(count > 0, "the empty prefix has nothing to retract")
    let mark = marks.removeLast()
    items.removeLast(items.count - mark)
    itemStarts.removeLast(nodeCount)
    itemEnds.removeLast(nodeCount)
    predicted.removeLast(symbolCount)
    passing.removeLast(nodeCount)
    ends.removeLast()
    totals.removeLast()
  }

  /// Undoes as many `extend`s as needed to leave a prefix of `count` symbols.
  package mutating func retract(to count: Int) {
    while self.count > count { retract() }
  }

  private mutating func appendEmptyPosition() {
    for _ in 0..<nodeCount {
      itemStarts.append(0)
      itemEnds.append(0)
      passing.append(0)
    }
    for _ in 0..<symbolCount { predicted.append(0) }
  }

  // MARK: Completing upward

  /// The newest symbol is a span of level 0.
  private mutating func completeTerminal(_ local: Int) {
    upper.spans.removeAll(keepingCapacity: true)
    upper.starts.removeAll(keepingCapacity: true)
    for symbol in 0...grammar.terminalCount { upper.starts.append(symbol > local ? 1 : 0) }
    upper.spans.append(Item(origin: Int32(count - 1), value: scale.factor(at: count - 1)))
  }

  /// Makes the items of `level` that end at the newest position from the spans of the level below.
  private mutating func makeItems(_ level: Int) {
    swap(&lower, &upper)
    if slots.count <= count { slots += [Int32](repeating: 0, count: count + 256) }
    let offset = nodeOffsets[level - 1]
    let trie = tries[level - 1]
    let newest = count * nodeCount + offset
    for symbol in 0..<trie.lowerWidth {
      let spans = lower.starts[symbol]..<lower.starts[symbol + 1]
      if spans.isEmpty { continue }
      for node in trie.reached(by: symbol) {
        let first = items.count
        itemStarts[newest + node] = Int32(first)
        let parent = trie.nodes[node].parent
        for index in spans {
          let span = lower.spans[index]
          if parent == 0 {
            if passing[Int(span.origin) * nodeCount + offset + node] > 0 { items.append(span) }
            continue
          }
          let row = Int(span.origin) * nodeCount + offset + parent
          for place in Int(itemStarts[row])..<Int(itemEnds[row]) {
            let item = items[place]
            if passing[Int(item.origin) * nodeCount + offset + node] > 0 {
              append(Item(origin: item.origin, value: item.value * span.value), first)
            }
          }
        }
        itemEnds[newest + node] = Int32(items.count)
      }
    }
  }

  /// Appends an item to the group that begins at `first`, or adds it to the one of the same origin.
  private mutating func append(_ item: Item, _ first: Int) {
    let slot = Int(slots[Int(item.origin)])
    if slot >= first, slot < items.count, items[slot].origin == item.origin {
      items[slot].value += item.value
    } else {
      slots[Int(item.origin)] = Int32(items.count)
      items.append(item)
    }
  }

  /// Collects the symbols of `level` that end at the newest position.
  private mutating func complete(_ level: Int) {
    upper.spans.removeAll(keepingCapacity: true)
    upper.starts.removeAll(keepingCapacity: true)
    upper.starts.append(0)
    let newest = count * nodeCount + nodeOffsets[level - 1]
    for (symbol, nodes) in finals[level - 1].enumerated() {
      let first = upper.spans.count
      for (node, probability) in nodes {
        for place in Int(itemStarts[newest + node])..<Int(itemEnds[newest + node]) {
          let item = items[place]
          let origin = Int(item.origin)
          if predicted[origin * symbolCount + symbolOffsets[level] + symbol] == 0 { continue }
          let value = item.value * probability
          let slot = Int(slots[origin])
          if slot >= first, slot < upper.spans.count, upper.spans[slot].origin == item.origin {
            upper.spans[slot].value += value
          } else {
            slots[origin] = Int32(upper.spans.count)
            upper.spans.append(Item(origin: item.origin, value: value))
          }
        }
      }
      upper.starts.append(upper.spans.count)
    }
  }

  // MARK: Predicting downward

  /// Computes F of every level below the root's, and G, at the newest position.
  private mutating func predict() {
    let symbols = count * symbolCount
    for level in (1...grammar.depth).reversed() {
      let trie = tries[level - 1]
      let offset = nodeOffsets[level - 1]
      let newest = count * nodeCount + offset
      let below = symbols + symbolOffsets[level - 1]
      for symbol in 0..<trie.width {
        let forward = predicted[symbols + symbolOffsets[level] + symbol]
        if forward == 0 { continue }
        for (node, probability) in trie.passes[symbol] {
          passing[newest + node] += forward * probability
          if trie.nodes[node].depth == 1 {
            predicted[below + trie.nodes[node].symbol] += forward * probability
          }
        }
      }
      for node in 1..<trie.count where !trie.nodes[node].isLeaf {
        for place in Int(itemStarts[newest + node])..<Int(itemEnds[newest + node]) {
          let item = items[place]
          let origin = Int(item.origin) * nodeCount + offset
          for symbol in 0..<trie.lowerWidth {
            let child = Int(trie.children[node * trie.lowerWidth + symbol])
            if child > 0 { predicted[below + symbol] += item.value * passing[origin + child] }
          }
        }
      }
    }
  }
}

// MARK: - All prefixes of a string

/// The distributions of the next symbol after every prefix of a string.
package struct PrefixDistributions: Sendable {
  /// A + 1: the terminals 1...A, then the end.
  package let classes: Int
  /// Number of prefixes, from the empty one on, that have a positive probability; the longer ones have
  /// none and no distribution.
  package let viableCount: Int
  /// (viableCount, classes), row after row.
  package let values: [Double]
  /// log2 P(the sentence begins with the prefix) of each viable prefix.
  package let log2PrefixProbabilities: [Double]

  /// P(next | first `k` symbols), nil if those have probability 0.
  package subscript(k: Int) -> ArraySlice<Double>? {
    k < viableCount ? values[k * classes..<(k + 1) * classes] : nil
  }
}

extension PrefixParser {
  /// The distributions after all prefixes of `s`, from the empty one to `s` itself. Leaves the state
  /// at the empty prefix.
  package mutating func distributions(of s: Span<UInt8>) -> PrefixDistributions {
    retract(to: 0)
    var values: [Double] = []
    var prefixes: [Double] = []
    values.reserveCapacity((s.count + 1) * (grammar.terminalCount + 1))
    prefixes.reserveCapacity(s.count + 1)
    var position = 0
    while let row = distribution {
      values += row
      prefixes.append(log2PrefixProbability)
      if position == s.count { break }
      extend(s[position])
      position += 1
    }
    retract(to: 0)
    return PrefixDistributions(
      classes: grammar.terminalCount + 1, viableCount: prefixes.count, values: values,
      log2PrefixProbabilities: prefixes)
  }

  /// The distributions after all prefixes of `s`.
  package mutating func distributions(of s: [UInt8]) -> PrefixDistributions {
    distributions(of: s.span)
  }
}
