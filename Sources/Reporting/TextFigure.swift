import Statistics
import Support

/// What a report over text is made of: the parameters of stage "report" with a `kind`.
package struct TextFigureParameters: Sendable {
  package enum Kind: String, CaseIterable, Sendable { case scalingLaw, lossCurves, ablation }

  package struct Variant: Sendable, Equatable {
    package let name, description: String
    /// V.
    package let vocabulary: Int
    /// Rows of the token's own table: V or 0.
    package let tokenRows: Int
    /// Rows and columns of the n-gram tables.
    package let tables: [(rows: Int, width: Int)]

    /// Rows of all tables of one slice: what the paper calls the size of the input vocabulary.
    package var inputVocabulary: Int { tokenRows + (tables.first?.rows ?? 0) }
    /// m: rows of the first n-gram table; 0 without.
    package var rows: Int { tables.first?.rows ?? 0 }
    /// Elements of the n-gram tables.
    package var tableParameters: Int { tables.reduce(0) { $0 + $1.rows * $1.width } }

    package static func == (a: Variant, b: Variant) -> Bool {
      a.name == b.name && a.description == b.description && a.vocabulary == b.vocabulary
        && a.tokenRows == b.tokenRows && a.tables.elementsEqual(b.tables, by: ==)
    }
  }

  /// What the paper says of `variant` against another.
  package struct Claim: Sendable, Equatable {
    package let variant, against: String
    package let says: FigureParameters.Statement
  }

  package let kind: Kind
  package let figure, preset, title, size, baseline: String
  package let seeds: [Int]
  /// The last part of the pass, over which the training loss is the mean.
  package let stretch: Double
  package let variants: [Variant]
  package let comparisons: [Claim]
  /// The paper's numbers by row, then metric.
  package let paper: [String: [String: Double]]
  package let drawing: Drawing?

  /// - Throws: `UserError` naming the key for anything missing, unknown or of the wrong kind.
  package init(_ configuration: StageConfiguration) throws {
    var reader = try configuration.reader()
    kind = try reader.choice("kind", Kind.self)
    figure = try reader.string("figure")
    preset = try reader.string("preset")
    title = try reader.string("title")
    size = try reader.string("size")
    baseline = try reader.string("baseline")
    seeds = try reader.ints("seeds")
    stretch = try reader.double("stretch", in: 0...1)
    variants = try reader.objects("variants").map { reader in
      var reader = reader
      return Variant(
        name: try reader.string("name"), description: try reader.string("description"),
        vocabulary: try reader.int("vocabulary", in: 1...Int.max),
        tokenRows: try reader.int("tokenRows", in: 0...Int.max),
        tables: try reader.objects("tables").map { table in
          var table = table
          _ = (try table.int("order"), try table.int("slice"))
          return (try table.int("rows", in: 1...Int.max), try table.int("width", in: 1...Int.max))
        })
    }
    comparisons = try reader.objects("comparisons").map { reader in
      var reader = reader
      return Claim(
        variant: try reader.string("variant"), against: try reader.string("against"),
        says: try reader.choice("says", FigureParameters.Statement.self))
    }
    var paper: [String: [String: Double]] = [:]
    var rows = try reader.object("paper")
    for row in rows.keys {
      var metrics = try rows.object(row)
      for metric in metrics.keys { paper[row, default: [:]][metric] = try metrics.double(metric) }
    }
    self.paper = paper
    if let script = try reader.optionalString("drawing") {
      drawing = Drawing(script: script, digest: try reader.string("drawingDigest"))
    } else {
      drawing = nil
    }
    try reader.finish()
  }
}

