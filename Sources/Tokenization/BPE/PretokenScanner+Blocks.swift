import CTokenization

// The scan by blocks: cuts as bits of a word, computed for up to 64 ASCII bytes at once.
//
// A block starts at a cut, so nothing in front of it matters. A cut at bit i may depend on the byte
// i + 1, hence only cuts in front of the block's last byte are believed, and the next block starts
// at the last cut of this one. Bits at and beyond `valid` (the first byte that is not ASCII) are
// cleared in every mask.

extension PretokenScanner {
  /// Most cuts that `scan` writes in one call beyond the `capacity` it is given.
  static let slack = 72

  /// Writes the ends of successive pretokens from `position` on to `ends`, moves `position` behind
  /// the last of them and returns their number; 0 only when `position == end`.
  ///
  /// `ends` has room for `capacity + slack` elements.
  @inline(__always)
  func scan(
    _ bytes: UnsafePointer<UInt8>, _ position: inout Int, _ end: Int,
    into ends: UnsafeMutablePointer<Int>, capacity: Int
  ) -> Int {
    var count = 0
    var at = position
    while at < end && count < capacity {
      if at + 64 <= end && pattern != .none {
        let masks = scan_classify(bytes + at)
        let cuts =
          switch pattern {
          case .gpt2: gpt2Cuts(bytes + at, masks)
          case .o200k: o200kCuts(bytes + at, masks)
          case .qwen2: cl100kCuts(bytes + at, masks, everyDigit: true)
          default: cl100kCuts(bytes + at, masks, everyDigit: false)
          }
        if cuts != 0 {
          let found = cuts.nonzeroBitCount
          var rest = cuts
          var index = count
          repeat {
            for _ in 0..<4 {
              ends[index] = at &+ rest.trailingZeroBitCount
              rest &= rest &- 1
              index &+= 1
            }
          } while rest != 0
          count &+= found
          at &+= 63 &- cuts.leadingZeroBitCount
          continue
        }
      }
      // What stopped the block is behind one long pretoken or a few short ones.
      var tries = 4
      repeat {
        at = pretokenEnd(bytes, at, end)
        ends[count] = at
        count &+= 1
        tries &-= 1
      } while tries > 0 && at < end
    }
    position = at
    return count
  }

  /// Bits of the cuts inside a block, under the GPT-2 pattern.
  @inline(__always)
  private func gpt2Cuts(_ bytes: UnsafePointer<UInt8>, _ masks: scan_masks) -> UInt64 {
    let valid = masks.high.trailingZeroBitCount
    if valid < 8 { return 0 }
    let inside = ~UInt64(0) >> UInt64(64 &- valid)
    let letters = masks.letters & inside
    let digits = masks.digits & inside
    let spaces = masks.spaces & inside
    let others = inside & ~(letters | digits | spaces)
    let afterBlank = (masks.blanks & inside) << 1
    let firstOthers = others & ~(others << 1) & ~afterBlank
    var cuts = (letters & ~(letters << 1)) & ~afterBlank
    cuts |= (digits & ~(digits << 1)) & ~afterBlank
    cuts |= firstOthers
    cuts |= spaces & (~(spaces << 1) | ~(spaces >> 1))
    var apostrophes = masks.apostrophes & firstOthers & (letters >> 1)
    while apostrophes != 0 {
      let at = apostrophes.trailingZeroBitCount
      apostrophes &= apostrophes &- 1
      if at &+ 2 >= valid { break }
      let length = shortContraction(bytes[at &+ 1], bytes[at &+ 2])
      if length == 0 { continue }
      cuts &= ~(2 << UInt64(at))
      cuts |= 1 << UInt64(at &+ length)
    }
    return cuts & (inside >> 1) & ~1
  }

  @inline(__always)
  func shortContraction(_ first: UInt8, _ second: UInt8) -> Int {
    switch first {
    case UInt8(ascii: "s"), UInt8(ascii: "d"), UInt8(ascii: "m"), UInt8(ascii: "t"): 2
    case UInt8(ascii: "l"): second == UInt8(ascii: "l") ? 3 : 0
    case UInt8(ascii: "v"), UInt8(ascii: "r"): second == UInt8(ascii: "e") ? 3 : 0
    default: 0
    }
  }

  /// First digits of groups of up to three.
  @inline(__always)
  func digitCuts(_ digits: UInt64) -> UInt64 {
    var last = digits & ~(digits << 1)
    var cuts = last
    let fourDigits = digits & (digits << 1) & (digits << 2) & (digits << 3)
    while fourDigits != 0 {
      last = (last << 3) & fourDigits
      if last == 0 { break }
      cuts |= last
    }
    return cuts
  }

  /// Bits of the cuts inside a block, under the cl100k pattern, or where every digit is a pretoken.
  @inline(__always)
  private func cl100kCuts(
    _ bytes: UnsafePointer<UInt8>, _ masks: scan_masks, everyDigit: Bool
  ) -> UInt64 {
    var valid = masks.high.trailingZeroBitCount
    if valid < 8 { return 0 }
    var inside = ~UInt64(0) >> UInt64(64 &- valid)
    let letters = masks.letters & inside
    let digits = masks.digits & inside
    let spaces = masks.spaces & inside
    let newlines = masks.newlines & inside
    let others = inside & ~(letters | digits | spaces)
    let afterBlank = (masks.blanks & inside) << 1
    // A run of other characters takes the line ends right behind it; adding a bit to the start of
    // a run of ones carries to the run's end.
    let taken = newlines & ~(newlines &+ (newlines & (others << 1)))
    let free = spaces & ~taken
    let gaps = spaces & ~newlines
    let gapStarts = gaps & ~(gaps << 1)
    // A gap between two line ends is no cut; rare, so the block ends in front of such a gap, and in
    // front of one whose end is not in sight.
    let doubtful = gapStarts & ((free & newlines) << 1)
    if doubtful != 0 {
      let (sum, overflow) = gaps.addingReportingOverflow(doubtful)
      let afterGap = sum & ~gaps & (newlines | ~inside)
      if afterGap != 0 || overflow {
        valid = doubtful.trailingZeroBitCount
        inside = (1 << UInt64(valid)) &- 1
      }
    }
    let firstOthers = others & ~(others << 1) & ~afterBlank
    var cuts = free & ~(free << 1)
    cuts |= gapStarts
    cuts |= gaps & ~(spaces >> 1)
    cuts |= firstOthers
    cuts |= (letters & ~(letters << 1)) & ~((gaps | firstOthers) << 1)
    cuts |= everyDigit ? digits : digitCuts(digits)
    cuts |= (free & newlines) << 1 & ~newlines
    var apostrophes = masks.apostrophes & firstOthers & (letters >> 1)
    while apostrophes != 0 {
      let at = apostrophes.trailingZeroBitCount
      apostrophes &= apostrophes &- 1
      if at &+ 2 >= 64 { break }
      let length = shortContraction(bytes[at &+ 1] | 0x20, bytes[at &+ 2] | 0x20)
      if length != 0 { cuts |= 1 << UInt64(at &+ length) }
    }
    return cuts & (inside >> 1) & ~1
  }
}
