import CTokenization

/// Text to ids, with a memory of pretokens that makes repeated text fast.
///
/// The ids are those of the plain algorithm whatever was encoded before. Use one encoder per
/// thread. Input is any bytes: a byte that belongs to no well-formed UTF-8 sequence is cut as the
/// character U+FFFD would be and encoded as itself, so that decoding gives the input back.
package final class BytePairEncoder {
  package let model: BytePairModel
  /// Whether special tokens are looked for in the text; the other added tokens always are.
  package let findsSpecialTokens: Bool

  private static let batch = 256
  private let scanner: PretokenScanner
  private let raw: AddedTokenMatcher
  private let normalized: AddedTokenMatcher
  private var cache = PretokenCache()
  private let merger: Merger
  private let ends: UnsafeMutablePointer<Int>
  private let keys: UnsafeMutablePointer<PretokenCache.Key>
  private let homes: UnsafeMutablePointer<Int>
  private let keyMasks = PretokenCache.Key.masks()

  package init(_ model: BytePairModel, findsSpecialTokens: Bool = true) {
    self.model = model
    self.findsSpecialTokens = findsSpecialTokens
    scanner = PretokenScanner(model.pattern)
    let wanted = model.addedTokens.filter { findsSpecialTokens || !$0.special }
    raw = AddedTokenMatcher(wanted.filter { !$0.normalized })
    normalized = AddedTokenMatcher(wanted.filter { $0.normalized })
    merger = Merger(pairs: model.pairs, byteTokens: model.byteTokens, rankCount: model.rankCount)
    let room = Self.batch + PretokenScanner.slack
    ends = .allocate(capacity: room)
    keys = .allocate(capacity: room)
    homes = .allocate(capacity: room)
  }

  deinit {
    ends.deallocate()
    keys.deallocate()
    homes.deallocate()
    keyMasks.deallocate()
  }

  /// Bytes held by the pretoken cache.
  package var cacheBytes: Int { cache.byteCount }

  // MARK: Whole texts

  package func encode(_ text: String) -> [UInt32] { encode(Array(text.utf8)) }

  package func encode(_ bytes: [UInt8]) -> [UInt32] {
    let output = TokenBuffer(capacity: bytes.count / 3 + 16)
    bytes.withUnsafeBufferPointer { encode($0, into: output) }
    return output.tokens
  }

  /// Ids and, for each, the range of the (normalized) text's bytes that it stands for. The ranges
  /// lie end to end; bytes that the vocabulary has no token for belong to the token behind them.
  package func encodeWithOffsets(_ bytes: [UInt8]) -> (ids: [UInt32], ranges: [Range<Int>]) {
    let text =
      model.composes ? bytes.withUnsafeBufferPointer { Composition.composed($0) } ?? bytes : bytes
    let ids = encode(bytes)
    var ranges: [Range<Int>] = []
    var start = 0
    for id in ids {
      var end = start
      var left = model.tokens.bytes(of: id)
      while let byte = left.first, end < text.count {
        if text[end] == byte { left = left.dropFirst() }
        end += 1
      }
      ranges.append(start..<end)
      start = end
    }
    return (ids, ranges)
  }

  /// Appends the ids of a text to `output`.
  package func encode(_ bytes: UnsafeBufferPointer<UInt8>, into output: TokenBuffer) {
    guard let base = bytes.baseAddress else { return }
    var start = 0
    while let (range, id) = raw.next(base, start, bytes.count) {
      encodeRaw(base + start, range.lowerBound - start, into: output)
      output.append(id)
      start = range.upperBound
    }
    encodeRaw(base + start, bytes.count - start, into: output)
  }

  private func encodeRaw(_ bytes: UnsafePointer<UInt8>, _ count: Int, into output: TokenBuffer) {
    if model.composes,
      let composed = Composition.composed(UnsafeBufferPointer(start: bytes, count: count))
    {
      composed.withUnsafeBufferPointer { composed in
        guard let base = composed.baseAddress else { return }
        encodeNormalized(base, composed.count, into: output)
      }
    } else {
      encodeNormalized(bytes, count, into: output)
    }
  }

  private func encodeNormalized(
    _ bytes: UnsafePointer<UInt8>, _ count: Int, into output: TokenBuffer
  ) {
    var start = 0
    while let (range, id) = normalized.next(bytes, start, count) {
      encodeOrdinary(bytes + start, range.lowerBound - start, into: output)
      output.append(id)
      start = range.upperBound
    }
    encodeOrdinary(bytes + start, count - start, into: output)
  }

  // MARK: Pretokens

  /// A batch of pretokens at a time: cut, look ahead (key, hash, cache line), then write ids.
  private func encodeOrdinary(
    _ bytes: UnsafePointer<UInt8>, _ count: Int, into output: TokenBuffer
  ) {
    let (ends, keys, homes, keyMasks) = (ends, keys, homes, keyMasks)
    let raw = UnsafeRawPointer(bytes)
    var position = 0
    while position < count {
      let first = position
      let found = scanner.scan(bytes, &position, count, into: ends, capacity: Self.batch)
      cache.prepare(additional: found)
      let (slots, mask) = (cache.slots, cache.mask)
      var start = first
      for index in 0..<found {
        let length = ends[index] &- start
        if length <= PretokenCache.longestShort && start &+ 16 <= count {
          keys[index] = PretokenCache.Key(raw + start, length, keyMasks[length])
        } else {
          keys[index] = PretokenCache.Key(careful: bytes + start, length)
        }
        let home = Int(truncatingIfNeeded: Mixing.hash(keys[index].low, keys[index].high)) & mask
        homes[index] = home
        scan_prefetch(slots + home)
        start = ends[index]
      }
      output.reserve(4 &* found &+ 4)
      var write = output.base + output.count
      start = first
      for index in 0..<found {
        let key = keys[index]
        // A neighbour lies in the same cache line or the next: looked at here, not in the call.
        var slot = slots + homes[index]
        if slot.pointee.key.low != key.low || slot.pointee.key.high != key.high {
          slot = slots + ((homes[index] &+ 1) & mask)
        }
        var ids = slot.pointee.ids
        let number = ids[0] >> PretokenCache.countShift
        if slot.pointee.key.low == key.low && slot.pointee.key.high == key.high
          && number != PretokenCache.overflow && key.high != 0
        {
          ids[0] &= PretokenCache.idMask
          UnsafeMutableRawPointer(write).storeBytes(of: ids, as: SIMD4<UInt32>.self)
          write += Int(number)
        } else {
          output.count = write - output.base
          encodePretoken(bytes + start, ends[index] &- start, key, homes[index], into: output)
          output.reserve(4 &* (found &- index) &+ 4)
          write = output.base + output.count
        }
        start = ends[index]
      }
      output.count = write - output.base
    }
  }

  /// A pretoken that is not in its home slot.
  @inline(never)
  private func encodePretoken(
    _ bytes: UnsafePointer<UInt8>, _ length: Int, _ key: PretokenCache.Key, _ home: Int,
    into output: TokenBuffer
  ) {
    if key.high == 0 {
      if length > PretokenCache.longestLong { return merge(bytes, length, into: output) }
      if cache.appendLong(bytes, length, to: output) { return }
      let before = output.count
      merge(bytes, length, into: output)
      cache.insertLong(
        bytes, length,
        UnsafeBufferPointer(start: output.base + before, count: output.count - before))
      return
    }
    let slot = cache.find(key, from: home)
    if slot.pointee.key.high == 0 {
      let before = output.count
      merge(bytes, length, into: output)
      cache.insert(
        key, at: slot,
        UnsafeBufferPointer(start: output.base + before, count: output.count - before))
      return
    }
    let ids = slot.pointee.ids
    let number = ids[0] >> PretokenCache.countShift
    if number == PretokenCache.overflow {
      for index in Int(ids[1])..<Int(ids[1] + ids[2]) { output.append(cache.overflowIds[index]) }
    } else {
      output.append(ids[0] & PretokenCache.idMask)
      for lane in 1..<max(1, Int(number)) { output.append(ids[lane]) }
    }
  }

  private func merge(_ bytes: UnsafePointer<UInt8>, _ length: Int, into output: TokenBuffer) {
    if model.wholePretokens, let id = model.modelTokens.id(bytes, length) {
      output.append(id)
    } else {
      merger.merge(bytes, length, into: output)
    }
  }
}