/// All runs of a figure over text, complete and comparable.
package struct TextFigure: Sendable {
  package let parameters: TextFigureParameters
  /// By seed, then variant, in the order of the parameters.
  package let runs: [[TextRun]]

  /// Checks that the runs are one for every seed and variant, with equal steps and metrics at equal
  /// steps and tokens within a seed.
  ///
  /// - Throws: `UserError` naming the missing or deviating run.
  package init(_ parameters: TextFigureParameters, runs: [TextRun]) throws {
    self.parameters = parameters
    self.runs = try parameters.seeds.map { seed in
      var first: TextRun?
      return try parameters.variants.map { variant in
        let name = Self.name(variant.name, parameters.size, seed)
        guard let run = runs.first(where: { $0.variant == variant.name && $0.seed == seed }) else {
          throw Self.missing(name, parameters.figure)
        }
        let reference = first ?? run
        first = reference
        guard run.curve.map(\.step) == reference.curve.map(\.step),
          run.curve.map(\.tokens) == reference.curve.map(\.tokens)
        else {
          throw UserError(
            "run '\(name)'", expected: "the steps and tokens of the other runs of its seed",
            found: "others",
            remedy: "Runs that are compared need equal batches and equal logEverySteps.")
        }
        return run
      }
    }
  }

  /// Reads every run that `configuration` lists.
  package init(_ configuration: StageConfiguration) throws {
    let parameters = try TextFigureParameters(configuration)
    var runs: [TextRun] = []
    for variant in parameters.variants {
      for seed in parameters.seeds {
        let name = Self.name(variant.name, parameters.size, seed)
        guard let train = configuration.inputs["train/" + name],
          let evaluate = configuration.inputs["evaluate/" + name]
        else { throw Self.missing(name, parameters.figure) }
        runs.append(
          try TextRun(variant: variant.name, seed: seed, train: train, evaluate: evaluate))
      }
    }
    try self.init(parameters, runs: runs)
  }

  private static func name(_ variant: String, _ size: String, _ seed: Int) -> String {
    EvaluatedRun.name(variant: variant, size: size, seed: seed)
  }

  private static func missing(_ name: String, _ figure: String) -> UserError {
    UserError(
      "run '\(name)'", expected: "a trained and evaluated run among the inputs", found: "none",
      remedy: "Make the figure again: every make writes its configuration anew.")
  }

  // MARK: - Measures

  /// A loss that is compared between variants.
  package enum Measure: String, CaseIterable, Sendable {
    case train = "train_loss"
    case heldout = "eval_loss"
    case other = "other_loss"
  }

  package func loss(_ run: TextRun, _ measure: Measure) -> Double {
    switch measure {
    case .train: run.meanLoss(from: 1 - parameters.stretch, to: 1)
    case .heldout: run.scores["heldout"]?.natsPerToken ?? .nan
    case .other: run.scores["other"]?.natsPerToken ?? .nan
    }
  }

  /// Losses by seed, then variant.
  package func losses(_ measure: Measure) -> [[Double]] {
    runs.map { $0.map { loss($0, measure) } }
  }

  /// Position of a variant, which the parameters are known to have.
  func position(_ variant: String) -> Int {
    guard let position = parameters.variants.firstIndex(where: { $0.name == variant }) else {
      preconditionFailure("planning checks the names of variants")
    }
    return position
  }

  /// What stands at the head of every result file.
  var heading: [String: ConfigValue] {
    [
      "figure": .string(parameters.figure), "preset": .string(parameters.preset),
      "title": .string(parameters.title),
      "seeds": .array(parameters.seeds.map(ConfigValue.integer)),
      "tokens": .array(runs.map { .integer($0[0].tokens) }),
      "stretch": .double(parameters.stretch),
      "runs": .array(
        runs.joined().map {
          [
            "name": .string(Self.name($0.variant, parameters.size, $0.seed)),
            "train": .string($0.trainID), "evaluate": .string($0.evaluateID),
          ]
        }),
    ]
  }

  // MARK: - Evidence

  /// CPU seconds of a training run over those of the baseline of the same seed, one line a run in the
  /// order of `runs`. A line stays empty where they are not known, or where a run was interrupted and
  /// went on. CPU seconds, because other work on the machine stretches the clock's.
  package var timeRatios: String {
    var text = "cpu_time_ratio\n"
    let baseline = position(parameters.baseline)
    for bySeed in runs {
      let seconds = bySeed.map(Self.cpuSeconds)
      for value in seconds {
        if let value, let base = seconds[baseline] {
          text += "\(((value / base) * 1e4).rounded() / 1e4)"
        }
        text += "\n"
      }
    }
    return text
  }

  private static func cpuSeconds(_ run: TextRun) -> Double? {
    guard let value = try? ConfigValue.load(path: run.directory + "/evidence.json"),
      case .object(let facts)? = value["facts"], facts["resumedStep"] == .integer(0),
      case .double(let seconds)? = value["cpuSeconds"], seconds > 0
    else { return nil }
    return seconds
  }
}

// MARK: - Numbers in result files

extension Estimate {
  /// The estimate as it stands in a result file.
  var result: ConfigValue {
    [
      "value": .number(value), "standardError": .number(standardError),
      "low": interval.map { .number($0.low) } ?? .null,
      "high": interval.map { .number($0.high) } ?? .null,
    ]
  }

  /// `reproduced` when the whole interval of a difference in loss lies on the side that the statement
  /// says, `notReproduced` when on the other, else `inconclusive`.
  func verdict(_ statement: FigureParameters.Statement) -> Verdict {
    guard let interval else { return .inconclusive }
    if interval.high < 0 { return statement == .better ? .reproduced : .notReproduced }
    if interval.low > 0 { return statement == .better ? .notReproduced : .reproduced }
    return .inconclusive
  }

  /// "-0.170 [-0.182, -0.158]".
  var text: String {
    Figure.signed(value)
      + (interval.map { " [\(Figure.signed($0.low)), \(Figure.signed($0.high))]" } ?? "")
  }
}

extension ConfigValue {
  /// A number, or null where it is none.
  static func number(_ value: Double) -> ConfigValue { value.isFinite ? .double(value) : .null }
}
