/// A priority queue of (rule, position): lowest rank first, then lowest position.
///
/// Every rank has a list of its positions, which mostly arrive in order, and a binary heap holds the
/// ranks with a list: repeated text has few distinct ranks, so nearly every push is one append.
struct RankQueue {
  private struct Node {
    var position: UInt32
    var next: Int32
  }

  private struct List {
    var rule: UInt64
    var head: Int32
    var tail: Int32
    var isSorted: Bool
  }

  private static let none: Int32 = -1
  private var lists: [List]
  private var nodes: [Node] = []
  private var freeNode = none
  /// Ranks whose list is not empty, as a binary heap.
  private var heap: [UInt32] = []

  init(rankCount: Int) {
    lists = [List](
      repeating: List(rule: 0, head: Self.none, tail: Self.none, isSorted: true), count: rankCount)
  }

  /// Adds a position; `PairTable.absent` is ignored.
  @inline(__always)
  mutating func push(_ rule: UInt64, at position: Int) {
    if rule == PairTable.absent { return }
    let rank = Int(truncatingIfNeeded: rule >> 32)
    var node = freeNode
    let content = Node(position: UInt32(truncatingIfNeeded: position), next: Self.none)
    if node >= 0 {
      freeNode = nodes[Int(node)].next
      nodes[Int(node)] = content
    } else {
      node = Int32(nodes.count)
      nodes.append(content)
    }
    let tail = lists[rank].tail
    lists[rank].tail = node
    if tail >= 0 {
      nodes[Int(tail)].next = node
      if nodes[Int(tail)].position > content.position { lists[rank].isSorted = false }
    } else {
      lists[rank].head = node
      lists[rank].rule = rule
      open(UInt32(truncatingIfNeeded: rank))
    }
  }

  /// Removes and returns the first entry.
  @inline(__always)
  mutating func popFirst() -> (rule: UInt64, position: Int)? {
    guard let rank = heap.first else { return nil }
    if !lists[Int(rank)].isSorted { sort(Int(rank)) }
    let list = lists[Int(rank)]
    let node = nodes[Int(list.head)]
    nodes[Int(list.head)].next = freeNode
    freeNode = list.head
    lists[Int(rank)].head = node.next
    if node.next == Self.none {
      lists[Int(rank)].tail = Self.none
      closeFirst()
    }
    return (list.rule, Int(node.position))
  }

  private mutating func sort(_ rank: Int) {
    var order: [Int32] = []
    var node = lists[rank].head
    while node != Self.none {
      order.append(node)
      node = nodes[Int(node)].next
    }
    let positions = order.map { nodes[Int($0)].position }.sorted()
    for (node, position) in zip(order, positions) { nodes[Int(node)].position = position }
    lists[rank].isSorted = true
  }

  private mutating func open(_ rank: UInt32) {
    lists[Int(rank)].isSorted = true
    heap.append(rank)
    var child = heap.count - 1
    while child > 0, heap[(child - 1) / 2] > heap[child] {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  private mutating func closeFirst() {
    let last = heap.removeLast()
    if heap.isEmpty { return }
    heap[0] = last
    var parent = 0
    while true {
      var child = 2 * parent + 1
      if child >= heap.count { return }
      if child + 1 < heap.count && heap[child + 1] < heap[child] { child += 1 }
      if heap[parent] <= heap[child] { return }
      heap.swapAt(parent, child)
      parent = child
    }
  }
}
