/// The occurrences of rows in a batch, grouped by row: which rows there are, ascending, and who uses
/// each, in the order of the batch. Memory is kept from batch to batch.
// Unchecked: filled by one worker, then read by all.
package final class RowGroups: @unchecked Sendable {
  /// Occurrences that it can hold.
  package let capacity: Int
  package private(set) var occurrences = 0
  /// Different rows, U.
  package private(set) var count = 0
  private let rowBuffer: UnsafeMutablePointer<Int32>
  private let startBuffer: UnsafeMutablePointer<Int32>
  private let memberBuffer: UnsafeMutablePointer<Int32>
  private let keys: UnsafeMutablePointer<UInt64>
  private let spare: UnsafeMutablePointer<UInt64>
  private let histogram: UnsafeMutablePointer<Int>

  private static let digits = 1 << 11

  package init(capacity: Int) {
    self.capacity = capacity
    rowBuffer = .allocate(capacity: max(capacity, 1))
    startBuffer = .allocate(capacity: capacity + 1)
    memberBuffer = .allocate(capacity: max(capacity, 1))
    keys = .allocate(capacity: max(capacity, 1))
    spare = .allocate(capacity: max(capacity, 1))
    histogram = .allocate(capacity: Self.digits)
  }

  deinit {
    rowBuffer.deallocate()
    startBuffer.deallocate()
    memberBuffer.deallocate()
    keys.deallocate()
    spare.deallocate()
    histogram.deallocate()
  }

  /// The different rows, ascending: (U).
  package var rows: UnsafeBufferPointer<Int32> {
    UnsafeBufferPointer(start: rowBuffer, count: count)
  }

  /// The occurrences of group u, ascending.
  package func members(_ u: Int) -> UnsafeBufferPointer<Int32> {
    UnsafeBufferPointer(
      start: memberBuffer + Int(startBuffer[u]), count: Int(startBuffer[u + 1] - startBuffer[u]))
  }

  // MARK: - Filling

  package func removeAll() {
    occurrences = 0
    count = 0
  }

  /// Adds the next occurrences: column `column` of ids (N, `width`), all of a table of `rows` rows.
  ///
  /// - Precondition: ids within the table, room for all.
  package func append(
    _ ids: UnsafeBufferPointer<Int32>, width: Int, column: Int, rows: Int
  ) {
    let N = ids.count / width
    precondition(
      occurrences + N <= capacity && column < width,
      "\(occurrences) + \(N) rows, column \(column) of \(width), for a capacity of \(capacity)")
    for n in 0..<N {
      let id = ids[n &* width &+ column]
      precondition(id >= 0 && Int(id) < rows, "row \(id) of a table of \(rows)")
      keys[occurrences &+ n] = UInt64(UInt32(bitPattern: id)) << 32 | UInt64(occurrences &+ n)
    }
    occurrences += N
  }

  /// Groups what was added. Writes the group of occurrence i to `slots[i · stride]`.
  ///
  /// Least significant digit first, at most 11 bits a pass, stable: so members ascend.
  ///
  /// - Complexity: O(N · ⌈log₂(rows)/11⌉).
  package func group(rows: Int, slots: UnsafeMutablePointer<Int32>, stride: Int) {
    let bits = Int.bitWidth - max(rows - 1, 1).leadingZeroBitCount
    let passes = (bits + 10) / 11
    let digit = (bits + passes - 1) / passes
    var (from, to) = (keys, spare)
    for pass in 0..<passes {
      let shift = UInt64(32 + pass * digit)
      let mask = UInt64(1) << UInt64(digit) &- 1
      histogram.update(repeating: 0, count: Self.digits)
      for i in 0..<occurrences { histogram[Int(from[i] >> shift & mask)] &+= 1 }
      var sum = 0
      for d in 0...Int(mask) {
        let here = histogram[d]
        histogram[d] = sum
        sum &+= here
      }
      for i in 0..<occurrences {
        let d = Int(from[i] >> shift & mask)
        to[histogram[d]] = from[i]
        histogram[d] &+= 1
      }
      swap(&from, &to)
    }
    count = 0
    for i in 0..<occurrences {
      let row = Int32(truncatingIfNeeded: from[i] >> 32)
      if count == 0 || rowBuffer[count &- 1] != row {
        rowBuffer[count] = row
        startBuffer[count] = Int32(truncatingIfNeeded: i)
        count &+= 1
      }
      let member = Int(from[i] & 0xFFFF_FFFF)
      memberBuffer[i] = Int32(truncatingIfNeeded: member)
      slots[member &* stride] = Int32(truncatingIfNeeded: count &- 1)
    }
    startBuffer[count] = Int32(truncatingIfNeeded: occurrences)
  }

  /// Makes these groups some groups of others.
  ///
  /// - Parameters:
  ///   - chosen: their numbers, ascending.
  ///   - numbers: what each occurrence is called here; ascending.
  ///   - row: what a row is called here; ascending.
  package func select(
    _ chosen: UnsafeBufferPointer<Int32>, of groups: RowGroups,
    numbers: UnsafePointer<Int32>, row: (Int32) -> Int32
  ) {
    removeAll()
    for u in chosen {
      rowBuffer[count] = row(groups.rowBuffer[Int(u)])
      startBuffer[count] = Int32(truncatingIfNeeded: occurrences)
      for member in groups.members(Int(u)) {
        memberBuffer[occurrences] = numbers[Int(member)]
        occurrences &+= 1
      }
      count &+= 1
    }
    startBuffer[count] = Int32(truncatingIfNeeded: occurrences)
  }
}
