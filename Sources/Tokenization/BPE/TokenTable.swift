/// The byte strings of a vocabulary: id to bytes and, hashed, bytes to id.
///
/// Ids may have holes (`bytes(of:)` is then empty). Immutable once built, so any thread may read it.
package struct TokenTable: Sendable {
  private var bytes: [UInt8] = []
  private var starts: [Int] = [0]
  private var slots: [UInt32] = []
  private var mask = 0

  /// One more than the largest id.
  package var count: Int { starts.count - 1 }

  private static let empty = UInt32.max

  /// Tokens by id; nil is a hole. Precondition: no two tokens have equal bytes.
  package init(_ tokens: [[UInt8]?]) {
    bytes.reserveCapacity(tokens.count * 8)
    starts.reserveCapacity(tokens.count + 1)
    var capacity = 16
    while capacity < tokens.count * 2 { capacity *= 2 }
    slots = [UInt32](repeating: Self.empty, count: capacity)
    mask = capacity - 1
    for (id, token) in tokens.enumerated() {
      bytes.append(contentsOf: token ?? [])
      starts.append(bytes.count)
      guard let token else { continue }
      token.withUnsafeBufferPointer { token in
        guard let base = token.baseAddress else { return }
        var slot = Int(truncatingIfNeeded: Mixing.hash(base, token.count)) & mask
        while slots[slot] != Self.empty { slot = (slot + 1) & mask }
        slots[slot] = UInt32(id)
      }
    }
  }

  package func length(of id: UInt32) -> Int { starts[Int(id) + 1] - starts[Int(id)] }

  package func bytes(of id: UInt32) -> ArraySlice<UInt8> {
    bytes[starts[Int(id)]..<starts[Int(id) + 1]]
  }

  /// Id of the token with these bytes.
  func id(_ key: UnsafePointer<UInt8>, _ count: Int) -> UInt32? {
    if count == 0 { return nil }
    var slot = Int(truncatingIfNeeded: Mixing.hash(key, count)) & mask
    return bytes.withUnsafeBufferPointer { bytes in
      while slots[slot] != Self.empty {
        let id = slots[slot]
        let start = starts[Int(id)]
        if starts[Int(id) + 1] - start == count {
          var same = 0
          while same < count && bytes[start + same] == key[same] { same += 1 }
          if same == count { return id }
        }
        slot = (slot + 1) & mask
      }
      return nil
    }
  }

  package func id(of token: some Sequence<UInt8>) -> UInt32? {
    Array(token).withUnsafeBufferPointer { key in key.baseAddress.flatMap { id($0, key.count) } }
  }
}
