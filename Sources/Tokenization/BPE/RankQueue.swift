/// A priority queue of (rule, position): lowest rank first, then lowest position.
///
/// Every rank has a list of its positions, which mostly arrive in order, and a binary heap holds the
/// ranks with a list: repeated text has few distinct ranks, so nearly every push is one append.
struct RankQueue: ~Copyable {
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
  private let lists: UnsafeMutablePointer<List>
  private var nodes: UnsafeMutablePointer<Node>
  private var nodeCapacity = 1 << 10
  private var nodeCount = 0
  private var freeNode = none
  /// Ranks whose list is not empty, as a binary heap.
  private var heap: [UInt32] = []

  init(rankCount: Int) {
    lists = .allocate(capacity: rankCount)
    lists.initialize(
      repeating: List(rule: 0, head: Self.none, tail: Self.none, isSorted: true), count: rankCount)
    nodes = .allocate(capacity: nodeCapacity)
  }

  deinit {
    lists.deallocate()
    nodes.deallocate()
  }

  /// Adds a position; `PairTable.absent` is ignored.
  @inline(__always)
  mutating func push(_ rule: UInt64, at position: Int) {
    if rule == PairTable.absent { return }
    let list = lists + Int(truncatingIfNeeded: rule >> 32)
    var node = freeNode
    if node >= 0 {
      freeNode = nodes[Int(node)].next
    } else {
      if nodeCount == nodeCapacity { grow() }
      node = Int32(truncatingIfNeeded: nodeCount)
      nodeCount &+= 1
    }
    nodes[Int(node)] = Node(position: UInt32(truncatingIfNeeded: position), next: Self.none)
    let tail = Int(list.pointee.tail)
    list.pointee.tail = node
    if tail >= 0 {
      nodes[tail].next = node
      if nodes[tail].position > nodes[Int(node)].position { list.pointee.isSorted = false }
    } else {
      list.pointee.head = node
      list.pointee.rule = rule
      list.pointee.isSorted = true
      open(UInt32(truncatingIfNeeded: rule >> 32))
    }
  }

  /// Removes and returns the first entry; nil when there is none.
  @inline(__always)
  mutating func popFirst() -> (rule: UInt64, position: Int)? {
    guard let rank = heap.first else { return nil }
    let list = lists + Int(rank)
    if !list.pointee.isSorted { sort(list) }
    let head = list.pointee.head
    let node = nodes[Int(head)]
    nodes[Int(head)].next = freeNode
    freeNode = head
    list.pointee.head = node.next
    if node.next == Self.none {
      list.pointee.tail = Self.none
      closeFirst()
    }
    return (list.pointee.rule, Int(node.position))
  }

  @inline(never)
  private mutating func grow() {
    precondition(nodeCapacity <= Int(Int32.max) / 2, "a pretoken of over a thousand million bytes")
    let larger = UnsafeMutablePointer<Node>.allocate(capacity: nodeCapacity * 2)
    larger.update(from: nodes, count: nodeCount)
    nodes.deallocate()
    nodes = larger
    nodeCapacity *= 2
  }

  @inline(never)
  private func sort(_ list: UnsafeMutablePointer<List>) {
    var order: [Int32] = []
    var node = list.pointee.head
    while node != Self.none {
      order.append(node)
      node = nodes[Int(node)].next
    }
    let positions = order.map { nodes[Int($0)].position }.sorted()
    for (node, position) in zip(order, positions) { nodes[Int(node)].position = position }
    list.pointee.isSorted = true
  }

  @inline(never)
  private mutating func open(_ rank: UInt32) {
    heap.append(rank)
    var child = heap.count - 1
    while child > 0, heap[(child - 1) / 2] > heap[child] {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  @inline(never)
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
