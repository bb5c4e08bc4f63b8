extension Communicator {
  /// Those of `count` items that this rank takes, where they are dealt out one by one: item i to rank i mod R.
  package func dealt(_ count: Int) -> StrideTo<Int> { stride(from: rank, to: count, by: size) }

  /// What the ranks found of items that were dealt out, to be taken in the order of all items.
  ///
  /// - Parameter own: elements of this rank's items, in their order, any number of each.
  /// - Returns: those of all on rank 0, nil on the others.
  package func gatherDealt<Element: BitwiseCopyable>(
    _ own: [Element]
  ) throws -> DealtItems<Element>? {
    let come = try gather(own)
    return decides ? DealtItems(rests: come.map { $0[...] }) : nil
  }
}

/// Elements of items that were dealt out to ranks, by rank.
package struct DealtItems<Element> {
  fileprivate var rests: [ArraySlice<Element>]

  /// The next elements of an item; items are asked for in their order.
  package mutating func take(_ count: Int, of item: Int) -> ArraySlice<Element> {
    let rank = item % rests.count
    defer { rests[rank] = rests[rank].dropFirst(count) }
    return rests[rank].prefix(count)
  }
}
