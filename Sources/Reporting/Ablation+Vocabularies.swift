import Foundation
import Statistics

extension Ablation {
  /// What a table of vocabularies says to people: bits a byte, as their tokens are not each other's.
  var vocabularyTable: String {
    let (own, other) = (
      RepeatedMeasures(figure.losses(deciding)), RepeatedMeasures(figure.losses(second))
    )
    var text = "# \(parameters.title)\n\n"
    text += "Preset \(parameters.preset): \(parameters.seeds.count) seeds. Bits a byte of held-out "
    text += "documents of the same domain and of another.\n\n"
    text += "| model | | vocabulary | tokens read | parameters | held-out | other domain |\n"
    text += "|---|---|---|---|---|---|---|\n"
    for (i, variant) in parameters.variants.enumerated() {
      let run = figure.runs[0][i]
      let cells = [
        variant.name, variant.description, "\(variant.vocabulary)", "\(run.tokens)",
        "\(run.parameters)", String(format: "%.4f", own.means[i]),
        String(format: "%.4f", other.means[i]),
      ]
      text += "| " + cells.joined(separator: " | ") + " |\n"
    }
    text += "\n| comparison | \(statementHeading) | bits a byte, held-out, 95 % interval | verdict "
    text += "| other domain | by it |\n|---|---|---|---|---|---|\n"
    for judged in comparisons {
      let cells = [
        judged.name, judged.claim.by.cell(judged.claim.says.rawValue),
        judged.differences[deciding]?.text ?? "",
        "**\(judged.verdict(deciding).rawValue)**", judged.differences[second]?.text ?? "",
        judged.verdict(second).rawValue,
      ]
      text += "| " + cells.joined(separator: " | ") + " |\n"
    }
    return text
  }
}
