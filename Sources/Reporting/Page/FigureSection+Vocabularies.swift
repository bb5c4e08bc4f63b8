import Support

/// What a page says of models with vocabularies of several sizes.
extension FigureSection {
  mutating func addVocabularies() {
    let comparisons = json["comparisons"]?.items ?? []
    let (own, other) = (
      TextFigure.Measure.heldoutBits.rawValue, TextFigure.Measure.otherBits.rawValue
    )
    verdicts = comparisons.map { text($0["verdict"]) }
    addTable(
      [
        "comparison", comparisons.map(source).heading, "held-out bits a byte, 95 %", "p by Holm",
        "verdict",
        "other domain, 95 %", "by it", "address",
      ], "llrrlrll",
      comparisons.enumerated().map { number, comparison in
        [
          "\(text(comparison["model"])) vs \(text(comparison["against"]))",
          source(comparison).cell(text(comparison["statement"])), estimate(comparison[own]),
          comparison[own].map(p) ?? "",
          strong(comparison["verdict"]), estimate(comparison[other]),
          text(comparison[other]?["verdict"]), address("comparisons/\(number)/\(own)/value"),
        ]
      })
    addNear()
    addTable(
      ["model", "what", "vocabulary", "parameters", "held-out", "other domain", "address"],
      "llrrrrl",
      (json["rows"]?.items ?? []).enumerated().map { number, row in
        [
          text(row["model"]), text(row["description"]), text(row["vocabulary"]),
          text(row["parameters"]), fixed(row[own]?["mean"], 4), fixed(row[other]?["mean"], 4),
          address("rows/\(number)/\(own)/mean"),
        ]
      })
  }
}
