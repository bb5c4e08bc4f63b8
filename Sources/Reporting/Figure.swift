import Contracts
import Statistics
import Support

/// All runs of a figure, complete and comparable, and the texts that are made of them.
package struct Figure: Sendable {
  package let parameters: FigureParameters
  /// By variant, then size, then seed, in the order of the parameters.
  package let runs: [EvaluatedRun]

  private struct Key: Hashable {
    let variant: String
    let size: String
    let seed: Int
  }
  private let positions: [Key: Int]

  /// Checks that there is exactly one run for every variant, size and seed, and that runs of one size
  /// have their snapshots at the same steps and sentences.
  ///
  /// - Throws: `UserError` naming the missing or deviating run.
  package init(_ parameters: FigureParameters, runs: [EvaluatedRun]) throws {
    self.parameters = parameters
    self.runs = runs
    var positions: [Key: Int] = [:]
    for (position, run) in runs.enumerated() {
      positions[Key(variant: run.variant, size: run.size, seed: run.seed)] = position
    }
    self.positions = positions
    for size in parameters.sizes {
      var reference: EvaluatedRun?
      for variant in parameters.variants {
        for seed in parameters.seeds {
          guard let position = positions[Key(variant: variant, size: size, seed: seed)] else {
            throw Figure.missing(runName(variant: variant, size: size, seed: seed))
          }
          let run = runs[position]
          let first = reference ?? run
          reference = first
          try Figure.requireSameSchedule(run, first)
        }
      }
    }
  }

  /// Reads every run that `configuration` lists.
  package init(_ configuration: StageConfiguration, _ parameters: FigureParameters) throws {
    var runs: [EvaluatedRun] = []
    for variant in parameters.variants {
      for size in parameters.sizes {
        for seed in parameters.seeds {
          let name = runName(variant: variant, size: size, seed: seed)
          guard let input = configuration.inputs[name] else { throw Figure.missing(name) }
          runs.append(
            try EvaluatedRun(variant: variant, size: size, seed: seed, input: input))
        }
      }
    }
    try self.init(parameters, runs: runs)
  }

  /// The runs of one curve, by seed.
  package func runs(variant: String, size: String) -> [EvaluatedRun] {
    parameters.seeds.compactMap { seed in
      positions[Key(variant: variant, size: size, seed: seed)].map { runs[$0] }
    }
  }

  private static func missing(_ name: String) -> UserError {
    UserError(
      "run '\(name)'", expected: "an evaluated run among the inputs", found: "none",
      remedy: "Make the figure again: every make writes its configuration anew.")
  }

  private static func requireSameSchedule(_ run: EvaluatedRun, _ first: EvaluatedRun) throws {
    let (a, b) = (run.points, first.points)
    guard a.map(\.step) == b.map(\.step), a.map(\.sentences) == b.map(\.sentences) else {
      throw UserError(
        "run '\(runName(variant: run.variant, size: run.size, seed: run.seed))'",
        expected: "snapshots at steps \(b.map(\.step)) as in the other runs of its size",
        found: "\(a.map(\.step)), or other sentences a step",
        remedy: "Runs that are compared need equal sentences per step and equal snapshots.")
    }
  }
}
