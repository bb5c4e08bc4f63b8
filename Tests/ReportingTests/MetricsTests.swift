import Contracts
import Foundation
import Reporting
import Support
import Testing

@Suite struct MetricsTests {
  let runs: TemporaryRuns

  init() throws { runs = try TemporaryRuns() }

  private static let comparisons: ConfigValue = [
    ["variant": "m9", "against": "base", "says": "better"],
    ["variant": "m1", "against": "base", "says": "better", "by": "ours"],
  ]

  /// Three snapshots of loss on two sets, and of two tasks; m9 is better in loss by `gain`, with `scatter` of it
  /// from a seed to the next, and right more often by `right`.
  private func figure(gain: Double = 0.1, scatter: Double = 0, right: Double = 0.2) throws
    -> TextFigure
  {
    let parameters = try runs.figure("metrics", comparisons: Self.comparisons).parameters
    return try TextFigure(
      parameters,
      runs: parameters.variants.flatMap { variant in
        parameters.seeds.map { seed in
          let isBetter = variant.name == "m9"
          let noise = 0.001 * Double((seed * 7 + variant.name.utf8.count * seed) % 5)
          let ahead = isBetter ? gain * (1 + scatter * Double(seed - 2)) : 0
          let values = ["papers", "verse"].flatMap { set in
            (1...3).map { step in
              Metrics.Value(
                .init(.loss, set), step: step, tokens: 100 * step,
                value: 5 - Double(step) - ahead + noise)
            }
          }
          let accuracies = ["piqa", "sciq"].flatMap { set in
            (1...3).map { step in
              Metrics.Value(
                .init(.accuracy, set), step: step, tokens: 100 * step,
                value: 0.5 + (isBetter ? right : 0) + noise, error: 0.05,
                standing: isBetter ? "above" : "at")
            }
          }
          return TextRun(
            variant: variant.name, seed: seed, parameters: 1, steps: 3,
            curve: [.init(step: 3, tokens: 300, loss: .nan)], scores: [:],
            values: values + accuracies)
        }
      })
  }

