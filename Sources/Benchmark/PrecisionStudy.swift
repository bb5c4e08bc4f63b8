import Statistics
import Support

/// What training in bfloat16 changes in a figure: the same runs in both precisions, paired by model,
/// size and seed.
package struct PrecisionStudy: Sendable, Equatable {
  /// A figure's results as its report wrote them.
  private struct Results {
    /// "model", "size" and the claims, in the file's order.
    var curves: [(model: String, size: String, scores: [[Double]])] = []
    var claims: [(name: String, verdict: String)] = []

    init(_ path: String) throws {
      var reader = try ConfigReader(ConfigValue.load(path: path), source: path)
      for var curve in try reader.objects("curves") {
        let scores = try Measure.allCases.map { try curve.doubles($0.key) }
        curves.append((try curve.string("model"), try curve.string("size"), scores))
      }
      for var claim in try reader.objects("claims") {
        let (model, baseline) = (try claim.string("model"), try claim.string("baseline"))
        claims.append(
          ("\(model) vs \(baseline), \(try claim.string("size"))", try claim.string("verdict")))
      }
    }
  }

  private enum Measure: Int, CaseIterable {
    case accuracy
    case excess

    /// Of the report's JSON: the scores of every seed.
    var key: String { self == .accuracy ? "accuracyPerSeed" : "excessPerSeed" }
    /// In the table.
    var name: String { self == .accuracy ? "accuracy" : "excess_nats_per_char" }
  }

  /// A score of one run, or the mean over seeds (`seed` nil) of one model or of `all` of a size. The
  /// models of a seed share it, so of `all` each seed counts once, with the mean over its models.
  package struct Row: Sendable, Equatable {
    package let model, size, measure: String
    /// Position of the seed in the preset, from 1.
    package let seed: Int?
    package let float32, bfloat16: Double
    /// Of bfloat16 − float32, and its interval where there is one.
    package let difference: Double
    package let interval: Interval?
  }

  package let rows: [Row]
  /// Name of a claim, and its verdict in either precision.
  package let verdicts: [Verdict]

  package struct Verdict: Sendable, Equatable {
    package let claim, float32, bfloat16: String
  }

  /// - Parameters: paths of the figure's JSON in either precision.
  /// - Throws: `UserError` for files of other figures, and where models, sizes or seeds differ, the
  ///   seeds also among the models of a size.
  package init(float32: String, bfloat16: String) throws {
    let sides = (try Results(float32), try Results(bfloat16))
    func shape(_ results: Results) -> [String] {
      results.curves.map { "\($0.model)/\($0.size): \($0.scores[0].count) seeds" }
        + results.claims.map(\.name)
    }
    if let (a, b) = zip(shape(sides.0) + [""], shape(sides.1) + [""]).first(where: { $0 != $1 }) {
      throw UserError(
        bfloat16, expected: a.isEmpty ? "nothing more" : a, found: b.isEmpty ? "nothing more" : b,
        remedy: "Make the same figure at the same preset in both precisions.")
    }
    verdicts = zip(sides.0.claims, sides.1.claims).map {
      Verdict(claim: $0.name, float32: $0.verdict, bfloat16: $1.verdict)
    }
    var rows: [Row] = []
    var sizes: [String] = []
    for size in sides.0.curves.map(\.size) where !sizes.contains(size) { sizes.append(size) }
    for measure in Measure.allCases {
      func row(_ model: String, _ size: String, _ pairs: [(Double, Double)]) -> Row {
        let (a, b) = (pairs.map(\.0), pairs.map(\.1))
        let difference = pairedDifference(b, a)
        return Row(
          model: model, size: size, measure: measure.name, seed: nil, float32: Summary(a).mean,
          bfloat16: Summary(b).mean, difference: difference.mean,
          interval: difference.interval())
      }
      for size in sizes {
        var seeds: [[(Double, Double)]] = []
        for (a, b) in zip(sides.0.curves, sides.1.curves) where a.size == size {
          let pairs = Array(zip(a.scores[measure.rawValue], b.scores[measure.rawValue]))
          if seeds.isEmpty { seeds = pairs.map { _ in [] } }
          guard pairs.count == seeds.count else {
            throw UserError(
              "\(float32): \(a.model)/\(size)",
              expected: "\(seeds.count) seeds, as other models have",
              found: "\(pairs.count)", remedy: "Make the figure with the same seeds for all models."
            )
          }
          for (i, pair) in pairs.enumerated() {
            rows.append(
              Row(
                model: a.model, size: size, measure: measure.name, seed: i + 1, float32: pair.0,
                bfloat16: pair.1, difference: pair.1 - pair.0, interval: nil))
            seeds[i].append(pair)
          }
          rows.append(row(a.model, size, pairs))
        }
        let means = seeds.map { pairs in
          (Summary(pairs.map(\.0)).mean, Summary(pairs.map(\.1)).mean)
        }
        rows.append(row("all", size, means))
      }
    }
    self.rows = rows
  }

  /// Runs, means and verdicts. The interval is 95 %, Student t over the paired differences of
  /// the seeds.
  package var csv: [[String]] {
    let number = { (value: Double) in String((value * 1e6).rounded() / 1e6) }
    return [
      ["model", "size", "measure", "seed", "float32", "bfloat16", "difference", "low", "high"]
    ]
      + rows.map {
        [
          $0.model, $0.size, $0.measure, $0.seed.map(String.init) ?? "mean", number($0.float32),
          number($0.bfloat16), number($0.difference), $0.interval.map { number($0.low) } ?? "",
          $0.interval.map { number($0.high) } ?? "",
        ]
      }
      + verdicts.map { [$0.claim, "", "verdict", "", $0.float32, $0.bfloat16, "", "", ""] }
  }

  /// "5 of 6 verdicts are the same in both precisions", and those that are not.
  package var summary: String {
    let changed = verdicts.filter { $0.float32 != $0.bfloat16 }
    return
      ([
        "\(verdicts.count - changed.count) of \(verdicts.count) verdicts are the same in both precisions"
      ]
      + changed.map { "\($0.claim): \($0.float32) in float32, \($0.bfloat16) in bfloat16" })
      .joined(separator: "\n")
  }
}
