import CTokenization

// o200k: `P?U*L+C?|P?U+L*C?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+` with
//
//     P = [^\r\n\p{L}\p{N}]          C = (?i:'s|'t|'re|'ve|'m|'ll|'d)
//     U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]   L = [\p{Ll}\p{Lm}\p{Lo}\p{M}]
//
// U and L overlap in marks and in letters without case, so a match may have to give characters back.
// What that comes to: behind the run of U, L goes on if it can; else the word ends behind the last
// character of the run that is of both; a run of upper case alone is left to the second alternative.

extension PretokenScanner {
  private static let either = CharacterClasses.upper | CharacterClasses.lower

  /// Where the pretoken that starts at `start` ends, under the o200k pattern.
  func o200kEnd(_ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
    let kinds = CharacterClasses.letter | CharacterClasses.number | CharacterClasses.space
    let first = classes.character(bytes, start, end)
    let next = start + first.length
    if first.bits & CharacterClasses.letter != 0 {
      let (lower, upper) = wordEnds(bytes, start, end)
      return suffixEnd(bytes, lower > start ? lower : upper, end)
    }
    if first.bits & CharacterClasses.number != 0 {
      return numberEnd(bytes, next, end, more: 2)
    }
    if first.bits & CharacterClasses.newline == 0 {
      let (lower, upper) = wordEnds(bytes, next, end)
      if lower > next { return suffixEnd(bytes, lower, end) }
      if first.bits & Self.either != 0 {
        // A mark, with which the first alternative can start, is tried so before the second is.
        return suffixEnd(bytes, wordEnds(bytes, start, end).lower, end)
      }
      if upper > next { return suffixEnd(bytes, upper, end) }
    }
    if first.bits & kinds == 0 { return otherEnd(bytes, next, end, also: UInt8(ascii: "/")) }
    if bytes[start] == UInt8(ascii: " "), next < end {
      let second = classes.character(bytes, next, end)
      if second.bits & kinds == 0 {
        return otherEnd(bytes, next + second.length, end, also: UInt8(ascii: "/"))
      }
    }
    return lineSpaceEnd(bytes, start, end, trailingSpaceIsOne: false)
  }

  /// Ends of `U*L+` and of `U+` at `start`; `start` itself where there is no match.
  private func wordEnds(
    _ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int
  ) -> (lower: Int, upper: Int) {
    var position = start
    var behindBoth = start
    while position < end {
      let (bits, length) = classes.character(bytes, position, end)
      if bits & CharacterClasses.upper == 0 {
        if bits & CharacterClasses.lower == 0 { break }
        let upper = position
        position += length
        while position < end {
          let (bits, length) = classes.character(bytes, position, end)
          if bits & CharacterClasses.lower == 0 { break }
          position += length
        }
        return (position, upper)
      }
      position += length
      if bits & CharacterClasses.lower != 0 { behindBoth = position }
    }
    return (behindBoth, position)
  }

  /// Behind the contraction at `position`, if there is one.
  private func suffixEnd(_ bytes: UnsafePointer<UInt8>, _ position: Int, _ end: Int) -> Int {
    if position >= end || bytes[position] != UInt8(ascii: "'") { return position }
    return position + foldedContraction(bytes, position, end)
  }

  /// Bits of the cuts inside a block, under the o200k pattern; see `PretokenScanner+Blocks.swift`.
  @inline(__always)
  func o200kCuts(_ bytes: UnsafePointer<UInt8>, _ masks: scan_masks) -> UInt64 {
    var valid = masks.high.trailingZeroBitCount
    if valid < 8 { return 0 }
    var inside = ~UInt64(0) >> UInt64(64 &- valid)
    let letters = masks.letters & inside
    let digits = masks.digits & inside
    let spaces = masks.spaces & inside
    let newlines = masks.newlines & inside
    let others = inside & ~(letters | digits | spaces)
    let uppers = scan_uppers(bytes) & inside
    let afterBlank = (masks.blanks & inside) << 1
    let taken = newlines & ~(newlines &+ (newlines & (others << 1)))
    let free = spaces & ~taken
    let gaps = spaces & ~newlines
    let gapStarts = gaps & ~(gaps << 1)
    let firstOthers = others & ~(others << 1) & ~afterBlank
    var cuts = free & ~(free << 1)
    cuts |= gapStarts
    cuts |= gaps & ~(spaces >> 1)
    cuts |= firstOthers
    cuts |= (letters & ~(letters << 1)) & ~((gaps | firstOthers) << 1)
    cuts |= uppers & ((letters & ~uppers) << 1)
    cuts |= digitCuts(digits)
    cuts |= (free & newlines) << 1 & ~newlines
    // A contraction belongs to the word that it follows; one that follows a contraction is a word.
    var apostrophes = masks.apostrophes & firstOthers & (letters >> 1)
    var behindContraction = 64
    while apostrophes != 0 {
      let at = apostrophes.trailingZeroBitCount
      apostrophes &= apostrophes &- 1
      if letters & (1 << UInt64(at)) >> 1 == 0 || at == behindContraction { continue }
      if at &+ 2 >= 64 {
        valid = min(valid, at &+ 1)
        break
      }
      let length = shortContraction(bytes[at &+ 1] | 0x20, bytes[at &+ 2] | 0x20)
      if length == 0 { continue }
      cuts &= ~((1 << UInt64(length) &- 1) << UInt64(at))
      behindContraction = at &+ length
      if behindContraction < 64 { cuts |= 1 << UInt64(behindContraction) }
    }
    // Rare, so the block ends in front of it: a gap between two line ends, which is no cut, a gap whose
    // end is not in sight, and a slash behind line ends that belong to other characters.
    let doubtful = gapStarts & ((free & newlines) << 1)
    if doubtful != 0 {
      let (sum, overflow) = gaps.addingReportingOverflow(doubtful)
      let afterGap = sum & ~gaps & (newlines | ~inside)
      if afterGap != 0 || overflow { valid = min(valid, doubtful.trailingZeroBitCount) }
    }
    if taken != 0 {
      let slashes = scan_equal(bytes, UInt8(ascii: "/")) & inside & (taken << 1)
      if slashes != 0 { valid = min(valid, slashes.trailingZeroBitCount) }
    }
    if valid == 0 { return 0 }
    inside &= ~UInt64(0) >> UInt64(64 &- valid)
    return cuts & (inside >> 1) & ~1
  }
}
