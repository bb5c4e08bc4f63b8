import Contracts
import Statistics
import Support

extension TextRun {
  /// Every metric at every snapshot that `sources` score: sets of text in the first place, then tasks.
  ///
  /// - Throws: `UserError` when an output is missing, of another stage or id, scores another run or not its
  ///   last snapshot, or lacks a number.
  static func values(
    _ sources: [(stage: Stage, input: StageConfiguration.Input)], of run: String, steps: Int,
    curve: [Stretch]
  ) throws -> [Metrics.Value] {
    try sources.flatMap { stage, input -> [Metrics.Value] in
      let index = try StageIndex(of: stage, input: input)
      let source = "\(input.path)/\(StageIndex.fileName)"
      guard index.inputs["run"] == run else {
        throw UserError(
          "\(source): inputs.run", expected: run, found: index.inputs["run"] ?? "none")
      }
      var metadata = try ConfigReader(index.metadata, source: "\(source): metadata")
      let snapshots = try metadata.objects("snapshots").map { snapshot in
        var snapshot = snapshot
        let step = try snapshot.int("step")
        let place = Place(step: step, tokens: Self.tokens(at: step, of: curve))
        return (
          step,
          stage == .downstream
            ? try place.tasks(snapshot.object("tasks")) : try place.sets(snapshot.object("sets"))
        )
      }
      guard snapshots.last?.0 == steps else {
        throw UserError(
          source, expected: "a snapshot after step \(steps)",
          found: snapshots.last.map { "\($0.0)" } ?? "none")
      }
      // By metric, then step.
      let metrics = snapshots[0].1.map(\.metric)
      return metrics.flatMap { metric in
        snapshots.flatMap { $0.1.filter { $0.metric == metric } }
      }
    }
  }

  /// Predictions trained on until a step, on the line between two lines of the metrics.
  private static func tokens(at step: Int, of curve: [Stretch]) -> Int {
    guard let after = curve.firstIndex(where: { $0.step >= step }) else {
      return curve.last?.tokens ?? 0
    }
    let (from, to) = (after == 0 ? nil : curve[after - 1], curve[after])
    let (firstStep, firstTokens) = (from?.step ?? 0, from?.tokens ?? 0)
    return firstTokens
      + (to.tokens - firstTokens) * (step - firstStep) / max(1, to.step - firstStep)
  }

  /// A snapshot.
  private struct Place {
    let step: Int
    let tokens: Int

    private func value(
      _ measure: Metrics.Metric.Measure, _ set: String, _ value: Double, error: Double = 0,
      standing: String? = nil
    ) -> Metrics.Value {
      Metrics.Value(
        Metrics.Metric(measure, set), step: step, tokens: tokens, value: value, error: error,
        standing: standing)
    }

    func sets(_ sets: ConfigReader) throws -> [Metrics.Value] {
      var sets = sets
      return try sets.keys.map { name in
        var set = try sets.object(name)
        return value(.loss, name, try set.double("natsPerToken"))
      }
    }

    func tasks(_ tasks: ConfigReader) throws -> [Metrics.Value] {
      var tasks = tasks
      return try tasks.keys.flatMap { name -> [Metrics.Value] in
        var task = try tasks.object(name)
        var accuracy = try task.object(try task.string("metric"))
        var bits = try task.object("bitsPerByteV1")
        // That of the interval, which is not 0 where all answers are right.
        let width = try accuracy.double("high") - accuracy.double("low")
        return [
          value(
            .accuracy, name, try accuracy.double("value"),
            error: width / (2 * normalQuantile(0.975)), standing: try accuracy.string("standing")),
          value(.bitsPerByte, name, try bits.double("value")),
        ]
      }
    }
  }
}
