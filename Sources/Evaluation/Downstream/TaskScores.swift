import Contracts
import Foundation
import Statistics
import Support

/// What a model makes of the documents of a task: by choice, and the metrics of OLMo over documents.
///
/// A continuation is a space and the answer. Version 1 of a metric counts the characters and bytes of the
/// answer, as OLMo and OLMoE do (ai2-olmo 0.6.0), version 2 those of the continuation (ai2-olmo-eval
/// 0.9.0). Of several best choices the first is taken. Every metric is the mean over documents; documents
/// that ask one question stand or fall together, so standard errors are those over questions.
package struct TaskScores: Sendable, Equatable {
  package struct Choice: Sendable, Equatable {
    /// Σ log p of the continuation's tokens, in nats.
    package let logP: Double
    /// Of the continuation.
    package let tokens: Int
    package let characters: Int
    package let bytes: Int
    /// Tokens of the context that are cut.
    package let cut: Int

    package init(logP: Double, tokens: Int, characters: Int, bytes: Int, cut: Int) {
      (self.logP, self.tokens, self.cut) = (logP, tokens, cut)
      (self.characters, self.bytes) = (characters, bytes)
    }
  }

  package struct Document: Sendable, Equatable {
    package let id: Int
    package let question: Int
    package let gold: Int
    package let choices: [Choice]

    package init(id: Int, question: Int, gold: Int, choices: [Choice]) {
      (self.id, self.question, self.gold) = (id, question, gold)
      self.choices = choices
    }

    /// The first of the choices with the largest score.
    func best(by score: (Choice) -> Double) -> Int {
      var best = 0
      for (number, choice) in choices.enumerated() where score(choice) > score(choices[best]) {
        best = number
      }
      return best
    }
  }

  /// What a number that is no estimate of anything would get.
  package struct Chance: Sendable, Equatable {
    /// The mean over documents of 1 / choices.
    package let guessing: Double
    /// The share of the most frequent answer, where all documents have the same answers to choose from.
    package let constant: Double?

    package init(_ documents: [TaskDocument]) {
      let shares = documents.map { 1 / Double($0.choices.count) }
      guessing = shares.reduce(0, +) / Double(documents.count)
      let answers = documents[0].choices.map(\.continuation)
      guard documents.allSatisfy({ $0.choices.map(\.continuation) == answers }) else {
        constant = nil
        return
      }
      let most = answers.indices.map { gold in documents.count { $0.gold == gold } }.max()
      constant = Double(most ?? 0) / Double(documents.count)
    }

    /// What an accuracy is compared with.
    package var level: Double { max(guessing, constant ?? 0) }
  }

  package let documents: [Document]
  package let chance: Chance

  package init(documents: [Document], chance: Chance) {
    self.documents = documents
    self.chance = chance
  }

  // MARK: - Metrics

  /// The share of documents whose right choice has the largest Σ log p.
  package var acc: ShareOfDocuments { share { $0.logP } }
  /// The same by Σ log p over characters.
  package var lenNormV1: ShareOfDocuments { share { $0.logP / Double($0.characters - 1) } }
  package var lenNormV2: ShareOfDocuments { share { $0.logP / Double($0.characters) } }
  /// −Σ log p / (ln 2 · bytes) of the right choice.
  package var bitsPerByteV1: RatioEstimate { mean { -$0.logP / (log(2.0) * Double($0.bytes - 1)) } }
  package var bitsPerByteV2: RatioEstimate { mean { -$0.logP / (log(2.0) * Double($0.bytes)) } }

  /// The number of questions.
  package var questions: Int { Set(documents.map(\.question)).count }

  private func share(_ score: (Choice) -> Double) -> ShareOfDocuments {
    ShareOfDocuments(
      byQuestion(documents.map { $0.best(by: score) == $0.gold ? 1 : 0 }), level: chance.level)
  }

  private func mean(_ value: (Choice) -> Double) -> RatioEstimate {
    let sums = byQuestion(documents.map { value($0.choices[$0.gold]) })
    return RatioEstimate(numerators: sums.map(\.sum), denominators: sums.map { Double($0.count) })
  }

  /// Sum and number of the documents of each question, in order of their first.
  private func byQuestion(_ values: [Double]) -> [(sum: Double, count: Int)] {
    var places: [Int: Int] = [:]
    var sums: [(sum: Double, count: Int)] = []
    for (document, value) in zip(documents, values) {
      let place = places[document.question] ?? sums.count
      if place == sums.count {
        places[document.question] = place
        sums.append((0, 0))
      }
      sums[place].sum += value
      sums[place].count += 1
    }
    return sums
  }

  // MARK: - In the index

  /// As the index holds them; numbers that are not finite are null.
  func value(_ metric: DownstreamTask.Metric) -> ConfigValue {
    let choices = documents.flatMap(\.choices)
    var members: [String: ConfigValue] = [
      "documents": .integer(documents.count), "questions": .integer(questions),
      "choices": .integer(choices.count), "tokens": .integer(choices.reduce(0) { $0 + $1.tokens }),
      "cutDocuments": .integer(documents.count { $0.choices.contains { $0.cut > 0 } }),
      "cutTokens": .integer(choices.reduce(0) { $0 + $1.cut }),
      "chance": .double(chance.guessing),
      "acc": acc.members, "lenNormV1": lenNormV1.members, "lenNormV2": lenNormV2.members,
      "bitsPerByteV1": Self.value(bitsPerByteV1), "bitsPerByteV2": Self.value(bitsPerByteV2),
      "metric": .string(metric == .acc ? "acc" : "lenNormV1"),
    ]
    if let constant = chance.constant { members["constant"] = .double(constant) }
    return .object(members)
  }

  private static func value(_ estimate: RatioEstimate) -> ConfigValue {
    ["value": .finite(estimate.ratio), "standardError": .finite(estimate.standardError)]
  }

  /// The metric that is reported for the task.
  package func reported(_ metric: DownstreamTask.Metric) -> ShareOfDocuments {
    metric == .acc ? acc : lenNormV1
  }
}

