import Contracts
import Statistics
import Support

/// One finished evaluation as the report reads it.
package struct EvaluatedRun: Sendable {
  /// The scores of one snapshot.
  package struct Point: Sendable, Equatable {
    package let step, sentences, characters: Int
    package let accuracy, accuracyLow, accuracyHigh: Double
    package let natsPerCharacter, excessNatsPerCharacter: Double
    /// NaN where it is not known.
    package let excessStandardError: Double
    /// Of what no sentence of the training stream equals; of the last snapshot, where it was looked for.
    package let unseen: Unseen?

    /// The standard error of the accuracy from the width of its 95 % interval.
    package var accuracyError: Double { EvaluatedRun.error(accuracyLow, accuracyHigh) }
  }

  /// The scores of strings that the model was not trained on.
  package struct Unseen: Sendable, Equatable {
    package let accuracy, accuracyLow, accuracyHigh: Double
    package let excessNatsPerCharacter, excessStandardError: Double
    /// Part of the scored held-out sentences that are unseen.
    package let heldoutShare: Double

    package var accuracyError: Double { EvaluatedRun.error(accuracyLow, accuracyHigh) }
  }

  /// Standard error from the width of a 95 % interval, which unlike √(p(1−p)/n) is not 0 when all or none
  /// of the samples are right.
  fileprivate static func error(_ low: Double, _ high: Double) -> Double {
    (high - low) / (2 * normalQuantile(0.975))
  }

  package let variant: String
  package let size: String
  package let seed: Int
  /// Id of the evaluation and of the training run it scores.
  package let id, trainID: String
  package let parameters: Int
  package let model: ConfigValue
  /// Ascending steps; at least one.
  package let points: [Point]

  /// The snapshot after the last step.
  package var final: Point { points[points.count - 1] }

  package init(
    variant: String, size: String, seed: Int, id: String = "", trainID: String = "",
    parameters: Int, model: ConfigValue = .object([:]), points: [Point]
  ) {
    precondition(!points.isEmpty, "a run has a snapshot")
    self.variant = variant
    self.size = size
    self.seed = seed
    self.id = id
    self.trainID = trainID
    self.parameters = parameters
    self.model = model
    self.points = points
  }

  /// Reads the index of the evaluation that `input` names.
  ///
  /// - Throws: `UserError` when it is missing, of another stage or id, or lacks a score.
  package init(variant: String, size: String, seed: Int, input: StageConfiguration.Input) throws {
    let index = try StageIndex(of: .evaluate, input: input)
    let source = "\(input.path)/\(StageIndex.fileName): metadata"
    // Strictness is the writer's: a report takes what it needs and leaves the rest.
    var reader = try ConfigReader(index.metadata, source: source)
    let points = try reader.objects("snapshots").map { try Point(reader: $0) }
    guard !points.isEmpty, zip(points, points.dropFirst()).allSatisfy({ $0.step < $1.step }) else {
      throw UserError(source, expected: "snapshots with ascending steps", found: "\(points.count)")
    }
    self.init(
      variant: variant, size: size, seed: seed, id: index.id, trainID: index.inputs["run"] ?? "",
      parameters: try reader.int("parameters"), model: reader.value("model") ?? .object([:]),
      points: points)
  }
}

extension EvaluatedRun.Point {
  init(reader: ConfigReader) throws {
    var reader = reader
    step = try reader.int("step", in: 0...Int.max)
    sentences = try reader.int(DataKind.grammar.sequences, in: 0...Int.max)
    characters = try reader.int(DataKind.grammar.symbols, in: 0...Int.max)
    accuracy = try reader.double("accuracy", in: 0...1)
    accuracyLow = try reader.double("accuracyLow", in: 0...1)
    accuracyHigh = try reader.double("accuracyHigh", in: 0...1)
    natsPerCharacter = try reader.double("natsPerCharacter")
    excessNatsPerCharacter = try reader.double("excessNatsPerCharacter")
    excessStandardError = try reader.double("excessStandardError")
    unseen = try reader.optionalObject("unseen").map { try EvaluatedRun.Unseen(reader: $0) }
  }
}

extension EvaluatedRun.Unseen {
  init(reader: ConfigReader) throws {
    var reader = reader
    accuracy = try reader.double("accuracy", in: 0...1)
    accuracyLow = try reader.double("accuracyLow", in: 0...1)
    accuracyHigh = try reader.double("accuracyHigh", in: 0...1)
    excessNatsPerCharacter = try reader.double("excessNatsPerCharacter")
    excessStandardError = try reader.double("excessStandardError")
    heldoutShare = try reader.double("heldoutShare", in: 0...1)
  }
}
