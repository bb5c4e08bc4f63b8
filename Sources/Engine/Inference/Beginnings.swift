/// The first rows that sequences have in common, each computed once: a tree whose nodes hold what one
/// row behind its parent's left in the caches of all layers, and its log-probabilities.
///
/// Sequences walk down from the root with their inputs. A node is added when the sequence at its
/// parent is not the only one that came so far, until there is no more room. Since the bits of a row
/// depend on the rows before it in its sequence alone, a sequence that reads them here has the bits
/// of one that computes them.
struct Beginnings: ~Copyable {
  /// The number of the node of the empty sequence.
  static let root: Int32 = 0
  /// No node: the sequence has left the tree.
  static let none: Int32 = -1

  /// Nodes beside the root that there is room for.
  let capacity: Int
  /// Floats of the caches that a node holds, and of its log-probabilities.
  private let cached, labels: Int
  /// (capacity, cached + labels).
  private let memory: FloatBuffer
  private var nodes: [Node] = []
  /// (nodes, inputs of a row).
  private var inputs: [Int32] = []

  private struct Node {
    let parent: Int32
    /// Rows of the sequences that stand here.
    let depth: Int32
    /// Sequences that came here.
    var visits: Int32 = 0
    var firstChild = Beginnings.none
    var sibling = Beginnings.none
  }

  init(capacity: Int, cached: Int, labels: Int) {
    (self.capacity, self.cached, self.labels) = (capacity, cached, labels)
    memory = FloatBuffer(count: capacity * (cached + labels))
    nodes.reserveCapacity(capacity + 1)
    removeAll()
  }

  /// Forgets all nodes, as other weights demand.
  mutating func removeAll() {
    nodes.removeAll(keepingCapacity: true)
    inputs.removeAll(keepingCapacity: true)
    nodes.append(Node(parent: Self.none, depth: 0))
  }

  /// Lets `sequences` begin; where they stand from now on.
  mutating func begin(_ sequences: Int) -> Int32 {
    nodes[0].visits += Int32(sequences)
    return capacity == 0 ? Self.none : Self.root
  }

  func depth(of node: Int32) -> Int { Int(nodes[Int(node)].depth) }
  func parent(of node: Int32) -> Int32 { nodes[Int(node)].parent }

  /// Lets a sequence at `node` go on with a row of inputs.
  ///
  /// - Returns: where it stands then, and whether that node is new, so that the caller computes the
  ///   row and fills the node; `none` when it has left the tree.
  mutating func advance(
    from node: Int32, _ row: UnsafeBufferPointer<Int32>
  ) -> (node: Int32, isNew: Bool) {
    var child = nodes[Int(node)].firstChild
    while child != Self.none {
      let first = (Int(child) - 1) * row.count
      if row.indices.allSatisfy({ inputs[first + $0] == row[$0] }) {
        nodes[Int(child)].visits += 1
        return (child, false)
      }
      child = nodes[Int(child)].sibling
    }
    if nodes[Int(node)].visits < 2 || nodes.count > capacity { return (Self.none, false) }
    let new = Int32(nodes.count)
    nodes.append(
      Node(
        parent: node, depth: nodes[Int(node)].depth + 1, visits: 1,
        sibling: nodes[Int(node)].firstChild))
    nodes[Int(node)].firstChild = new
    inputs.append(contentsOf: row)
    return (new, true)
  }

  /// What the row of a node other than the root left in the caches.
  func caches(of node: Int32) -> UnsafeMutableBufferPointer<Float> {
    UnsafeMutableBufferPointer(start: start(of: node), count: cached)
  }

  /// The log-probabilities of a node other than the root.
  func logProbabilities(of node: Int32) -> UnsafeMutableBufferPointer<Float> {
    UnsafeMutableBufferPointer(start: start(of: node) + cached, count: labels)
  }

  private func start(of node: Int32) -> UnsafeMutablePointer<Float> {
    precondition(node > Self.root && Int(node) <= capacity, "node \(node) of \(capacity)")
    return memory.base + (Int(node) - 1) * (cached + labels)
  }
}
