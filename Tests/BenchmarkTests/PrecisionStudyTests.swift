import Benchmark
import Foundation
import Statistics
import Support
import Testing

@Suite struct PrecisionStudyTests {
  /// A figure of two models and one size.
  private func results(
    _ accuracy: [[Double]], verdict: String = "reproduced", model: String = "3-gram input"
  ) throws -> String {
    let curves = zip(["1-gram", model], accuracy).map { name, scores in
      ConfigValue.object([
        "model": .string(name), "size": "large", "parameters": 7,
        "accuracyPerSeed": .array(scores.map(ConfigValue.double)),
        "excessPerSeed": .array(scores.map { .double(-$0) }),
      ])
    }
    let claim: ConfigValue = [
      "model": .string(model), "baseline": "1-gram", "size": "large", "verdict": .string(verdict),
    ]
    let path = FileManager.default.temporaryDirectory.appending(path: "\(UUID().uuidString).json")
      .path()
    let value: ConfigValue = ["curves": .array(curves), "claims": [claim], "title": "a figure"]
    try AtomicFile.write(value.prettyJSON, to: path)
    return path
  }

  @Test func pairsRunsOfBothPrecisions() throws {
    let study = try PrecisionStudy(
      float32: results([[0.5, 0.75, 0.25], [0.5, 0.5, 0.5]]),
      bfloat16: results([[0.75, 0.75, 0.75], [0.5, 0.5, 0.25]]))
    #expect(study.rows.count == 2 * (3 + 1 + 3 + 1 + 1))
    let second = try #require(study.rows.first { $0.seed == 3 })
    #expect(second.model == "1-gram" && second.float32 == 0.25 && second.bfloat16 == 0.75)
    #expect(second.difference == 0.5 && second.interval == nil)
    let mean = study.rows[3]
    #expect(mean.seed == nil && mean.float32 == 0.5 && mean.difference == 0.25)
    #expect(mean.interval == pairedDifference([0.75, 0.75, 0.75], [0.5, 0.75, 0.25]).interval())
    let all = study.rows[8]
    #expect(all.model == "all" && abs(all.difference - 0.5 / 6) < 1e-12)
    // The models of a seed count together: three differences, 0.125, 0 and 0.125, not six.
    #expect(all.interval == pairedDifference([0.625, 0.625, 0.5], [0.5, 0.625, 0.375]).interval())
    #expect(study.rows[9 + 8].difference == -all.difference)
    #expect(study.summary == "1 of 1 verdicts are the same in both precisions")
    #expect(Set(study.csv.map(\.count)) == [9])
  }

  @Test func saysWhichVerdictChanged() throws {
    let study = try PrecisionStudy(
      float32: results([[1], [2]]), bfloat16: results([[1], [2]], verdict: "inconclusive"))
    #expect(
      study.summary == """
        0 of 1 verdicts are the same in both precisions
        3-gram input vs 1-gram, large: reproduced in float32, inconclusive in bfloat16
        """)
    #expect(study.rows[1].interval == nil)
  }

  @Test func refusesAnotherFigure() throws {
    let one = try results([[1, 2], [2, 3]])
    for other in [
      try results([[1, 2], [2, 3]], model: "3-gram output"), try results([[1], [2]]),
      try results([[1, 2]]),
    ] {
      #expect(throws: UserError.self) { try PrecisionStudy(float32: one, bfloat16: other) }
      #expect(throws: UserError.self) { try PrecisionStudy(float32: other, bfloat16: one) }
    }
    #expect(throws: UserError.self) { try PrecisionStudy(float32: one, bfloat16: one + ".none") }
  }

  @Test func refusesModelsOfDifferentSeeds() throws {
    let path = try results([[1, 2], [2, 3, 4]])
    let error = #expect(throws: UserError.self) {
      try PrecisionStudy(float32: path, bfloat16: path)
    }
    #expect(error?.description.contains("expected 2 seeds") == true, "\(error?.description ?? "")")
  }
}
