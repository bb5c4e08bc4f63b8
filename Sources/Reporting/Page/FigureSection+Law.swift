import Support

/// What a page says of the law of the input vocabulary's size.
extension FigureSection {
  mutating func addLaw() throws {
    let measures = TextFigure.Measure.losses.filter { json["fits"]?[$0.rawValue] != nil }
    var claims: [[String]] = []
    var fits: [[String]] = []
    for measure in measures {
      let fit = json["fits"]?[measure.rawValue] ?? .null
      for (number, claim) in (fit["claims"]?.items ?? []).enumerated() {
        verdicts.append(text(claim["verdict"]))
        claims.append([
          text(claim["statement"]), Self.name(measure), estimate(claim["estimate"]),
          p(claim), strong(claim["verdict"]) + trunkNote,
          address("fits/\(measure.rawValue)/claims/\(number)/estimate/value"),
        ])
      }
      fits.append([
        Self.name(measure), estimate(fit["a"]), estimate(fit["b"]), fixed(fit["rSquared"], 3),
        signed(fit["lossPerFactor4"]), times(fit["ratioToPaper"]), lackOfFit(fit["lackOfFit"]),
        furthest(fit),
        address("fits/\(measure.rawValue)/b/value"),
      ])
    }
    addTable(
      ["claim", "of the", "value, 95 %", "p by Holm", "verdict", "address"], "llrrll", claims)
    addNear()
    addCounting()
    let paper = json["paper"]?.members.values.reduce(into: [:]) { all, row in
      all.merge(row.members) { first, _ in first }
    }
    if let paper, !paper.isEmpty {
      fits.append([
        "paper's training loss", fixed(paper["a"], 4), fixed(paper["b"], 4), "",
        signed(paper["train_loss"]), "", "", "", "",
      ])
    }
    addTable(
      [
        "L = a − b·log₁₀(V + m), of the", "a, 95 %", "b, 95 %", "R²", "per factor of 4 in m",
        "b in parts of the paper's, 95 %", "lack of fit",
        "largest departure, in parts of the fall, 95 % for all at once", "address",
      ], "lrrrrrrrl", fits)
    try addPoints(measures)
  }

  /// The mean that lies furthest from the line, and its m.
  private func furthest(_ fit: ConfigValue) -> String {
    let departures = zip(fit["departures"]?.items ?? [], fit["fitted"]?.items ?? [])
    let furthest = departures.max {
      abs($0.0["value"]?.number ?? 0) < abs($1.0["value"]?.number ?? 0)
    }
    guard let (departure, m) = furthest else { return "" }
    let bounds = [departure["lowAtOnce"], departure["highAtOnce"]].map(signed).joined(
      separator: ", ")
    return "\(signed(departure["value"])) [\(bounds)], \(m == 0 ? "none" : "m = \(text(m))")"
  }

  private mutating func addPoints(_ measures: [TextFigure.Measure]) throws {
    let points = measures.map { json["fits"]?[$0.rawValue]?["points"]?.items ?? [] }
    let ratios = try timeRatios()
    addTable(
      ["m", "V + m"] + measures.flatMap { [Self.name($0), "difference, 95 %"] }
        + (ratios.isEmpty ? [] : ["CPU time, of the baseline's"]) + ["address"],
      "rr" + measures.map { _ in "rr" }.joined() + (ratios.isEmpty ? "" : "r") + "l",
      (points.first ?? []).enumerated().map { number, point in
        let m = text(point["m"])
        return [m == "0" ? "none" : m, text(point["inputVocabulary"])]
          + points.flatMap { points in
            [fixed(points[number]["mean"], 4), estimate(points[number]["difference"])]
          } + (ratios.isEmpty ? [] : [ratios[m] ?? ""])
          + [address("fits/\(measures[0].rawValue)/points/\(number)/mean")]
      })
  }

  /// Mean over seeds by m, where every run of it has one.
  private func timeRatios() throws -> [String: String] {
    guard figure.table.has("cpu_time_ratio") else { return [:] }
    let cells = try figure.table.texts("cpu_time_ratio").map { Double($0) }
    var result: [String: String] = [:]
    for (key, rows) in try figure.table.groups(by: ["m"]) {
      let known = rows.compactMap { cells[$0] }
      if known.count == rows.count {
        result[key[0]] = fixed(.double(known.reduce(0, +) / Double(known.count)), 2)
      }
    }
    return result
  }
}
