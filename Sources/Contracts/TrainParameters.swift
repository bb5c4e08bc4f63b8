import Support

/// Stage train: everything of a run that its configuration decides, with no default left open.
package struct TrainParameters: StageParameters, KeyedParameters {
  package static let stage = Stage.train

  @Key() package var kind: DataKind
  /// As the models read it, without what the data decide: inputs and labels.
  @Key() package var model: ConfigValue
  @Key() package var optimizer: Optimizer
  @Key() package var schedule: Schedule
  @Key() package var training: Training
  @Key() package var snapshots: Snapshots
  /// Of the weights.
  @Key() package var seed: UInt64
  /// Of the order of the data.
  @Key() package var dataSeed: UInt64

  package init() {}

  package struct Optimizer: KeyedParameters {
    package enum Name: String, CaseIterable, Sendable { case adamw }

    @Key() package var name: Name
    /// The peak.
    @Key(in: 0...1e30) package var learningRate: Double
    @Key(in: 0...0.999_999_999) package var beta1: Double
    @Key(in: 0...0.999_999_999) package var beta2: Double
    @Key(in: 1e-30...1) package var epsilon: Double
    /// Of arrays of two dimensions, positions among them; never of biases and gains.
    @Key(in: 0...1e6) package var weightDecay: Double
    /// Largest global L2 norm of the gradient; 0 leaves gradients as they are.
    @Key(in: 0...1e30) package var clipNorm: Double
    /// Of an over-encoded model.
    @Key() package var tables: Tables?

    package init() {}
  }

  package struct Tables: KeyedParameters {
    @Key(in: 0...1e9) package var learningRateMultiplier: Double
    @Key(in: 0...1e6) package var weightDecay: Double
    @Key() package var moments: TableMoments

    package init() {}
  }

  package struct Schedule: KeyedParameters {
    package enum Kind: String, CaseIterable, Sendable { case cosine, linear, constant }

    @Key() package var kind: Kind
    @Key(in: 0...1_000_000_000) package var warmupSteps: Int
    /// Of the peak, at the last step; not of a constant rate.
    @Key(in: 0...1) package var finalFraction: Double?

    package init() {}

    package func check(_ reader: ConfigReader) throws {
      if kind == .constant && finalFraction != nil {
        throw reader.fault(
          "finalFraction", expected: "no such key with kind constant", found: "one",
          remedy: "Delete it.")
      }
      if kind != .constant && finalFraction == nil {
        throw reader.fault(
          "finalFraction", expected: "a number in 0.0...1.0", found: "no such key",
          remedy: "Add it.")
      }
    }
  }

  package struct Training: KeyedParameters {
    /// One of the two. E epochs are ⌈E · sequences / batchSequences⌉ steps.
    @Key(in: 1...1_000_000_000) package var steps: Int?
    @Key(in: 1...1_000_000) package var epochs: Int?
    /// Sentences or windows of a step.
    @Key(in: 1...1 << 20) package var batchSequences: Int
    /// Fixed cut of a batch: unit of parallelism, and of the bits of a sum.
    @Key(in: 1...4096) package var lanes: Int
    @Key(in: 1...1_000_000_000) package var checkpointEverySteps: Int
    @Key(in: 1...1_000_000_000) package var logEverySteps: Int
    @Key() package var precision: Precision
    /// What makes the steps, if it is libtorch; nil: the engine of this machine's CPU.
    @Key() package var device: TorchDevice?

    package init() {}

    package func check(_ reader: ConfigReader) throws {
      guard (steps == nil) != (epochs == nil) else {
        throw reader.fault(
          "steps", expected: "exactly one of steps and epochs",
          found: steps == nil ? "neither" : "both", remedy: "Keep the one you mean.")
      }
      guard lanes & (lanes - 1) == 0, lanes <= batchSequences else {
        let limit = 1 << (Int.bitWidth - 1 - min(lanes, batchSequences).leadingZeroBitCount)
        throw reader.fault(
          "lanes",
          expected: "a power of two of at most \(batchSequences), the sequences of a batch",
          found: "\(lanes)", remedy: "Set lanes to \(limit).")
      }
    }
  }

  /// The steps after which weights are kept: `count` of them, evenly or by equal factors from `first`
  /// on, or the `steps` themselves.
  package struct Snapshots: KeyedParameters {
    package enum Spacing: String, CaseIterable, Sendable { case linear, log }

    @Key(in: 1...100_000) package var count: Int?
    @Key() package var spacing: Spacing?
    /// Of spacing log.
    @Key(in: 1...1_000_000_000) package var first: Int?
    @Key(in: 1...1_000_000_000) package var steps: [Int]?
    /// Whether the initial weights are one more.
    @Key() package var initial: Bool

    package init() {}

    package func check(_ reader: ConfigReader) throws {
      let given: [(String, Bool)] = [
        ("count", count != nil), ("spacing", spacing != nil), ("first", first != nil),
      ]
      let wanted = steps == nil ? [true, true, spacing == .log] : [false, false, false]
      for (key, wanted) in zip(given, wanted) where key.1 != wanted {
        throw reader.fault(
          key.0, expected: "count and spacing (with spacing log also first), or steps",
          found: wanted ? "no such key" : "one too many",
          remedy: wanted ? "Add it." : "Delete it.")
      }
    }
  }

  // MARK: - Checks

  package func check(_ reader: ConfigReader) throws {
    for key in ["inputs", "labels"] {
      guard let found = model[key] else { continue }
      throw reader.fault(
        "model.\(key)", expected: "no such key: it comes from the map set",
        found: found.summary, remedy: "Delete it.")
    }
    if let steps = training.steps { try check(steps: steps, reader) }
  }

  /// Checks what depends on the number of steps, which may follow from `epochs`.
  package func check(steps: Int, _ reader: ConfigReader) throws {
    guard schedule.warmupSteps < steps else {
      throw reader.fault(
        "schedule.warmupSteps", expected: "below \(steps), the steps of the run",
        found: "\(schedule.warmupSteps)", remedy: "Shorten the warm-up or train longer.")
    }
    if let first = snapshots.first, first > steps {
      throw reader.fault(
        "snapshots.first", expected: "at most \(steps), the steps of the run", found: "\(first)")
    }
    guard let list = snapshots.steps else { return }
    guard zip(list, list.dropFirst()).allSatisfy(<), list.last == steps else {
      throw reader.fault(
        "snapshots.steps", expected: "ascending steps, the last of them \(steps)",
        found: "\(list)",
        remedy: "End the list with the run's last step, or give count and spacing.")
    }
  }
}

extension TrainParameters {
  /// The object that a model is read from: `model` with what the data decide.
  package func modelValue(
    inputs: [(order: Int, rows: Int)], labels: Int
  ) -> ConfigValue {
    guard case .object(var members) = model else { preconditionFailure("a model is an object") }
    members["inputs"] = .array(
      inputs.map { ["order": .integer($0.order), "rows": .integer($0.rows)] })
    members["labels"] = .integer(labels)
    return .object(members)
  }
}