/// A share of documents with what is known of it.
package struct ShareOfDocuments: Sendable, Equatable {
  /// On which side of chance the 95 % interval lies.
  package enum Standing: String, Sendable {
    case below, at, above
  }

  package let value: Double
  package let standardError: Double
  /// 95 %: Wilson's where every question is asked once and where all or none are right, else by Student's
  /// t over questions. All of 0…1 for one question.
  package let interval: Interval
  package let standing: Standing

  /// - Parameters:
  ///   - questions: right documents and documents of each.
  ///   - level: the share that chance gives.
  init(_ questions: [(sum: Double, count: Int)], level: Double) {
    let estimate = RatioEstimate(
      numerators: questions.map(\.sum), denominators: questions.map { Double($0.count) })
    let n = questions.count
    (value, standardError) = (estimate.ratio, estimate.standardError)
    let isBinomial = questions.allSatisfy { $0.count == 1 }
    if isBinomial || value == 0 || value == 1 {
      interval = wilsonInterval(
        successes: isBinomial ? questions.count { $0.sum > 0 } : Int(value) * n, trials: n)
    } else if n < 2 {
      interval = Interval(low: 0, high: 1)
    } else {
      let t = studentQuantile(0.975, degreesOfFreedom: Double(n - 1))
      interval = Interval(
        low: max(0, value - t * standardError), high: min(1, value + t * standardError))
    }
    standing = interval.contains(level) ? .at : value < level ? .below : .above
  }

  /// As the index holds it.
  var members: ConfigValue {
    [
      "value": .finite(value), "standardError": .finite(standardError),
      "low": .double(interval.low), "high": .double(interval.high),
      "standing": .string(standing.rawValue),
    ]
  }
}
