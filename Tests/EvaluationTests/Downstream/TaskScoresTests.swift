import Contracts
import Evaluation
import Foundation
import Statistics
import Testing

/// The metrics of a task, by hand.
@Suite struct TaskScoresTests {
  private static func choice(_ logP: Double, _ characters: Int, bytes: Int? = nil)
    -> TaskScores.Choice
  {
    .init(logP: logP, tokens: 1, characters: characters, bytes: bytes ?? characters, cut: 0)
  }

  private static func document(
    _ id: Int, gold: Int, _ choices: [TaskScores.Choice], question: Int? = nil
  ) -> TaskScores.Document {
    .init(id: id, question: question ?? id, gold: gold, choices: choices)
  }

  private static func chance(_ answers: [[String]], gold: [Int]) -> TaskScores.Chance {
    .init(
      zip(answers, gold).enumerated().map { id, document in
        TaskDocument(
          id: id, question: id,
          choices: document.0.map { .init(context: [65], continuation: Array(" \($0)".utf8)) },
          gold: document.1)
      })
  }

  private static let half = chance([["a", "b"], ["c", "d"]], gold: [0, 1])

  /// By the sum the first is best; by characters of the answer the second, −4/5 against −2/2; by those of
  /// the continuation the second too, −4/6 against −2/3, a draw, of which the first is taken.
  @Test func versionsOfTheLength() {
    let document = Self.document(0, gold: 0, [Self.choice(-2, 3), Self.choice(-4, 6)])
    let scores = TaskScores(documents: [document], chance: Self.half)
    #expect(scores.acc.value == 1)
    #expect(scores.lenNormV1.value == 0)
    #expect(scores.lenNormV2.value == 1)
    #expect(scores.bitsPerByteV1.ratio == 2 / (2 * log(2.0)))
    #expect(scores.bitsPerByteV2.ratio == 2 / (3 * log(2.0)))
    #expect(scores.reported(.acc) == scores.acc && scores.reported(.lenNorm) == scores.lenNormV1)
  }

  @Test func bytesAreThoseOfTheRightAnswer() {
    let scores = TaskScores(
      documents: [
        Self.document(0, gold: 1, [Self.choice(-9, 4), Self.choice(-3, 3, bytes: 5)]),
        Self.document(1, gold: 0, [Self.choice(-1, 2), Self.choice(-3, 3)]),
      ], chance: Self.half)
    let bits = [3 / (4 * log(2.0)), 1 / log(2.0)]
    #expect(abs(scores.bitsPerByteV1.ratio - (bits[0] + bits[1]) / 2) < 1e-15)
    let summary = Summary(bits)
    #expect(abs(scores.bitsPerByteV1.standardError - summary.standardError) < 1e-15)
  }

  /// Also where one has no probability at all.
  @Test func theFirstOfEqualsIsTaken() {
    let equal = [Self.choice(-2, 3), Self.choice(-2, 3), Self.choice(-3, 3)]
    for gold in 0..<3 {
      let scores = TaskScores(documents: [Self.document(0, gold: gold, equal)], chance: Self.half)
      #expect(scores.acc.value == (gold == 0 ? 1 : 0))
    }
    let last = [Self.choice(-.infinity, 3), Self.choice(-7, 3)]
    let scores = TaskScores(documents: [Self.document(0, gold: 1, last)], chance: Self.half)
    #expect(scores.acc.value == 1)
  }

  private static func scores(
    right: Int, of count: Int, prompts: Int = 1, chance: TaskScores.Chance
  ) -> TaskScores {
    TaskScores(
      documents: (0..<count * prompts).map { d in
        let gold = d / prompts < right ? 0 : 1
        return document(
          d, gold: gold, [choice(-1, 3), choice(-2, 3)], question: d / prompts)
      }, chance: chance)
  }

  @Test(arguments: [
    (50, 100, ShareOfDocuments.Standing.at), (59, 100, .at), (61, 100, .above), (41, 100, .at),
    (39, 100, .below), (0, 3, .at), (3, 3, .at), (4, 4, .above), (1, 1, .at), (0, 1, .at),
  ])
  func standsAtChanceWhereTheIntervalHoldsIt(
    right: Int, count: Int, standing: ShareOfDocuments.Standing
  ) {
    let share = Self.scores(right: right, of: count, chance: Self.half).acc
    #expect(share.interval == wilsonInterval(successes: right, trials: count))
    #expect(share.standing == standing, "\(share)")
    #expect(share.value == Double(right) / Double(count))
  }

  /// Seven prompts of a question are no seven questions.
  @Test func documentsOfAQuestionStandTogether() throws {
    let alone = Self.scores(right: 30, of: 50, chance: Self.half).acc
    let seven = Self.scores(right: 30, of: 50, prompts: 7, chance: Self.half).acc
    #expect(abs(seven.value - alone.value) < 1e-15)
    #expect(abs(seven.standardError - alone.standardError) < 1e-12)
    #expect(seven.standing == .at)
    let t = studentQuantile(0.975, degreesOfFreedom: 49)
    #expect(abs(seven.interval.high - (0.6 + t * seven.standardError)) < 1e-12)
    let all = Self.scores(right: 2, of: 2, prompts: 7, chance: Self.half).acc
    #expect(all.interval == wilsonInterval(successes: 2, trials: 2))
    #expect(Self.scores(right: 5, of: 5, prompts: 2, chance: Self.half).questions == 5)
  }

  @Test func whatChanceGives() {
    let mixed = Self.chance([["a", "b"], ["a", "b", "c", "d"]], gold: [0, 3])
    #expect(mixed.guessing == 0.375 && mixed.constant == nil && mixed.level == 0.375)
    // Answers that are the same everywhere can be given without reading.
    let same = Self.chance([["yes", "no"], ["yes", "no"], ["yes", "no"]], gold: [0, 1, 0])
    #expect(same.guessing == 0.5 && same.constant == 2.0 / 3 && same.level == 2.0 / 3)
    // é in one scalar or two is another answer.
    let bytes = Self.chance([["\u{E9}", "b"], ["e\u{301}", "b"]], gold: [0, 0])
    #expect(bytes.constant == nil)
  }
}
