import Foundation
import Support
import Synchronization

/// Which rows of a mapped file the system was asked to begin reading, so that it is not asked again for
/// what it has: a question costs more than a row in memory.
///
/// It is advice alone. Rows that the system has let go of since are found out by the faults that reading
/// them costs: then everything is asked for anew.
// Unchecked: the words are atomic.
final class ReadAhead: @unchecked Sendable {
  /// Of so many calls one looks at the faults.
  private static let period = 256

  /// A bit a row.
  private let asked: UnsafeMutablePointer<Atomic<UInt64>>
  private let words: Int
  private let calls = Atomic<Int>(0)
  private let faults = Atomic<Int>(ReadAhead.faultsSoFar)

  init(rows: Int) {
    words = (rows + 63) / 64
    asked = .allocate(capacity: words)
    for word in 0..<words { (asked + word).initialize(to: Atomic(0)) }
  }

  deinit {
    asked.deinitialize(count: words)
    asked.deallocate()
  }

  /// Whether nobody has asked for a row yet: from now on somebody has.
  func isNew(_ row: Int) -> Bool {
    let (word, bit) = (asked + row / 64, UInt64(1) << UInt64(row % 64))
    if word.pointee.load(ordering: .relaxed) & bit != 0 { return false }
    return word.pointee.bitwiseOr(bit, ordering: .relaxed).oldValue & bit == 0
  }

  /// Called before rows are asked for.
  func begin() {
    guard calls.add(1, ordering: .relaxed).oldValue % Self.period == Self.period - 1 else { return }
    let found = Self.faultsSoFar
    if faults.exchange(found, ordering: .relaxed) == found { return }
    for word in 0..<words { asked[word].store(0, ordering: .relaxed) }
  }

  /// Pages that this process has waited for.
  private static var faultsSoFar: Int {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return Int(usage.ru_majflt)
  }
}
