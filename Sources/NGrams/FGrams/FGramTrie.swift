import Support

/// The tokens of a set of f-grams of lengths 2…K, as a tree: what an f-gram goes on to lies side by side,
/// by token. Numbers of one length are in the lexicographic order of tokens.
///
/// Content, little-endian, each array from a multiple of 64 bytes on, with zeros between:
///
///     counts   (K − 1) u64     f-grams of each length n = 2…K
///     then of each length
///     starts   (P + 1) u32     the first that goes on from each prefix, and the count; P is V for
///                              n = 2, else the count of length n − 1
///     tokens   (count) u32     the last token of each
///
/// So about 8 bytes an f-gram, in memory as in a file.
// Unchecked: written in `init` alone.
package final class FGramTrie: @unchecked Sendable {
  /// V.
  package let vocabulary: Int
  /// K.
  package let longest: Int
  /// Of length n at n − 2.
  package let counts: [Int]
  /// As it stands in a file.
  package let content: UnsafeRawBufferPointer
  private let levels: [(starts: UnsafePointer<UInt32>, tokens: UnsafePointer<UInt32>)]
  /// Keeps the content where it is; nil for memory of its own.
  private let owner: AnyObject?

  /// Of keys as `GramKey` makes them, ascending.
  init(vocabulary: Int, longest: Int, keys: [[UInt64]]) {
    precondition(keys.count == longest - 1, "keys of each length")
    self.vocabulary = vocabulary
    self.longest = longest
    counts = keys.map(\.count)
    let layout = Layout(vocabulary: vocabulary, counts: counts)
    let memory = LargeMemory.allocate(bytes: layout.bytes)
    memory.initializeMemory(as: UInt8.self, repeating: 0, count: layout.bytes)
    for (i, count) in counts.enumerated() {
      memory.storeBytes(of: UInt64(count).littleEndian, toByteOffset: 8 * i, as: UInt64.self)
    }
    for (keys, places) in zip(keys, layout.levels) {
      let starts = (memory + places.starts).bindMemory(
        to: UInt32.self, capacity: places.prefixes + 1)
      let tokens = (memory + places.tokens).bindMemory(to: UInt32.self, capacity: keys.count)
      var prefix = 0
      for (number, key) in keys.enumerated() {
        while prefix <= Int(GramKey.prefix(key)) {
          starts[prefix] = UInt32(number)
          prefix += 1
        }
        tokens[number] = GramKey.token(key)
      }
      for rest in prefix...places.prefixes { starts[rest] = UInt32(keys.count) }
    }
    content = UnsafeRawBufferPointer(start: memory, count: layout.bytes)
    levels = layout.pointers(into: content)
    owner = nil
  }

  /// Of content as it stands in a file, which `owner` keeps.
  ///
  /// - Throws: `UserError`, with what `fault` makes of what was expected and found, where it is no tree:
  ///   of another size, with tokens that are none, or keys out of order.
  package init(
    vocabulary: Int, longest: Int, content: UnsafeRawBufferPointer, owner: AnyObject,
    fault: (_ expected: String, _ found: String) -> UserError
  ) throws {
    self.vocabulary = vocabulary
    self.longest = longest
    self.content = content
    self.owner = owner
    guard content.count >= 8 * (longest - 1) else {
      throw fault("the counts of \(longest - 1) lengths", "\(content.count) bytes")
    }
    counts = try (0..<longest - 1).map { i in
      let count = UInt64(
        littleEndian: content.loadUnaligned(fromByteOffset: 8 * i, as: UInt64.self))
      guard count < UInt64(GramKey.none) else {
        throw fault("fewer than 2^32 - 1 f-grams of \(i + 2) tokens", "\(count)")
      }
      return Int(count)
    }
    let layout = Layout(vocabulary: vocabulary, counts: counts)
    guard layout.bytes == content.count else {
      throw fault("\(layout.bytes) bytes of keys", "\(content.count)")
    }
    levels = layout.pointers(into: content)
    try check(fault)
  }

  deinit {
    if owner == nil { UnsafeMutableRawPointer(mutating: content.baseAddress)?.deallocate() }
  }

  private func check(_ fault: (String, String) -> UserError) throws {
    for (i, level) in levels.enumerated() {
      let (count, prefixes) = (counts[i], i == 0 ? vocabulary : counts[i - 1])
      guard level.starts[0] == 0, level.starts[prefixes] == UInt32(count) else {
        throw fault("f-grams of \(i + 2) tokens from 0 to \(count)", "others")
      }
      for prefix in 0..<prefixes {
        let (start, end) = (Int(level.starts[prefix]), Int(level.starts[prefix + 1]))
        guard start <= end, end <= count else {
          throw fault(
            "keys in order", "f-grams of \(i + 2) tokens that begin at \(start), end at \(end)")
        }
        for number in start..<end {
          guard level.tokens[number] < UInt32(vocabulary),
            number == start || level.tokens[number - 1] < level.tokens[number]
          else {
            throw fault("keys in order", "f-gram \(number) of \(i + 2) tokens out of order")
          }
        }
      }
    }
  }

  /// Bytes of content.
  package static func bytes(vocabulary: Int, counts: [Int]) -> Int {
    Layout(vocabulary: vocabulary, counts: counts).bytes
  }

  private struct Layout {
    var levels: [(starts: Int, tokens: Int, prefixes: Int)] = []
    var bytes: Int

    init(vocabulary: Int, counts: [Int]) {
      func rounded(_ bytes: Int) -> Int { (bytes + 63) & ~63 }
      bytes = rounded(8 * counts.count)
      var prefixes = vocabulary
      for count in counts {
        let tokens = bytes + rounded(4 * (prefixes + 1))
        levels.append((bytes, tokens, prefixes))
        bytes = tokens + rounded(4 * count)
        prefixes = count
      }
    }

    func pointers(
      into content: UnsafeRawBufferPointer
    ) -> [(starts: UnsafePointer<UInt32>, tokens: UnsafePointer<UInt32>)] {
      levels.enumerated().compactMap { i, level in
        guard let base = content.baseAddress else { return nil }
        let next = i + 1 < levels.count ? levels[i + 1].starts : bytes
        return (
          (base + level.starts).bindMemory(to: UInt32.self, capacity: level.prefixes + 1),
          (base + level.tokens).bindMemory(to: UInt32.self, capacity: (next - level.tokens) / 4)
        )
      }
    }
  }

  // MARK: - Looking up

  /// The number, among those of its length, of the f-gram that is `token` behind the f-gram of number
  /// `prefix` of the length before (of length 1: behind that token); `GramKey.none` where it is none.
  ///
  /// A search among what goes on from the prefix, by halves.
  func number(length: Int, prefix: UInt32, token: UInt32) -> UInt32 {
    let level = levels[length - 2]
    var low = Int(level.starts[Int(prefix)])
    let end = Int(level.starts[Int(prefix) + 1])
    var count = end - low
    while count > 1 {
      let half = count / 2
      low = level.tokens[low + half] <= token ? low + half : low
      count -= half
    }
    return low < end && level.tokens[low] == token ? UInt32(low) : GramKey.none
  }

  /// The last token of f-gram `number` of a length, and the number of what is in front of it.
  func parts(length: Int, number: Int) -> (prefix: Int, token: UInt32) {
    let level = levels[length - 2]
    // The last prefix that begins at or before it.
    var (low, high) = (0, length == 2 ? vocabulary : counts[length - 3])
    while high - low > 1 {
      let middle = (low + high) / 2
      if Int(level.starts[middle]) <= number { low = middle } else { high = middle }
    }
    return (low, level.tokens[number])
  }
}
