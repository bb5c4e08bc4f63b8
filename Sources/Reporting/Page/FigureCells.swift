import Foundation
import Support

/// Numbers and words of a result file as cells of tables.
extension FigureSection {
  func address(_ place: String) -> String { "`\(figure.name).json:\(place)`" }

  func text(_ value: ConfigValue?) -> String {
    switch value {
    case .string(let text): text
    case .integer(let number): "\(number)"
    case .double(let number): "\(number)"
    default: ""
    }
  }

  func strong(_ value: ConfigValue?) -> String {
    let text = text(value)
    return text.isEmpty ? "" : "**\(text)**"
  }

  func fixed(_ value: ConfigValue?, _ digits: Int) -> String {
    value?.number.map { String(format: "%.\(digits)f", $0) } ?? ""
  }

  func percent(_ value: ConfigValue?) -> String {
    value?.number.map { String(format: "%.0f %%", 100 * $0) } ?? ""
  }

  /// Holm's p of a claim.
  func p(_ claim: ConfigValue) -> String {
    guard let p = claim["pHolm"]?.number else { return "" }
    return p < 1e-4 ? "< 0.0001" : String(format: "%.4f", p)
  }

  /// "5.6 [5.0, 6.1]": how many times the paper's number.
  func times(_ ratio: ConfigValue?) -> String {
    guard let middle = ratio?["value"]?.number else { return "" }
    guard let low = ratio?["low"]?.number, let high = ratio?["high"]?.number else {
      return String(format: "%.1f", middle)
    }
    return String(format: "%.1f [%.1f, %.1f]", middle, low, high)
  }

  /// "F(5, 12) = 34.3, p 0.0001".
  func lackOfFit(_ test: ConfigValue?) -> String {
    guard let f = test?["f"]?.number, let p = test?["p"]?.number,
      let degrees = test?["degreesOfFreedom"]?.items, degrees.count == 2
    else { return "" }
    return "F(\(text(degrees[0])), \(text(degrees[1]))) = " + String(format: "%.1f, p ", f)
      + (p < 1e-4 ? "< 0.0001" : String(format: "%.4f", p))
  }

  func signed(_ value: ConfigValue?) -> String {
    (value?.number ?? value?["value"]?.number).map(Figure.signed) ?? ""
  }

  /// "+0.105 [+0.012, +0.198]" of a comparison of accuracies or excess losses.
  func effect(_ value: ConfigValue?) -> String { interval(value, of: "effect") }

  /// The same of an estimate.
  func estimate(_ value: ConfigValue?) -> String { interval(value, of: "value") }

  func interval(_ value: ConfigValue?, of key: String) -> String {
    guard let middle = value?[key]?.number else { return "" }
    guard let low = value?["low"]?.number, let high = value?["high"]?.number else {
      return Figure.signed(middle)
    }
    return "\(Figure.signed(middle)) [\(Figure.signed(low)), \(Figure.signed(high))]"
  }

  func name(_ claim: ConfigValue) -> String {
    "\(text(claim["model"])) vs \(text(claim["baseline"])), \(text(claim["size"]))"
  }

  func state(_ isSettled: ConfigValue?) -> String {
    switch isSettled {
    case .bool(true): "settled"
    case .bool(false): "still learning"
    default: ""
    }
  }

  /// "× 0.41 [0.35, 0.48]" of times, or their bound.
  func ratio(_ speed: ConfigValue?) -> String {
    if let middle = speed?["ratio"]?.number {
      let range = [speed?["low"]?.number, speed?["high"]?.number].compactMap { $0 }
      return String(format: "× %.2f", middle)
        + (range.count == 2 ? String(format: " [%.2f, %.2f]", range[0], range[1]) : "")
    }
    if let most = speed?["atMost"]?.number { return String(format: "× at most %.2f", most) }
    if let least = speed?["atLeast"]?.number { return String(format: "× at least %.2f", least) }
    return speed == nil ? "" : "not reached by all"
  }
}
