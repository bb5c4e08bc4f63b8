import Contracts
import Foundation
import Statistics
import Support

/// What a picture shows, made of its published CSV alone: means, bands and fits. The gnuplot scripts
/// draw these files and compute nothing.
package struct PictureData: Sendable {
  /// Contents by the ending behind the name of the figure.
  package let files: [(ending: String, text: String)]

  /// Curves of generation accuracy: per panel, model, size and sentences seen the mean over seeds and
  /// the smallest and largest seed.
  package static func accuracy(_ table: PublishedTable) throws -> PictureData {
    try curves(
      table, groups: ["panel", "model", "size", "sentences"], x: "sentences", y: "accuracy")
  }

  /// Curves of a difference in loss: per model, or m in results that name no model, and step the mean over
  /// seeds of tokens and difference, and the smallest and largest difference.
  package static func differences(_ table: PublishedTable) throws -> PictureData {
    let curve = table.has("model") ? "model" : "m"
    return try curves(table, groups: [curve, "step"], x: "tokens", y: "difference")
  }

  /// Curves of every metric: per measure, set, model and step the mean over seeds, and the smallest and
  /// largest seed.
  package static func metrics(_ table: PublishedTable) throws -> PictureData {
    try curves(table, groups: ["measure", "set", "model", "step"], x: "tokens", y: "value")
  }

  private static func curves(
    _ table: PublishedTable, groups: [String], x: String, y: String
  ) throws -> PictureData {
    let (places, values) = (try table.numbers(x), try table.numbers(y))
    let names = groups.dropLast()
    var text = (names + [x, "mean", "low", "high"]).joined(separator: ",") + "\n"
    for (key, rows) in try table.groups(by: groups) {
      let group = rows.map { values[$0] }
      let numbers: [Double] = [
        Summary(rows.map { places[$0] }).mean, Summary(group).mean, group.min() ?? .nan,
        group.max() ?? .nan,
      ]
      text += (key.dropLast() + numbers.map { "\($0)" }).joined(separator: ",") + "\n"
    }
    return PictureData(files: [("-curves.csv", text)])
  }

  /// The fitted line of each measure with its 95 % band at 41 places, and the means over seeds.
  package static func law(_ table: PublishedTable) throws -> PictureData {
    let sizes = try table.numbers("input_vocabulary")
    let bySize = try table.groups(by: ["input_vocabulary"])
    let seeds = try table.groups(by: ["seed"])
    // A table of one run per size and seed, the sizes in one order.
    guard
      seeds.allSatisfy({ seed in
        seed.rows.map { sizes[$0] } == bySize.map { sizes[$0.rows[0]] }
      })
    else {
      throw UserError(
        table.source, expected: "a run for every size and seed, in one order", found: "others")
    }
    let m = try table.integers("m")
    let distinct =
      table.has(TextCounts.distinctColumn) ? try table.integers(TextCounts.distinctColumn) : nil
    let fitted = ScalingLaw.fitted(
      rows: bySize.map { m[$0.rows[0]] },
      distinct: bySize.map { size in
        distinct.flatMap { distinct in
          m[size.rows[0]] == 0 ? nil : size.rows.map { distinct[$0] }.min()
        }
      })
    let x = fitted.map { log10(sizes[bySize[$0].rows[0]]) }
    let baseline = fitted.firstIndex { m[bySize[$0].rows[0]] == 0 } ?? 0
    var fits = "measure,input_vocabulary,fit,low,high\n"
    var means = "measure,input_vocabulary,mean\n"
    for measure in TextFigure.Measure.losses {
      let losses = try table.numbers(measure.rawValue)
      let fit = try ScalingLaw.Fit(
        x: x, losses: seeds.map { seed in fitted.map { losses[seed.rows[$0]] } },
        baseline: baseline,
        source: table.source)
      let (low, high) = (x.min() ?? 0, x.max() ?? 0)
      for step in 0...40 {
        let place = low + (high - low) * Double(step) / 40
        let value = fit.line.value(at: [1, place])
        let fields: [Double] = [
          pow(10, place), value.value, value.interval?.low ?? value.value,
          value.interval?.high ?? value.value,
        ]
        fits += measure.rawValue + "," + fields.map { "\($0)" }.joined(separator: ",") + "\n"
      }
      for size in bySize {
        let mean = Summary(size.rows.map { losses[$0] }).mean
        means += "\(measure.rawValue),\(size.key[0]),\(mean)\n"
      }
    }
    return PictureData(
      files: [("-fit.csv", fits), ("-means.csv", means), ("-counts.csv", try counts(table))])
  }

  /// Mean losses of models of n-grams, by measure and order.
  private static func counts(_ table: PublishedTable) throws -> String {
    var text = "measure,order,mean\n"
    for (measure, set) in [(TextFigure.Measure.heldout, ScoredSet.heldout), (.other, .other)] {
      for order in 2...8 where table.has(TextCounts.column(order, set)) {
        let losses = try table.numbers(TextCounts.column(order, set))
        text += "\(measure.rawValue),\(order),\(Summary(losses).mean)\n"
      }
    }
    return text
  }

  /// Curves one below the other, each headed by its name and two empty lines from the next.
  private static func blocks(
    _ table: PublishedTable, by group: String, x: String, y: String, title: (String) -> String
  ) throws -> PictureData {
    let (places, values) = (try table.texts(x), try table.texts(y))
    let texts = try table.groups(by: [group]).map { key, rows in
      "\(x),\"\(title(key[0]))\"\n" + rows.map { "\(places[$0]),\(values[$0])\n" }.joined()
    }
    return PictureData(files: [("-curves.csv", texts.joined(separator: "\n\n"))])
  }

  /// The data of whatever picture a CSV of this kind belongs to; nil for a table without a picture.
  package static func of(_ table: PublishedTable) throws -> PictureData? {
    if table.has("accuracy") { return try accuracy(table) }
    if table.has("f_grams") {
      return try blocks(table, by: "length", x: "tokens", y: "f_grams") { "\($0) tokens" }
    }
    if table.has("tokens_above") {
      return try blocks(table, by: "vocabulary", x: "threshold", y: "share") { "V = \($0)" }
    }
    if table.has("measure") { return try metrics(table) }
    if table.has("difference") { return try differences(table) }
    if table.has("input_vocabulary") { return try law(table) }
    return nil
  }
}
