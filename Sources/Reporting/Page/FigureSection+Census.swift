import Foundation
import Support

/// What a page says of a figure of corpora and vocabularies alone.
extension FigureSection {
  mutating func addCensus() {
    let claims = json["claims"]?.items ?? []
    verdicts = claims.map { text($0["verdict"]) }
    addTable(
      ["claim, of counts", "verdict", "address"], "lll",
      claims.enumerated().map { number, claim in
        [text(claim["statement"]), strong(claim["verdict"]), address("claims/\(number)/verdict")]
      })
    let rows = json["census"]?.items ?? []
    if rows.first?["fGrams"] != nil { addGrowth(rows) } else { addUpdates(rows) }
  }

  private mutating func addGrowth(_ rows: [ConfigValue]) {
    addTable(
      [
        "tokens of an f-gram", "f-grams", "in tokens of text", "as tokens^b, b", "b at the end",
        "address",
      ],
      "rrrrrl",
      rows.enumerated().map { number, row in
        [
          text(row["length"]), text(row["fGrams"]), text(row["tokens"]), fixed(row["exponent"], 2),
          fixed(row["lastExponent"], 2), address("census/\(number)/fGrams"),
        ]
      })
  }

  private mutating func addUpdates(_ rows: [ConfigValue]) {
    addTable(
      [
        "vocabulary", "tokens of text", "occur at all", "more than 10 times", "100 times",
        "1,000 times",
        "elements of the embedding", "MB in training", "address",
      ], "rrrrrrrrl",
      rows.enumerated().map { number, row in
        let megabytes = row["trainingBytes"]?.number.map { String(format: "%.1f", $0 / 1e6) }
        return [text(row["vocabulary"]), text(row["tokens"])]
          + [0, 10, 100, 1000].map { percent(row["above\($0)"]) }
          + [text(row["elements"]), megabytes ?? "", address("census/\(number)/above0")]
      })
  }
}
