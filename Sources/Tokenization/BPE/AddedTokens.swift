import CTokenization

/// A token that is found in the text before it is cut into pretokens.
package struct AddedToken: Equatable, Sendable {
  package var id: UInt32
  package var content: [UInt8]
  /// A mark such as `<|endoftext|>`, which ordinary text may be asked not to produce.
  package var special: Bool
  /// Looked for in the normalized text instead of the raw text.
  package var normalized: Bool

  package init(id: UInt32, content: [UInt8], special: Bool, normalized: Bool = false) {
    self.id = id
    self.content = content
    self.special = special
    self.normalized = normalized
  }
}

/// Finds added tokens: the leftmost occurrence, and the longest token of those that start there.
struct AddedTokenMatcher: Sendable {
  private struct Prefix: Sendable {
    var first: UInt8
    var second: UInt8
    /// Longest first.
    var tokens: [AddedToken]
  }

  private var prefixes: [Prefix] = []
  private var singles: [AddedToken] = []

  /// Precondition: no token is empty.
  init(_ tokens: [AddedToken]) {
    for token in tokens.sorted(by: { $0.content.count > $1.content.count }) {
      if token.content.count == 1 {
        singles.append(token)
      } else if let index = prefixes.firstIndex(where: {
        $0.first == token.content[0] && $0.second == token.content[1]
      }) {
        prefixes[index].tokens.append(token)
      } else {
        prefixes.append(
          Prefix(first: token.content[0], second: token.content[1], tokens: [token]))
      }
    }
  }

  var isEmpty: Bool { prefixes.isEmpty && singles.isEmpty }

  /// The first occurrence in `start..<end`: its place and the token.
  func next(_ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> (Range<Int>, UInt32)? {
    if isEmpty { return nil }
    var at = start
    while at < end {
      var candidates = UInt64.max
      if singles.isEmpty && at + 65 <= end {
        candidates = 0
        for prefix in prefixes {
          candidates |= scan_pair(bytes + at, prefix.first, prefix.second)
        }
      }
      while candidates != 0 {
        let position = at + candidates.trailingZeroBitCount
        if position >= end { return nil }
        candidates &= candidates - 1
        if let token = longest(bytes, position, end) {
          return (position..<position + token.content.count, token.id)
        }
      }
      at += 64
    }
    return nil
  }

  private func longest(_ bytes: UnsafePointer<UInt8>, _ position: Int, _ end: Int) -> AddedToken? {
    if position + 1 < end {
      for prefix in prefixes
      where prefix.first == bytes[position] && prefix.second == bytes[position + 1] {
        for token in prefix.tokens where matches(token, bytes, position, end) { return token }
      }
    }
    return singles.first { $0.content[0] == bytes[position] }
  }

  private func matches(
    _ token: AddedToken, _ bytes: UnsafePointer<UInt8>, _ position: Int, _ end: Int
  ) -> Bool {
    if position + token.content.count > end { return false }
    for (index, byte) in token.content.enumerated() where bytes[position + index] != byte {
      return false
    }
    return true
  }
}
