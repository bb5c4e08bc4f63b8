import Contracts
import Engine
import Kernels
import Parallel
import Support
import Torch

/// What a call of the stage has to say when it is over.
package struct TrainingSummary: Sendable {
  package let outcome: TrainingOutcome
  package let steps: Int
  /// Consumed since step 0.
  package let progress: TrainingProgress
  package let parameterCount: Int
  package let resumedStep: Int
  /// Of the loop, in this process.
  package let seconds: Double
  /// Characters, rows and steps a second of the loop in this process.
  package let symbolsPerSecond, rowsPerSecond, stepsPerSecond: Double
  /// Bytes of the decoded data, and of weights, moments, gradients and activations at capacity.
  package let dataBytes, workingBytes: Int
  package let precision: Precision
  /// What multiplied matrices: the kernels of this machine's CPU, or a device and its library.
  package let maker: [String: String]
  /// Where the tables of a device lay.
  package let tableMemory: DeviceTablePlace?
  /// What the symbols are.
  package let kind: DataKind
  /// Rows of distinct f-grams for each row, in this process; nil for models without.
  package let fGramRowsPerRow: Double?

  /// For `evidence.json`.
  package var facts: [String: ConfigValue] {
    var facts: [String: ConfigValue] = [
      "seconds": .double(seconds),
      (kind == .text ? "bytesPerSecond" : "symbolsPerSecond"): .double(symbolsPerSecond),
      "rowsPerSecond": .double(rowsPerSecond), "stepsPerSecond": .double(stepsPerSecond),
      "resumedStep": .integer(resumedStep), "dataBytes": .integer(dataBytes),
      "workingBytes": .integer(workingBytes), "blasCore": .string(BLAS.coreName),
      "blasVersion": .string(BLAS.version), "precision": .string(precision.rawValue),
    ]
    for (name, value) in maker where name != TrainingKernels.core { facts[name] = .string(value) }
    if maker[TrainingKernels.bfloat16] != nil {
      // By name: emulated ones have the bits of others, and another speed.
      facts[TrainingKernels.bfloat16] = .string(BFloat16Kernel.current.rawValue)
    }
    if let tableMemory { facts["deviceTables"] = .string(tableMemory.rawValue) }
    if let fGramRowsPerRow { facts["fGramRowsPerRow"] = .double(fGramRowsPerRow) }
    return facts
  }

  /// One or two lines for people; `output` is the run's directory.
  package func text(output: String) -> String {
    let rate =
      "\(Progress.short(symbolsPerSecond)) \(kind.symbols)/s, "
      + "\(Progress.short(rowsPerSecond)) rows/s"
    switch outcome {
    case .finished:
      return "\(output): \(steps) steps, "
        + "\(Progress.short(Double(progress.symbols))) \(kind.symbols), "
        + "\(parameterCount) parameters, \(Progress.clock(seconds)) at \(rate)"
    case .stopped(let step):
      return "\(output): stopped after step \(step) of \(steps), checkpoint written. "
        + "Run the same command again to go on."
    }
  }
}

/// The stage behind `ott-train`.
package enum TrainingStage {
  /// Loads the data that `configuration` names and trains in `output`, from the start, which the input
  /// `initial` may give, or from the checkpoint there.
  ///
  /// - Parameters:
  ///   - stopAfter: step after which to write a checkpoint and stop, unless it is the last.
  ///   - ranks: those that share the lanes; each calls this. Rank 0 alone writes and tells people.
  ///   - tables: how ranks hold tables.
  ///   - tableMemory: where tables lie that a device trains; nil: there, if it has room for them.
  ///   - shouldStop: asked between steps; true stops likewise.
  /// - Throws: as `TrainingData` and `Trainer`; whoever started the ranks ends the others then.
  package static func run(
    _ configuration: StageConfiguration, output: String, threads: Int, isQuiet: Bool,
    title: String = Stage.train.rawValue, stopAfter: Int? = nil,
    ranks: any Communicator = LocalCommunicator(), tables: TablePlacement = .sharded,
    tableMemory: DeviceTablePlace? = nil,
    shouldStop: () -> Bool = { false }
  ) throws -> TrainingSummary {
    guard Set(configuration.inputs.keys).subtracting(["data", "initial"]).isEmpty else {
      throw UserError(
        "\(configuration.source): inputs",
        expected: "'data', a map set, and at most 'initial', a run whose weights it begins with",
        found: configuration.inputs.keys.sorted().joined(separator: ", "))
    }
    let data = try TrainingData(configuration.input("data"), threads: threads)
    let trainer = try Trainer(
      configuration: configuration, data: data, output: output, threads: threads, ranks: ranks,
      tables: tables, tableMemory: tableMemory,
      initial: configuration.inputs["initial"].map { try InitialWeights($0) })
    let before = trainer.state.progress
    let steps = trainer.plan.steps
    let start = Host.monotonicSeconds
    var display = Progress(
      title, unit: "steps", total: steps, done: before.step,
      isQuiet: isQuiet || !ranks.decides)
    let outcome = try trainer.run(
      shouldStop: { step in shouldStop() || stopAfter.map { step >= $0 } ?? false },
      report: { tick in
        display.update(
          done: tick.progress.step,
          detail: Self.detail(
            tick, since: before, seconds: Host.monotonicSeconds - start, kind: data.kind))
      })
    display.finish()
    let seconds = Host.monotonicSeconds - start
    let after = trainer.state.progress
    let rate = { (count: Int) in seconds > 0 ? Double(count) / seconds : 0 }
    return TrainingSummary(
      outcome: outcome, steps: steps, progress: after,
      parameterCount: trainer.engine.parameters.layout.parameterCount, resumedStep: before.step,
      seconds: seconds, symbolsPerSecond: rate(after.symbols - before.symbols),
      rowsPerSecond: rate(after.rows - before.rows), stepsPerSecond: rate(after.step - before.step),
      dataBytes: data.bytes,
      workingBytes: trainer.engine.workingBytes
        + 4
        * ParameterArray.allCases.reduce(0) {
          $0 + trainer.engine.parameters.held(of: $1).count
        },
      precision: trainer.plan.parameters.training.precision,
      maker: trainer.plan.maker(trainer.engine),
      tableMemory: (trainer.engine as? DeviceTrainingEngine)?.tableMemory,
      kind: data.kind,
      fGramRowsPerRow: trainer.model.fGrams.map { _ in
        Double(trainer.fGramRows) / Double(max(1, after.rows - before.rows))
      })
  }

  private static func detail(
    _ tick: Trainer.Tick, since before: TrainingProgress, seconds: Double, kind: DataKind
  ) -> String {
    let symbols = Double(tick.progress.symbols - before.symbols) / seconds
    let rows = Double(tick.progress.rows - before.rows) / seconds
    let loss = (tick.loss * 1e4).rounded() / 1e4
    return "loss \(loss), \(Progress.short(symbols)) \(kind.symbols)/s, "
      + "\(Progress.short(rows)) tokens/s"
  }
}
