/// The spans of a string that symbols of the grammar derive, level by level, with a semiring value
/// each.
///
/// A row of level l holds the spans of level l that start at one position. Strict layers make a row of
/// level l depend on rows of level l − 1 only: from a start, the level's trie is walked over the lower
/// rows. And in a derivation the spans of each level tile the string, so a row is made only where
/// spans of its level lead to, and a level that does not lead to the end settles the matter. Rows of
/// ordinary sentences are short, so the work is close to linear in the string; for a string on which
/// everything is ambiguous it is O(length · widest span²) a level.
///
/// Sums run in the order of discovery, which depends on the grammar and the string alone.
struct Chart<Value: Semiring>: Sendable {
  private struct Item {
    var symbol: Int32 = 0
    var end: Int32 = 0
    var value = Value.one
  }

  private struct Partial {
    var node: Int32 = 0
    var end: Int32 = 0
    var value = Value.one
  }

  /// The spans of each level, row after row; entries beyond the last row are leftovers.
  private var rows: [[Item]]
  /// `rowStarts[level][position]`: where the row begins in `rows[level]`; two more for the end.
  private var rowStarts: [[Int32]]
  private var partials: [Partial] = []
  /// Where the item (symbol, end), or the partial (node, end), of the row in work stands. Entries of
  /// earlier rows are recognised as stale, so nothing is cleared.
  private var itemSlots: [Int32] = []
  private var partialSlots: [Int32] = []
  /// Whether spans of the level in work lead from the string's start to each position.
  private var reached: [Bool] = []

  init(levels: Int) {
    rows = Array(repeating: [], count: levels)
    rowStarts = Array(repeating: [], count: levels)
  }

  /// The value of the whole string `s` under the root, nil if the root does not derive it.
  /// - Parameters:
  ///   - tries: one a level, from level 1.
  ///   - factors: the scale of each position, at least as many as symbols.
  mutating func value(
    of s: Span<UInt8>, tries: [LevelTrie], terminalCount: Int, factors: [Double]
  ) -> Value? {
    let n = s.count
    rows[0].removeAll(keepingCapacity: true)
    for i in 0..<n {
      guard s[i] >= 1, Int(s[i]) <= terminalCount else { return nil }
      rows[0].append(
        Item(symbol: Int32(s[i]) - 1, end: Int32(i + 1), value: Value(terminal: factors[i])))
    }
    for level in rowStarts.indices where rowStarts[level].count < n + 2 {
      rowStarts[level] = [Int32](repeating: 0, count: n + 2)
    }
    for i in 0...(n + 1) { rowStarts[0][i] = Int32(min(i, n)) }
    for level in 1...tries.count {
      fill(level, length: n, trie: tries[level - 1], starts: level == tries.count ? 1 : n)
      if !reached[n] { return nil }
    }
    return rows[tries.count][..<Int(rowStarts[tries.count][1])].first { Int($0.end) == n }?.value
  }

  /// Computes the rows of `level` that start before `starts`; later rows are empty.
  private mutating func fill(_ level: Int, length n: Int, trie: LevelTrie, starts: Int) {
    let positions = n + 1
    Chart.grow(&partials, to: trie.count * positions, Partial())
    Chart.grow(&reached, to: positions, false)
    for position in 0...n { reached[position] = position == 0 }
    Chart.grow(&itemSlots, to: trie.width * positions, 0)
    Chart.grow(&partialSlots, to: trie.count * positions, 0)
    var upper = rows[level]
    var upperStarts = rowStarts[level]
    rows[level] = []
    rowStarts[level] = []
    let lower = rows[level - 1]
    let lowerStarts = rowStarts[level - 1]
    var count = 0
    for start in 0..<starts {
      upperStarts[start] = Int32(count)
      if !reached[start] || lowerStarts[start] == lowerStarts[start + 1] { continue }
      if upper.count < count + itemSlots.count {
        Chart.grow(&upper, to: 2 * upper.count + itemSlots.count, Item())
      }
      count = Chart.fillRow(
        start, &upper, from: count, &partials, &itemSlots, &partialSlots, positions: positions,
        lower: lower, lowerStarts: lowerStarts, trie: trie)
      for index in Int(upperStarts[start])..<count { reached[Int(upper[index].end)] = true }
    }
    for position in starts...positions { upperStarts[position] = Int32(count) }
    rows[level] = upper
    rowStarts[level] = upperStarts
  }

  /// Walks the trie from `start` over the lower rows; returns the number of items after the row.
  private static func fillRow(
    _ start: Int, _ itemArray: inout [Item], from rowStart: Int, _ partialArray: inout [Partial],
    _ itemSlotArray: inout [Int32], _ partialSlotArray: inout [Int32], positions: Int,
    lower lowerArray: [Item], lowerStarts lowerStartArray: [Int32], trie: LevelTrie
  ) -> Int {
    var items = itemArray.mutableSpan
    var partials = partialArray.mutableSpan
    var itemSlots = itemSlotArray.mutableSpan
    var partialSlots = partialSlotArray.mutableSpan
    let lower = lowerArray.span
    let lowerStarts = lowerStartArray.span
    let nodes = trie.nodes.span
    let completions = trie.completions.span
    let children = trie.children.span
    let width = trie.lowerWidth
    var count = rowStart
    partials[0] = Partial(node: 0, end: Int32(start), value: .one)
    var partialCount = 1
    var next = 0
    while next < partialCount {
      let partial = partials[next]
      next += 1
      for index in Int(lowerStarts[Int(partial.end)])..<Int(lowerStarts[Int(partial.end) + 1]) {
        let item = lower[index]
        let child = Int(children[Int(partial.node) * width + Int(item.symbol)])
        if child < 0 { continue }
        let value = partial.value * item.value
        let node = nodes[child]
        for c in node.completions {
          let completion = completions[c]
          let completed = value.completed(by: completion)
          let slot = completion.symbol * positions + Int(item.end)
          let place = Int(itemSlots[slot])
          if place >= rowStart, place < count, items[place].end == item.end,
            Int(items[place].symbol) == completion.symbol
          {
            items[place].value = items[place].value + completed
          } else {
            itemSlots[slot] = Int32(count)
            items[count] = Item(
              symbol: Int32(completion.symbol), end: item.end, value: completed)
            count += 1
          }
        }
        if node.isLeaf || Int(item.end) == positions - 1 { continue }
        if node.depth > 1 {
          let slot = child * positions + Int(item.end)
          let place = Int(partialSlots[slot])
          if place < partialCount, partials[place].end == item.end,
            Int(partials[place].node) == child
          {
            partials[place].value = partials[place].value + value
            continue
          }
          partialSlots[slot] = Int32(partialCount)
        }
        partials[partialCount] = Partial(node: Int32(child), end: item.end, value: value)
        partialCount += 1
      }
    }
    return count
  }

  private static func grow<Element>(_ array: inout [Element], to count: Int, _ element: Element) {
    if array.count < count { array += repeatElement(element, count: count - array.count) }
  }
}
