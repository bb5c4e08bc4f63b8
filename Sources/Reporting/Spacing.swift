import Contracts
import Foundation
import Statistics
import Support

/// Whether three variants lie on a line over the logarithm of the input vocabulary: whether every decade of
/// it gains as much.
///
/// With losses a, b, c at input vocabularies u < v < w the middle one lies
///
///     sag = (b − (1 − s)·a − s·c) / (a − c),   s = log(v / u) / log(w / u)
///
/// above the line of the other two, in parts of their fall: 0 on the line, above 0 where the second part gains
/// more, below where the first does. What the scaling law asks of five sizes is asked of three.
package struct Spacing {
  let spacing: TextFigureParameters.Spacing
  package let sag: Estimate
  package let fall: Estimate

  /// - Parameters:
  ///   - losses: by seed, then variant.
  package init(
    _ spacing: TextFigureParameters.Spacing, _ losses: [[Double]],
    _ variants: [TextFigureParameters.Variant]
  ) {
    self.spacing = spacing
    let places = spacing.variants.map { name in
      guard let place = variants.firstIndex(where: { $0.name == name }) else {
        preconditionFailure("planning checks the names")
      }
      return place
    }
    let sizes = places.map { Double(variants[$0].inputVocabulary) }
    let share = log(sizes[1] / sizes[0]) / log(sizes[2] / sizes[0])
    let measures = RepeatedMeasures(losses)
    var weights = [Double](repeating: 0, count: variants.count)
    (weights[places[0]], weights[places[1]], weights[places[2]]) = (share - 1, 1, -share)
    fall = measures.difference(places[0], places[2])
    sag = measures.contrast(weights).scaled(by: 1 / fall.value)
  }

  /// *Reproduced* where the sag is surely within `ScalingLaw.straightness`, *not reproduced* where it is
  /// surely beyond; inconclusive without a sure fall.
  package var verdict: Verdict {
    guard let fall = fall.interval, fall.low > 0, let interval = sag.interval else {
      return .inconclusive
    }
    let bound = ScalingLaw.straightness
    if interval.low > bound || interval.high < -bound { return .notReproduced }
    return interval.low > -bound && interval.high < bound ? .reproduced : .inconclusive
  }

  var name: String { spacing.variants.joined(separator: ", ") }

  var members: ConfigValue {
    .object(
      sag.members.merging([
        "fall": fall.result, "verdict": .string(verdict.rawValue),
      ]) { $1 })
  }
}
