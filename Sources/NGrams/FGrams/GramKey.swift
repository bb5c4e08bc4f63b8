import CSupport
import Support

/// An f-gram of length n as 64 bits: the id, among the f-grams of length n − 1, of all its tokens but the
/// last (for n = 2 the first token itself) in the upper half, its last token in the lower.
///
/// With ids in the order of keys, keys are in the lexicographic order of tokens.
enum GramKey {
  /// Ids lie below it: it stands for no f-gram.
  static let none = UInt32.max

  static func make(prefix: UInt32, token: UInt32) -> UInt64 {
    UInt64(prefix) << 32 | UInt64(token)
  }

  static func prefix(_ key: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: key >> 32) }

  static func token(_ key: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: key) }

  /// A hash whose upper bits are the good ones (Fibonacci hashing; Knuth, vol. 3, §6.4).
  static func hash(_ key: UInt64) -> UInt64 {
    (key ^ key >> 32) &* 0x9E37_79B9_7F4A_7C15
  }

  /// Sorts keys, all different, with a number each: least significant digit first, 11 bits a digit,
  /// leaving out digits that all keys share. O(keys) for each of the others.
  static func sort(_ keys: inout [UInt64], with numbers: inout [Int]) {
    precondition(keys.count == numbers.count, "a number for each key")
    let differing = keys.reduce(0) { $0 | ($1 ^ keys[0]) }
    var (otherKeys, otherNumbers) = (keys, numbers)
    for shift in stride(from: 0 as UInt64, to: 64, by: 11) where differing >> shift & 2047 != 0 {
      pass(keys, numbers, into: &otherKeys, &otherNumbers, shift: shift)
      swap(&keys, &otherKeys)
      swap(&numbers, &otherNumbers)
    }
  }

  private static func pass(
    _ keys: [UInt64], _ numbers: [Int], into newKeys: inout [UInt64], _ newNumbers: inout [Int],
    shift: UInt64
  ) {
    var starts = [Int](repeating: 0, count: 2048)
    for key in keys { starts[Int(key >> shift & 2047)] += 1 }
    var sum = 0
    for digit in starts.indices { (starts[digit], sum) = (sum, sum + starts[digit]) }
    newKeys.withUnsafeMutableBufferPointer { newKeys in
      newNumbers.withUnsafeMutableBufferPointer { newNumbers in
        for i in keys.indices {
          let digit = Int(keys[i] >> shift & 2047)
          newKeys[starts[digit]] = keys[i]
          newNumbers[starts[digit]] = numbers[i]
          starts[digit] += 1
        }
      }
    }
  }
}

/// Keys, all different, and which of them a key is. Open addressing at a load of one half: 32 bytes a
/// key.
// Unchecked: written in `init` alone.
final class KeyIndex: @unchecked Sendable {
  /// (2 · places): key and number; `UInt64.max` is no key.
  private let slots: UnsafeMutablePointer<UInt64>
  private let places: Int

  /// - Precondition: fewer than 2³² − 1 keys, none `UInt64.max`.
  init(_ keys: [UInt64]) {
    precondition(keys.count < Int(GramKey.none), "numbers of 32 bits")
    places = 2 * keys.count + 16
    slots = LargeMemory.allocate(bytes: 16 * places).bindMemory(
      to: UInt64.self, capacity: 2 * places)
    slots.initialize(repeating: .max, count: 2 * places)
    for (number, key) in keys.enumerated() {
      var place = place(of: key)
      while slots[2 * place] != .max { place = place + 1 == places ? 0 : place + 1 }
      slots[2 * place] = key
      slots[2 * place + 1] = UInt64(number)
    }
  }

  deinit { UnsafeMutableRawPointer(slots).deallocate() }

  /// Where the search for a key begins; it is brought near.
  @inline(__always)
  func place(of key: UInt64) -> Int {
    let place = Int(GramKey.hash(key).multipliedFullWidth(by: UInt64(places)).high)
    ott_bring_near(slots + 2 * place)
    return place
  }

  /// The number of `key`, whose search begins at `place`, or `GramKey.none`.
  @inline(__always)
  func number(of key: UInt64, from place: Int) -> UInt32 {
    var place = place
    while true {
      let found = slots[2 * place]
      if found == key { return UInt32(truncatingIfNeeded: slots[2 * place + 1]) }
      if found == .max { return GramKey.none }
      place = place + 1 == places ? 0 : place + 1
    }
  }

  /// The number of `key`, or `GramKey.none`.
  @inline(__always)
  func number(of key: UInt64) -> UInt32 { number(of: key, from: place(of: key)) }
}
