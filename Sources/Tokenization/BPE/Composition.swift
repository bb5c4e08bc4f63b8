import CTokenization

/// Unicode normalization form C of bytes that may not all be UTF-8, from pinned tables.
enum Composition {
  /// The text in form C, or nil when it is in form C already. Bytes that belong to no well-formed
  /// sequence stay as they are, and nothing composes across them.
  static func composed(_ bytes: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
    guard let base = bytes.baseAddress, mayChange(base, bytes.count) else { return nil }
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    var scalars: [UInt32] = []
    var at = 0
    while at < bytes.count {
      let length = UTF8Sequence.length(base, at, bytes.count)
      if length == 0 {
        compose(&scalars, into: &result)
        result.append(bytes[at])
        at += 1
      } else {
        let scalar = UTF8Sequence.scalar(base, at, length)
        // A starter below U+0300 composes with nothing in front of it.
        if scalar < 0x300 && scalars.count > 1 << 12 { compose(&scalars, into: &result) }
        decompose(scalar, into: &scalars)
        at += length
      }
    }
    compose(&scalars, into: &result)
    return result.elementsEqual(bytes) ? nil : result
  }

  /// Whether a scalar value of U+0300 or above occurs: all text below is in form C.
  private static func mayChange(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> Bool {
    var at = 0
    while at + 64 <= count {
      if scan_at_least(bytes + at, 0xCC) != 0 { return true }
      at += 64
    }
    while at < count {
      if bytes[at] >= 0xCC { return true }
      at += 1
    }
    return false
  }

  // MARK: Tables

  private static let classOfScalar: [UInt32: UInt32] = Dictionary(
    uniqueKeysWithValues: classes.map { ($0 >> 8, $0 & 0xFF) })

  private static let parts: [UInt32: (UInt32, UInt32)] = {
    var parts: [UInt32: (UInt32, UInt32)] = [:]
    for at in stride(from: 0, to: decompositions.count, by: 3) {
      parts[decompositions[at] & 0x1F_FFFF] = (decompositions[at + 1], decompositions[at + 2])
    }
    return parts
  }()

  /// `first << 32 | second` → composite.
  private static let composites: [UInt64: UInt32] = {
    var composites: [UInt64: UInt32] = [:]
    for at in stride(from: 0, to: decompositions.count, by: 3) where decompositions[at] >> 31 == 1 {
      let pair = UInt64(decompositions[at + 1]) << 32 | UInt64(decompositions[at + 2])
      composites[pair] = decompositions[at] & 0x1F_FFFF
    }
    return composites
  }()

  // Hangul syllables, the standard's section 3.12.
  private static let syllable: UInt32 = 0xAC00
  private static let leading: UInt32 = 0x1100
  private static let vowel: UInt32 = 0x1161
  private static let trailing: UInt32 = 0x11A7

  // MARK: Decomposition and composition

  private static func decompose(_ scalar: UInt32, into scalars: inout [UInt32]) {
    if scalar < 0xC0 {
      scalars.append(scalar)
    } else if syllable..<syllable + 11172 ~= scalar {
      let index = scalar - syllable
      scalars.append(leading + index / 588)
      scalars.append(vowel + index % 588 / 28)
      if index % 28 != 0 { scalars.append(trailing + index % 28) }
    } else if let (first, second) = parts[scalar] {
      decompose(first, into: &scalars)
      if second != 0 { decompose(second, into: &scalars) }
    } else {
      scalars.append(scalar)
    }
  }

  /// Appends decomposed scalars in canonical order, composed, as UTF-8; empties `scalars`.
  private static func compose(_ scalars: inout [UInt32], into result: inout [UInt8]) {
    let combining = scalars.map { $0 < 0x300 ? 0 : classOfScalar[$0] ?? 0 }
    var order = Array(scalars.indices)
    var start = 0
    while start < order.count {
      var end = start + 1
      if combining[start] != 0 {
        while end < order.count && combining[end] != 0 { end += 1 }
        order[start..<end].sort { (combining[$0], $0) < (combining[$1], $1) }
      }
      start = end
    }
    var composed: [UInt32] = []
    var starter: Int?
    var lastClass: UInt32 = 0
    for index in order {
      let (scalar, own) = (scalars[index], combining[index])
      if let at = starter, at == composed.count - 1 || (lastClass != 0 && lastClass < own),
        let joined = join(composed[at], scalar)
      {
        composed[at] = joined
        continue
      }
      if own == 0 { starter = composed.count }
      lastClass = own
      composed.append(scalar)
    }
    for scalar in composed {
      result.append(contentsOf: String(Unicode.Scalar(scalar) ?? "\u{FFFD}").utf8)
    }
    scalars.removeAll(keepingCapacity: true)
  }

  private static func join(_ first: UInt32, _ second: UInt32) -> UInt32? {
    if leading..<leading + 19 ~= first && vowel..<vowel + 21 ~= second {
      return syllable + ((first - leading) * 21 + second - vowel) * 28
    }
    if syllable..<syllable + 11172 ~= first && (first - syllable) % 28 == 0
      && trailing + 1..<trailing + 28 ~= second
    {
      return first + second - trailing
    }
    return composites[UInt64(first) << 32 | UInt64(second)]
  }
}
