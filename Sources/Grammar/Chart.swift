/// The spans of a string that symbols of the grammar derive, level by level, with a semiring value
/// each.
///
/// A row of level l holds the spans of level l that start at one position. Strict layers make a row of
/// level l depend on rows of level l − 1 only: from a start, the level's trie is walked over the lower
/// rows. Rows are short (a cfg3f sentence of 250 symbols has about 270 spans in all), so the work is
/// close to linear in the string; for a string on which everything is ambiguous it is
/// O(length · widest span²) a level.
///
/// Sums run in the order of discovery, which depends on the grammar and the string alone.
struct Chart<Value: Semiring>: Sendable {
  private struct Item {
    var symbol: Int32
    var end: Int32
    var value: Value
  }

  private struct Partial {
    var node: Int32
    var end: Int32
    var value: Value
  }

  private var rows: [[Item]]
  /// `rowStarts[level][position]`: where the row begins in `rows[level]`; one more for the end.
  private var rowStarts: [[Int32]]
  private var work = Work()

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
    rowStarts[0].removeAll(keepingCapacity: true)
    for i in 0...(n + 1) { rowStarts[0].append(Int32(min(i, n))) }
    for level in 1...tries.count {
      fill(level, length: n, trie: tries[level - 1], starts: level == tries.count ? 1 : n)
      if rowStarts[level][1] == 0 { return nil }
    }
    return rows[tries.count].first { Int($0.end) == n }?.value
  }

  /// Computes the rows of `level` that start before `starts`; later rows are empty.
  private mutating func fill(_ level: Int, length n: Int, trie: LevelTrie, starts: Int) {
    work.upper = rows[level]
    rows[level] = []
    work.reset(length: n, trie: trie)
    rowStarts[level].removeAll(keepingCapacity: true)
    for start in 0..<starts {
      rowStarts[level].append(Int32(work.upper.count))
      work.fillRow(start, lower: rows[level - 1], lowerStarts: rowStarts[level - 1], trie: trie)
    }
    for _ in starts...(n + 1) { rowStarts[level].append(Int32(work.upper.count)) }
    rows[level] = work.upper
    work.upper = []
  }

  /// The rows of one level while they are made.
  private struct Work: Sendable {
    var upper: [Item] = []
    private var partials: [Partial] = []
    /// Where the item (symbol, end), or the partial (node, end), of the row in work stands. Entries
    /// of earlier rows are recognised as stale, so nothing is cleared.
    private var itemSlots: [Int32] = []
    private var partialSlots: [Int32] = []
    private var positions = 0
    private var rowStart = 0

    mutating func reset(length n: Int, trie: LevelTrie) {
      upper.removeAll(keepingCapacity: true)
      positions = n + 1
      let (items, partials) = (trie.width * positions, trie.count * positions)
      if itemSlots.count < items {
        itemSlots += [Int32](repeating: 0, count: items - itemSlots.count)
      }
      if partialSlots.count < partials {
        partialSlots += [Int32](repeating: 0, count: partials - partialSlots.count)
      }
    }

    mutating func fillRow(_ start: Int, lower: [Item], lowerStarts: [Int32], trie: LevelTrie) {
      rowStart = upper.count
      partials.removeAll(keepingCapacity: true)
      for index in Int(lowerStarts[start])..<Int(lowerStarts[start + 1]) {
        let item = lower[index]
        let child = Int(trie.children[Int(item.symbol)])
        if child >= 0 { reach(child, item.end, item.value, trie) }
      }
      var next = 0
      while next < partials.count {
        let partial = partials[next]
        next += 1
        let base = Int(partial.node) * trie.lowerWidth
        let position = Int(partial.end)
        for index in Int(lowerStarts[position])..<Int(lowerStarts[position + 1]) {
          let item = lower[index]
          let child = Int(trie.children[base + Int(item.symbol)])
          if child >= 0 { reach(child, item.end, partial.value * item.value, trie) }
        }
      }
    }

    /// Records that the walk came to `node` at position `end` with `value`.
    @inline(__always)
    private mutating func reach(_ node: Int, _ end: Int32, _ value: Value, _ trie: LevelTrie) {
      let reached = trie.nodes[node]
      for index in reached.completions {
        complete(trie.completions[index], end, value)
      }
      if reached.isLeaf || Int(end) == positions - 1 { return }
      if reached.depth > 1 {
        let slot = node * positions + Int(end)
        let place = Int(partialSlots[slot])
        if place < partials.count, partials[place].end == end, Int(partials[place].node) == node {
          partials[place].value = partials[place].value + value
          return
        }
        partialSlots[slot] = Int32(partials.count)
      }
      partials.append(Partial(node: Int32(node), end: end, value: value))
    }

    @inline(__always)
    private mutating func complete(
      _ completion: LevelTrie.Completion, _ end: Int32, _ value: Value
    ) {
      let completed = value.completed(by: completion)
      let slot = completion.symbol * positions + Int(end)
      let place = Int(itemSlots[slot])
      if place >= rowStart, place < upper.count, upper[place].end == end,
        Int(upper[place].symbol) == completion.symbol
      {
        upper[place].value = upper[place].value + completed
        return
      }
      itemSlots[slot] = Int32(upper.count)
      upper.append(Item(symbol: Int32(completion.symbol), end: end, value: completed))
    }
  }
}
