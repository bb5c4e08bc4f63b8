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
/// exactly and costs nothing. One step costs about the number of live items, a few dozen for cfg3f.
///
/// Source: Stolcke, "An efficient probabilistic context-free parsing algorithm that computes prefix
/// probabilities" (CL 1995), specialised to strict layers.
package struct PrefixParser: Sendable {
  package let grammar: Grammar
  private let scale: Scale
  private let tables: PrefixTables

  /// A symbol or a part of an alternative that began at `origin`.
  private struct Item: Sendable {
    var origin: Int32 = 0
    var value = 0.0
  }

  /// Number of symbols of the prefix.
  package private(set) var count = 0

  // Everything below is laid out position after position and grows in steps; what lies beyond the
  // newest position is left over from `retract`.

  /// The items of all positions; those of (position k, node v) are
  /// `items[itemStarts[k * nodes + v]..<itemEnds[k * nodes + v]]`.
  private var items: [Item] = []
  private var itemStarts: [Int32] = []
  private var itemEnds: [Int32] = []
  /// F for (position, symbol) and G for (position, node).
  private var predicted: [Double] = []
  private var passing: [Double] = []
  /// Joint probability of the prefix and the sentence's end, and of the prefix, both scaled.
  private var ends: [Double] = []
  private var totals: [Double] = []
  /// Number of items up to and with each position.
  private var itemCounts: [Int] = []

  /// Scratch: the spans of one symbol, the slot of each origin in the group in work, and the nodes
  /// that got items.
  private var spans: [Item] = []
  private var slots: [Int32] = []
  private var active: [Int32] = []

  /// The state of the empty prefix.
  package init(_ grammar: Grammar) {
    self.grammar = grammar
    scale = Scale(grammar)
    tables = PrefixTables(grammar)
    reserve(positions: min(grammar.lengthRange.upperBound, 255) + 1)
    predicted[tables.symbols - 1] = 1
    predict(activeCount: 0)
    ends[0] = 0
    totals[0] = jointOfTerminals
    itemCounts[0] = 0
  }

  // MARK: The state

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
    return predicted[count * tables.symbols + Int(terminal) - 1] / totals[count]
  }

  /// P(the sentence ends here | prefix), nil if the prefix has probability 0.
  package var endProbability: Double? {
    isViable ? ends[count] / totals[count] : nil
  }

  /// P(next | prefix) for the terminals 1...A and then the end, nil if the prefix has probability 0.
  /// Sums to 1.
  package var distribution: [Double]? {
    guard isViable else { return nil }
    var distribution: [Double] = []
    appendDistribution(to: &distribution)
    return distribution
  }

  /// Appends P(next | prefix), A + 1 numbers, to `distribution`; nothing if the prefix has
  /// probability 0.
  package func appendDistribution(to distribution: inout [Double]) {
    guard isViable else { return }
    let (base, total) = (count * tables.symbols, totals[count])
    for terminal in 0..<grammar.terminalCount {
      distribution.append(predicted[base + terminal] / total)
    }
    distribution.append(ends[count] / total)
  }

  private var jointOfTerminals: Double {
    let base = count * tables.symbols
    var sum = 0.0
    for terminal in 0..<grammar.terminalCount { sum += predicted[base + terminal] }
    return sum
  }

  // MARK: Moving

  /// Appends `symbol` to the prefix; any byte may be appended. Returns whether the prefix is viable.
  @discardableResult
  package mutating func extend(_ symbol: UInt8) -> Bool {
    let isPossible =
      symbol >= 1 && Int(symbol) <= grammar.terminalCount
      && predicted[count * tables.symbols + Int(symbol) - 1] > 0
    reserve(positions: count + 2)
    count += 1
    clear(position: count)
    itemCounts[count] = itemCounts[count - 1]
    guard isPossible else {
      ends[count] = 0
      totals[count] = 0
      return false
    }
    let activeCount = complete(Int(symbol) - 1)
    predict(activeCount: activeCount)
    totals[count] = jointOfTerminals + ends[count]
    return isViable
  }

  /// Undoes the last `extend`.
  /// - Precondition: the prefix is not empty.
  package mutating func retract() {
    precondition(count > 0, "the empty prefix has nothing to retract")
    count -= 1
  }

  /// Undoes as many `extend`s as needed to leave a prefix of `length` symbols.
  /// - Precondition: length ≤ count.
  package mutating func retract(to length: Int) {
    precondition((0...count).contains(length), "cannot retract \(count) symbols to \(length)")
    count = length
  }

  /// Makes room for `positions` positions and for all items that the last of them can have.
  private mutating func reserve(positions: Int) {
    if totals.count < positions {
      let more = max(positions, 2 * totals.count) - totals.count
      itemStarts += repeatElement(0, count: more * tables.nodes)
      itemEnds += repeatElement(0, count: more * tables.nodes)
      predicted += repeatElement(0, count: more * tables.symbols)
      passing += repeatElement(0, count: more * tables.nodes)
      ends += repeatElement(0, count: more)
      totals += repeatElement(0, count: more)
      itemCounts += repeatElement(0, count: more)
      spans += repeatElement(Item(), count: more)
      slots += repeatElement(0, count: more)
      if active.isEmpty { active = [Int32](repeating: 0, count: tables.nodes) }
    }
    let needed = itemCounts[count] + tables.nodes * positions
    if items.count < needed {
      items += repeatElement(Item(), count: max(needed, 2 * items.count) - items.count)
    }
  }

  private mutating func clear(position: Int) {
    func zero<Number: Numeric>(_ array: inout [Number], _ width: Int) {
      var span = array.mutableSpan
      for i in position * width..<(position + 1) * width { span[i] = 0 }
    }
    zero(&itemStarts, tables.nodes)
    zero(&itemEnds, tables.nodes)
    zero(&passing, tables.nodes)
    zero(&predicted, tables.symbols)
  }

  // MARK: Completing upward

  private mutating func complete(_ terminal: Int) -> Int {
    let begin = Begin(
      terminal: terminal, count: count, itemCount: itemCounts[count],
      factor: scale.factor(at: count - 1))
    let end = PrefixParser.complete(
      begin, &items, &itemStarts, &itemEnds, &spans, &slots, &active, predicted: predicted,
      passing: passing, tables)
    itemCounts[count] = end.itemCount
    ends[count] = end.rootValue
    return end.activeCount
  }

  private struct Begin {
    /// Local index of the newest symbol.
    let terminal: Int
    let count: Int
    let itemCount: Int
    let factor: Double
  }

  /// For every symbol from the lowest level up, finds the spans of the symbol that end at the newest
  /// position, and makes the items that they extend. Returns the number of items, the number of nodes
  /// that have items to go on from (listed in `active`), and the value of the root's span or 0.
  private static func complete(
    _ begin: Begin, _ itemArray: inout [Item], _ itemStartArray: inout [Int32],
    _ itemEndArray: inout [Int32], _ spanArray: inout [Item], _ slotArray: inout [Int32],
    _ activeArray: inout [Int32], predicted predictedArray: [Double],
    passing passingArray: [Double], _ tables: PrefixTables
  ) -> (itemCount: Int, activeCount: Int, rootValue: Double) {
    let (symbols, nodes) = (tables.symbols, tables.nodes)
    let newest = begin.count * nodes
    let predicted = predictedArray.span
    let passing = passingArray.span
    var items = itemArray.mutableSpan
    var itemStarts = itemStartArray.mutableSpan
    var itemEnds = itemEndArray.mutableSpan
    var spans = spanArray.mutableSpan
    var slots = slotArray.mutableSpan
    var active = activeArray.mutableSpan
    let finals = tables.finals.span
    let finalStarts = tables.finalStarts.span
    let reachedStarts = tables.reachedStarts.span
    let nodeTable = tables.nodeTable.span
    var itemCount = begin.itemCount
    var activeCount = 0
    var spanCount = 0

    for symbol in 0..<symbols {
      spanCount = 0
      if symbol == begin.terminal {
        spans[0] = Item(origin: Int32(begin.count - 1), value: begin.factor)
        spanCount = 1
      }
      for f in Int(finalStarts[symbol])..<Int(finalStarts[symbol + 1]) {
        let final = finals[f]
        let row = newest + Int(final.node)
        for place in Int(itemStarts[row])..<Int(itemEnds[row]) {
          let item = items[place]
          let origin = Int(item.origin)
          if predicted[origin * symbols + symbol] == 0 { continue }
          let value = item.value * final.probability
          let slot = Int(slots[origin])
          if slot < spanCount, spans[slot].origin == item.origin {
            spans[slot].value += value
          } else {
            slots[origin] = Int32(spanCount)
            spans[spanCount] = Item(origin: item.origin, value: value)
            spanCount += 1
          }
        }
      }
      if spanCount == 0 { continue }
      for node in Int(reachedStarts[symbol])..<Int(reachedStarts[symbol + 1]) {
        let first = itemCount
        let entry = nodeTable[node]
        for s in 0..<spanCount {
          let span = spans[s]
          if entry.parent < 0 {
            if passing[Int(span.origin) * nodes + node] > 0 {
              items[itemCount] = span
              itemCount += 1
            }
            continue
          }
          let row = Int(span.origin) * nodes + Int(entry.parent)
          for place in Int(itemStarts[row])..<Int(itemEnds[row]) {
            let item = items[place]
            let origin = Int(item.origin)
            if passing[origin * nodes + node] == 0 { continue }
            let value = item.value * span.value
            let slot = Int(slots[origin])
            if slot >= first, slot < itemCount, items[slot].origin == item.origin {
              items[slot].value += value
            } else {
              slots[origin] = Int32(itemCount)
              items[itemCount] = Item(origin: item.origin, value: value)
              itemCount += 1
            }
          }
        }
        if itemCount == first { continue }
        itemStarts[newest + node] = Int32(first)
        itemEnds[newest + node] = Int32(itemCount)
        if entry.childStart < entry.childEnd {
          active[activeCount] = Int32(node)
          activeCount += 1
        }
      }
    }
    // The root is the last symbol, and only position 0 predicts it.
    return (itemCount, activeCount, spanCount > 0 ? spans[0].value : 0)
  }

  // MARK: Predicting downward

  /// Computes F of every symbol but the root, and G, at the newest position.
  private mutating func predict(activeCount: Int) {
    PrefixParser.predict(
      count, active: active[..<activeCount], items, itemStarts, itemEnds, &predicted, &passing,
      terminalCount: grammar.terminalCount, tables)
  }

  private static func predict(
    _ count: Int, active: ArraySlice<Int32>, _ itemArray: [Item], _ itemStartArray: [Int32],
    _ itemEndArray: [Int32], _ predictedArray: inout [Double], _ passingArray: inout [Double],
    terminalCount: Int, _ tables: PrefixTables
  ) {
    let nodes = tables.nodes
    let newest = count * nodes
    let base = count * tables.symbols
    let items = itemArray.span
    let itemStarts = itemStartArray.span
    let itemEnds = itemEndArray.span
    var predicted = predictedArray.mutableSpan
    var passing = passingArray.mutableSpan
    let nodeTable = tables.nodeTable.span
    let childTable = tables.children.span
    let passTable = tables.passes.span
    let passStarts = tables.passStarts.span

    for node in active.lazy.map(Int.init) {
      let entry = nodeTable[node]
      let places = Int(itemStarts[newest + node])..<Int(itemEnds[newest + node])
      for c in Int(entry.childStart)..<Int(entry.childEnd) {
        let child = Int(childTable[c])
        var sum = 0.0
        for place in places {
          sum += items[place].value * passing[Int(items[place].origin) * nodes + child]
        }
        predicted[base + Int(nodeTable[child].symbol)] += sum
      }
    }
    for symbol in (terminalCount..<tables.symbols).reversed() {
      let forward = predicted[base + symbol]
      if forward == 0 { continue }
      for p in Int(passStarts[symbol])..<Int(passStarts[symbol + 1]) {
        let pass = passTable[p]
        let share = forward * pass.probability
        passing[newest + Int(pass.node)] += share
        let entry = nodeTable[Int(pass.node)]
        if entry.parent < 0 { predicted[base + Int(entry.symbol)] += share }
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
    while isViable {
      appendDistribution(to: &values)
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