  @Test func whatIsPlantedIsFound() throws {
    let json = Metrics(try figure()).json
    let claims = json["claims"]?.items ?? []
    #expect(claims.count == 4)
    #expect(
      claims.map { $0["verdict"]?.text } == [
        "same direction", "same direction", "inconclusive", "inconclusive",
      ])
    #expect(claims[0]["statement"] == "mean loss on 2 sets of text: m9 better than base")
    let ours = claims.compactMap { $0["statement"]?.text }.filter { $0.hasSuffix(" (ours)") }
    #expect(ours.count == 2 && ours[0] == "mean loss on 2 sets of text: m1 better than base (ours)")
    #expect(abs((claims[0]["effect"]?.number ?? 0) + 0.1) < 0.005)
    // Where the baseline ends, at 300 tokens, m9 is 0.1 of 100 tokens earlier.
    let ratio = try #require(claims[0]["speed"]?["ratio"]?.number)
    #expect(abs(ratio - 290.0 / 300) < 0.01)
    let metrics = json["metrics"]?.items ?? []
    #expect(metrics.map { $0["set"]?.text } == ["papers", "verse", "piqa", "sciq"])
    #expect(metrics[2]["atChance"] == ["base", "m1", "m99"] && metrics[0]["atChance"] == nil)
    #expect(metrics[2]["comparisons"]?.items.first?["model"] == "m9")
  }

  /// The error of few questions stands behind an accuracy, however equal the seeds are.
  @Test func fewQuestionsSettleNothing() throws {
    let claims = Metrics(try figure(right: 0.02)).json["claims"]?.items ?? []
    #expect(claims[1]["verdict"] == "inconclusive")
    #expect((claims[1]["samplingError"]?.number ?? 0) > 0.02)
  }

  /// Seeds that scatter by a third of the effect: three leave it near, and the result says how many would do.
  @Test func nearClaimsAreNamed() throws {
    let sure = Metrics(try figure()).json
    #expect(sure["near"] == [] && sure["claims"]?.items.first?["near"] == nil)
    let json = Metrics(try figure(scatter: 0.3)).json
    #expect(json["claims"]?.items.first?["near"]?["seedsToSettle"] == 5)
    let named = (json["near"]?.items ?? []).compactMap(\.text)
    #expect(named.count == 1)
    #expect(
      named.first?.hasPrefix("mean loss on 2 sets of text: m9 better than base: near") == true)
  }

  @Test func theWrongSideIsOpposite() throws {
    let claims = Metrics(try figure(gain: -0.1, right: -0.2)).json["claims"]?.items ?? []
    #expect(
      claims.prefix(2).map { $0["verdict"]?.text } == ["opposite direction", "opposite direction"])
  }

  @Test func theReportIsWhatTheCSVSays() throws {
    let metrics = Metrics(try figure())
    let table = try PublishedTable(Array(metrics.csv.utf8), source: "figure.csv")
    let again = Metrics(
      try TextFigure(metrics.figure.parameters, table, trains: [:], evaluates: [:]))
    #expect(again.csv == metrics.csv && again.json == metrics.json)
    let curves = try #require(PictureData.of(table)?.files.first)
    #expect(curves.ending == "-curves.csv")
    let lines = curves.text.split(separator: "\n")
    #expect(lines[0] == "measure,set,model,tokens,mean,low,high" && lines.count == 1 + 4 * 4 * 3)
    let wrong = metrics.csv.replacing("accuracy", with: "guess")
    let message = #expect(throws: UserError.self) {
      _ = try TextFigure(
        metrics.figure.parameters, PublishedTable(Array(wrong.utf8), source: "figure.csv"),
        trains: [:], evaluates: [:])
    }
    #expect(message?.description.contains("figure.csv:8, column measure") == true)
  }

  /// Sets of the evaluation, then of domains, then tasks, at the tokens of the metrics' lines.
  @Test func scoresAreRead() throws {
    let figure = try runs.figure("metrics", comparisons: Self.comparisons) { inputs in
      for (name, train) in inputs where name.hasPrefix("train/") {
        let run = name.dropFirst("train/".count)
        inputs["domains/\(run)"] = try score(
          "evaluate", of: train, ["sets": ["verse": ["natsPerToken": 6.5]]])
        inputs["downstream/\(run)"] = try score(
          "downstream", of: train,
          [
            "tasks": [
              "piqa": [
                "metric": "acc",
                "acc": ["value": 0.75, "low": 0.65, "high": 0.85, "standing": "above"],
                "bitsPerByteV1": ["value": 1.5],
              ]
            ]
          ])
      }
    }
    let values = figure.runs[0][0].values
    #expect(
      values.map { "\($0.metric.measure.rawValue) \($0.metric.set)" } == [
        "loss heldout", "loss other", "loss verse", "accuracy piqa", "bits_per_byte piqa",
      ])
    #expect(values.allSatisfy { $0.step == 20 && $0.tokens == 20_000 })
    #expect(values[2].value == 6.5 && values[3].standing == "above")
    #expect(abs(values[3].error - 0.1 / 1.959964) < 1e-6)
  }

  @Test func scoresOfAnotherRunAreRefused() throws {
    let other = try runs.train(("m9", 9000), seed: 2)
    let message = #expect(throws: UserError.self) {
      _ = try runs.figure("metrics", comparisons: Self.comparisons) { inputs in
        inputs["domains/base/s/1"] = try score(
          "evaluate", of: other, ["sets": ["verse": ["natsPerToken": 6.5]]])
      }
    }
    #expect(message?.description.contains("inputs.run") == true)
  }

  private func score(
    _ stage: String, of run: StageConfiguration.Input, _ scores: [String: ConfigValue]
  ) throws -> StageConfiguration.Input {
    let configuration = StageConfiguration(
      stage: stage, version: 1, parameters: ["kind": "text", "further": true],
      inputs: ["run": run])
    let path = "\(runs.directory)/further-\(configuration.id)"
    try AtomicFile.makeDirectory(path)
    try StageIndex.write(
      to: path, configuration: configuration,
      content: [
        "metadata": [
          "snapshots": [.object(scores.merging(["step": 20]) { $1 })]
        ]
      ])
    return .init(id: configuration.id, path: path)
  }

  /// Of metrics that are drawn by nobody: means over seeds, perplexities of text, claims.
  @Test func aTableSaysWhatIsNotDrawn() throws {
    let metrics = Metrics(try figure())
    let lines = metrics.markdown.split(separator: "\n").map(String.init)
    let json = metrics.json
    let loss = try #require(json["metrics"]?.items.first { $0["measure"] == "loss" })
    let mean = try #require(loss["means"]?["base"]?.number)
    let set = try #require(loss["set"]?.text)
    let cell = String(format: "%.3f (%.1f)", mean, exp(mean))
    #expect(lines.contains { $0.hasPrefix("| loss | \(set) | \(cell) |") }, "\(lines)")
    #expect(lines.count { $0.contains("mean over") } >= 1)
    #expect(
      lines.count { $0.hasSuffix("** |") } == json["claims"]?.items.count, "\(lines)")
  }
}
