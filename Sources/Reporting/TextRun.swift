import Contracts
import Support

/// One training run over text with its scores, as a report reads it.
package struct TextRun: Sendable {
  /// The mean loss between two lines of the metrics.
  package struct Stretch: Sendable, Equatable {
    package let step: Int
    /// Predictions since the start.
    package let tokens: Int
    /// Nats a token since the line before.
    package let loss: Double

    package init(step: Int, tokens: Int, loss: Double) {
      self.step = step
      self.tokens = tokens
      self.loss = loss
    }
  }

  /// The score of a held-out set after the last step.
  package struct Score: Sendable, Equatable {
    package let natsPerToken: Double
    package let bitsPerByte: Double
    package let tokens: Int

    package init(natsPerToken: Double, bitsPerByte: Double, tokens: Int) {
      self.natsPerToken = natsPerToken
      self.bitsPerByte = bitsPerByte
      self.tokens = tokens
    }
  }

  package let variant: String
  package let seed: Int
  package let evaluateID, trainID: String
  /// The training run's directory, for evidence.
  package let directory: String
  package let parameters: Int
  package let steps: Int
  /// Ascending steps, the last is the run's.
  package let curve: [Stretch]
  package let scores: [ScoredSet: Score]
  /// Tokens that the embedding of a position of the training text stands for, on average; nil for a model
  /// without f-grams, where it is 1.
  package let matchLength: Double?
  /// Every metric at every snapshot, for a figure of those; see `Metrics`.
  package let values: [Metrics.Value]

  package init(
    variant: String, seed: Int, evaluateID: String = "", trainID: String = "",
    directory: String = "", parameters: Int, steps: Int, curve: [Stretch],
    scores: [ScoredSet: Score], matchLength: Double? = nil, values: [Metrics.Value] = []
  ) {
    precondition(curve.last?.step == steps, "a curve ends with the run")
    self.variant = variant
    self.seed = seed
    self.evaluateID = evaluateID
    self.trainID = trainID
    self.directory = directory
    self.parameters = parameters
    self.steps = steps
    self.curve = curve
    self.scores = scores
    self.matchLength = matchLength
    self.values = values
  }

  /// Predictions trained on.
  package var tokens: Int { curve[curve.count - 1].tokens }

  /// Mean nats a token over the lines that end in the part from·steps < step ≤ to·steps. Of one line it is
  /// that line's, to the last bit.
  package func meanLoss(from: Double, to: Double) -> Double {
    var (loss, count, before) = (0.0, 0, 0)
    var lines: [Stretch] = []
    for line in curve {
      let share = Double(line.step) / Double(steps)
      if share > from && share <= to {
        loss += line.loss * Double(line.tokens - before)
        count += line.tokens - before
        lines.append(line)
      }
      before = line.tokens
    }
    return lines.count == 1 ? lines[0].loss : loss / Double(count)
  }

  // MARK: - Reading

  /// Reads the indexes of the training run and the evaluation that a configuration names, and the
  /// run's metrics; `further` are scores of the run on more sets of text and on tasks.
  ///
  /// - Throws: `UserError` when something is missing, of another stage or id, altered, or lacks a score.
  package init(
    variant: String, seed: Int, train: StageConfiguration.Input,
    evaluate: StageConfiguration.Input, further: [(Stage, StageConfiguration.Input)] = []
  ) throws {
    let trained = try StageIndex(of: .train, input: train)
    let evaluated = try StageIndex(of: .evaluate, input: evaluate)
    guard evaluated.inputs["run"] == trained.id else {
      throw UserError(
        "\(evaluate.path)/\(StageIndex.fileName): inputs.run", expected: trained.id,
        found: evaluated.inputs["run"] ?? "none")
    }
    // Strictness is the writer's: a report takes what it needs and leaves the rest.
    var reader = try trained.reader()
    let steps = try reader.int("steps", in: 1...Int.max)
    let parameters = try reader.int("parameterCount", in: 1...Int.max)
    let source = "\(evaluate.path)/\(StageIndex.fileName): metadata"
    var metadata = try ConfigReader(evaluated.metadata, source: source)
    guard var final = try metadata.objects("snapshots").last else {
      throw UserError(source, expected: "at least one snapshot", found: "none")
    }
    guard try final.int("step") == steps else {
      throw UserError(
        source, expected: "a snapshot after step \(steps)", found: "\(try final.int("step"))")
    }
    var sets = try final.object("sets")
    var scores: [ScoredSet: Score] = [:]
    for name in ScoredSet.allCases {
      var set = try sets.object(name.rawValue)
      scores[name] = Score(
        natsPerToken: try set.double("natsPerToken"), bitsPerByte: try set.double("bitsPerByte"),
        tokens: try set.int("tokens"))
    }
    let curve = try Self.metrics(of: trained, steps: steps)
    self.init(
      variant: variant, seed: seed, evaluateID: evaluated.id, trainID: trained.id,
      directory: train.path, parameters: parameters, steps: steps, curve: curve, scores: scores,
      matchLength: try Self.matchLength(&reader),
      values: try Self.values(
        [(.evaluate, evaluate)] + further, of: trained.id, steps: steps, curve: curve))
  }

  /// Of what the index of a training run says of its data.
  private static func matchLength(_ index: inout ConfigReader) throws -> Double? {
    guard var data = try index.optionalObject("data"), data.has("lengths") else { return nil }
    let lengths = try data.objects("lengths").map { entry in
      var entry = entry
      return (tokens: try entry.int("length"), positions: try entry.int("positions"))
    }
    let positions = lengths.reduce(0) { $0 + $1.positions }
    return positions == 0
      ? nil : Double(lengths.reduce(0) { $0 + $1.tokens * $1.positions }) / Double(positions)
  }

  private static func metrics(of index: StageIndex, steps: Int) throws -> [Stretch] {
    let path = index.directory + "/metrics.jsonl"
    let described = try StageIndex.describe(files: ["metrics.jsonl"], in: index.directory)
    guard index.content["metrics"] == described else {
      throw UserError(
        path, expected: "the file that \(StageIndex.fileName) describes", found: "other bytes",
        remedy: StageIndex.remedy(index.directory))
    }
    let curve = try ByteLines(FileBytes.read(path)).map { line in
      var reader = try ConfigReader(
        ConfigValue.parse(yaml: String(decoding: line, as: UTF8.self), source: path),
        source: path)
      return Stretch(
        step: try reader.int("step"), tokens: try reader.int("rows"),
        loss: try reader.double("loss"))
    }
    guard curve.last?.step == steps, zip(curve, curve.dropFirst()).allSatisfy({ $0.step < $1.step })
    else {
      throw UserError(path, expected: "lines with steps that ascend to \(steps)", found: "others")
    }
    return curve
  }
}
