import Foundation

/// How far a long task has come, on standard error: its line of the `StatusBoard` on a terminal, otherwise
/// a plain line every few seconds.
///
///     train 1200/4000 steps (30 %), 412 steps/s, 0:06 to go, loss 0.8123
///
/// The rate is that of the work since the start (or since `done` where it goes on from there).
package struct Progress {
  private let what: String
  private let unit: String
  private let total: Int
  private let firstDone: Int
  private let isQuiet: Bool
  private let board: StatusBoard?
  private let interval: Double
  private let start: Double
  private var lastShown: Double
  private var hasLine = false

  /// - Parameters:
  ///   - what: the task.
  ///   - unit: what is counted, in the plural.
  ///   - done: how many were done before the start.
  ///   - isQuiet: show nothing.
  package init(_ what: String, unit: String, total: Int, done: Int = 0, isQuiet: Bool = false) {
    self.what = what
    self.unit = unit
    self.total = total
    firstDone = done
    self.isQuiet = isQuiet
    board = StatusBoard.shared
    interval = board == nil ? 5 : 0.2
    start = Host.monotonicSeconds
    lastShown = start
  }

  /// Shows the state when the last line is old enough; costs a clock reading otherwise.
  package mutating func update(done: Int, detail: @autoclosure () -> String = "") {
    if isQuiet { return }
    let now = Host.monotonicSeconds
    guard now - lastShown >= interval else { return }
    lastShown = now
    let text = line(done: done, seconds: now - start, detail: detail())
    guard let board else { return StandardError.write(text + "\n") }
    board.show(text)
    hasLine = true
  }

  /// Removes the line from a terminal.
  package mutating func finish() {
    if hasLine { board?.show(nil) }
    hasLine = false
  }

  /// What is shown `seconds` after the start.
  package func line(done: Int, seconds: Double, detail: String) -> String {
    let percent = total > 0 ? done * 100 / total : 100
    var text = "\(what) \(done)/\(total) \(unit) (\(percent) %)"
    let rate = Double(done - firstDone) / seconds
    if rate > 0 && rate.isFinite {
      text += ", \(Progress.short(rate)) \(unit)/s"
      text += ", \(Progress.clock(Double(total - done) / rate)) to go"
    }
    return detail.isEmpty ? text : text + ", " + detail
  }

  /// Three digits and a prefix: 0.123, 41.2, 1.23 k, 45.6 M, 7.89 G.
  package static func short(_ value: Double) -> String {
    let prefixes = [(1e9, " G"), (1e6, " M"), (1e3, " k")]
    let (scale, prefix) = prefixes.first { abs(value) >= $0.0 } ?? (1, "")
    let scaled = value / scale
    let digits = abs(scaled) >= 100 ? 0 : abs(scaled) >= 10 ? 1 : abs(scaled) >= 1 ? 2 : 3
    return String(format: "%.\(digits)f", scaled) + prefix
  }

  /// 0:07, 12:34, 1:02:03.
  package static func clock(_ seconds: Double) -> String {
    let whole = Int(max(0, min(seconds, 1e9)).rounded(.up))
    let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60)
    return hours > 0
      ? String(format: "%d:%02d:%02d", hours, minutes, rest)
      : String(format: "%d:%02d", minutes, rest)
  }
}

extension Double {
  /// To so many decimals, for people.
  package func rounded(to decimals: Int) -> Double {
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    return (self * scale).rounded() / scale
  }
}
