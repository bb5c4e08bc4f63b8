import Support
import Tokenization

/// Stage downstream: questions with several answers, which a run over text ranks by their probability.
package struct DownstreamParameters: StageParameters, KeyedParameters {
  package static let stage = Stage.downstream

  /// By name; the input of that name is the task's file of requests.
  @Key() package var tasks: [DownstreamTask]
  /// Questions of each task that are scored, drawn by `seed`; 0 for all.
  @Key(in: 0...1 << 40) package var questions: Int
  @Key() package var seed: UInt64
  /// Whether only the last snapshot is scored.
  @Key() package var onlyLast: Bool
  /// Of a tokenizer that names none.
  @Key() package var pattern: PretokenPattern?

  package init() {}

  package func check(_ reader: ConfigReader) throws {
    guard !tasks.isEmpty, Set(tasks.map(\.name)).count == tasks.count else {
      throw reader.fault(
        "tasks", expected: "one or more tasks, all different", found: "\(tasks.map(\.name))")
    }
  }
}

/// A task and what it is read by.
package struct DownstreamTask: KeyedParameters {
  /// How the answer is chosen; both are computed of every task.
  package enum Metric: String, CaseIterable, Sendable {
    /// By the sum of log-probabilities.
    case acc
    /// By that sum for each character of the answer.
    case lenNorm
  }

  /// Names that inputs have beside tasks.
  package static let otherInputs = ["run", "tokenizer", "fgrams"]

  @Key() package var name: String
  /// The one that is reported for the task.
  @Key() package var metric: Metric

  package init() {}

  package func check(_ reader: ConfigReader) throws {
    let isPlain = name.utf8.allSatisfy {
      (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0 | 0x20)
        || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || $0 == UInt8(ascii: "-")
        || $0 == UInt8(ascii: "_")
    }
    guard isPlain, !name.isEmpty, !Self.otherInputs.contains(name) else {
      throw reader.fault(
        "name",
        expected: "letters, digits, - and _, and none of "
          + Self.otherInputs.joined(separator: ", "),
        found: "'\(name)'")
    }
  }
}
