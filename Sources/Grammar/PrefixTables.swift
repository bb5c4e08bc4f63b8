/// The tries of all levels in one numbering, for `PrefixParser`: symbols from the terminals up (the
/// root is the last), and the nodes of all tries without their roots, those reached by one symbol
/// together.
struct PrefixTables: Sendable {
  struct Node: Sendable {
    /// The symbol that leads here.
    let symbol: Int32
    /// −1 for a node of depth 1.
    let parent: Int32
    /// The node's children, as a range of `children`.
    let childStart: Int32
    let childEnd: Int32
  }

  /// An alternative of a symbol that ends in, or passes, a node.
  struct Entry: Sendable {
    let node: Int32
    let probability: Double
  }

  let symbols: Int
  let nodes: Int
  let nodeTable: [Node]
  let children: [Int32]
  /// The nodes reached by symbol x are `reachedStarts[x]..<reachedStarts[x + 1]`.
  let reachedStarts: [Int32]
  /// Where alternatives of symbol x end: `finals[finalStarts[x]..<finalStarts[x + 1]]`.
  let finals: [Entry]
  let finalStarts: [Int32]
  /// Nodes that alternatives of symbol x pass or end in, with their probability.
  let passes: [Entry]
  let passStarts: [Int32]

  init(_ grammar: Grammar) {
    var nodeTable: [Node] = []
    var children: [Int32] = []
    var reachedStarts: [Int32] = []
    var finals: [Entry] = []
    var passes: [Entry] = []
    var finalStarts = [Int32](repeating: 0, count: grammar.terminalCount + 1)
    var passStarts = finalStarts
    var symbolOffset = 0
    for level in 1...grammar.depth {
      let trie = LevelTrie(grammar, level: level)
      // Node 0 of a trie is its root, which is left out.
      let offset = nodeTable.count - 1
      for symbol in 0..<trie.lowerWidth {
        reachedStarts.append(Int32(trie.reached(by: symbol).lowerBound + offset))
      }
      for (index, node) in trie.nodes.enumerated().dropFirst() {
        let start = children.count
        for symbol in 0..<trie.lowerWidth {
          let child = trie.children[index * trie.lowerWidth + symbol]
          if child >= 0 { children.append(child + Int32(offset)) }
        }
        nodeTable.append(
          Node(
            symbol: node.symbol + Int32(symbolOffset),
            parent: node.parent == 0 ? -1 : node.parent + Int32(offset),
            childStart: Int32(start), childEnd: Int32(children.count)))
      }
      for symbol in 0..<trie.width {
        for (index, node) in trie.nodes.enumerated() {
          for completion in trie.completions[node.completions] where completion.symbol == symbol {
            finals.append(
              Entry(node: Int32(index + offset), probability: completion.probability))
          }
        }
        finalStarts.append(Int32(finals.count))
        passes += trie.passes[symbol].map {
          Entry(node: Int32($0.node + offset), probability: $0.probability)
        }
        passStarts.append(Int32(passes.count))
      }
      symbolOffset += trie.lowerWidth
    }
    // The root reaches no node.
    reachedStarts += [Int32(nodeTable.count), Int32(nodeTable.count)]
    symbols = symbolOffset + 1
    nodes = nodeTable.count
    self.nodeTable = nodeTable
    self.children = children
    self.reachedStarts = reachedStarts
    self.finals = finals
    self.finalStarts = finalStarts
    self.passes = passes
    self.passStarts = passStarts
  }
}
