/// What a stage has to say when it is done.
package struct StageSummary: Sendable {
  /// What was made, without times: "mapped 40 documents, 300 positions to …".
  package let text: String
  /// How much of what went through it: {"symbols": 1200}.
  package let amounts: [String: Int]

  package init(_ text: String, amounts: [String: Int]) {
    self.text = text
    self.amounts = amounts
  }

  /// For `evidence.json`: "symbolsPerSecond" and so on.
  package func facts(seconds: Double) -> [String: ConfigValue] {
    var facts: [String: ConfigValue] = [:]
    for (unit, amount) in amounts {
      facts[unit + "PerSecond"] = .double(Double(amount) / max(seconds, 1e-9))
    }
    return facts
  }

  /// One line for people: "… in 0.31 s (1.2M symbols/s)".
  package func line(seconds: Double) -> String {
    let hundredths = Int((seconds * 100).rounded())
    let decimals = hundredths % 100
    let rates = amounts.sorted { $0.key < $1.key }.map {
      "\(Progress.short(Double($0.value) / max(seconds, 1e-9))) \($0.key)/s"
    }
    return "\(text) in \(hundredths / 100).\(decimals < 10 ? "0" : "")\(decimals) s"
      + (rates.isEmpty ? "" : " (\(rates.joined(separator: ", ")))")
  }
}
