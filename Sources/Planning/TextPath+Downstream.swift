import Contracts
import Models
import Support
import Tokenization

/// The tasks that a run over text is scored on, where its settings name any.
struct DownstreamPlan: Sendable {
  let parameters: DownstreamParameters
  /// In the order of the parameters.
  let tasks: [TaskFacts.Task]
  /// Make targets that fetch them.
  let sources: [String]

  /// Nil without tasks.
  ///
  /// - Throws: `UserError` naming the setting that is wrong, and as `TaskFacts`.
  init?(_ settings: Settings, in directory: String) throws {
    if settings.value("downstream.tasks") == [] { return nil }
    let path = try settings.string("downstream.file")
    let facts = try TaskFacts(path: path, in: directory)
    tasks = try settings.choice(
      "downstream.tasks", of: facts.tasks.keys.sorted(), in: path
    ).compactMap { facts.tasks[$0] }
    parameters = try settings.parameters(
      from: ["downstream"], adding: ["tasks": .array(tasks.map { $0.parameter.value })])
    sources = facts.made.map { [$0] } ?? []
  }

  /// Adds the stage behind a run's training.
  ///
  /// - Parameter fGrams: those of the run's data, where its model has any.
  func add(
    to graph: inout StageGraph, tokenizer: Int, fGrams: Int?, train: Int, run: Int
  ) -> Int {
    var inputs = ["run": train, "tokenizer": tokenizer]
    inputs["fgrams"] = fGrams
    return graph.add(
      parameters, inputs: inputs,
      externals: Dictionary(uniqueKeysWithValues: tasks.map { ($0.name, $0.input) }),
      sources: sources, label: graph.experiment.runs[run].name, run: run)
  }

  /// Rows that a model of so much context runs to score a snapshot, and those of them that are scored.
  /// Documents are taken to be as long as the mean: choices of those that are cut have nothing in common.
  func rows(bytesPerToken: Double, context: Int) -> (all: Double, scored: Double) {
    tasks.reduce((0, 0)) { sum, task in
      let documents = Double(task.documents)
      let choices = Double(task.choices) / documents
      let before = Double(task.contextBytes) / documents / bytesPerToken
      let answer = Double(task.continuationBytes) / Double(task.choices) / bytesPerToken
      let rows =
        before + answer <= Double(context) ? before + choices * answer : choices * Double(context)
      let scored = documents * share(of: task)
      return (sum.0 + scored * rows, sum.1 + scored * min(rows, choices * answer))
    }
  }

  /// Of a task's questions, those that are scored.
  func share(of task: TaskFacts.Task) -> Double {
    parameters.questions == 0
      ? 1 : min(1, Double(parameters.questions) / Double(task.questions))
  }
}

extension TextPath {
  func downstream(_ node: StageGraph.Node, in model: CostModel) throws -> Cost {
    let own = runs[node.run]
    guard let plan = own.downstream else { preconditionFailure("a stage that nobody planned") }
    let size = try size(of: node.run, in: model)
    let snapshots = Double(plan.parameters.onlyLast ? 1 : size.snapshots)
    let rows = plan.rows(
      bytesPerToken: TextPath.bytesPerToken(vocabulary: own.vocabulary.vocabulary),
      context: own.model.context)
    // A file has the context in front of every choice.
    let read = plan.tasks.reduce(0) { sum, task in
      let choices = Double(task.choices) / Double(task.documents)
      return sum + choices * Double(task.contextBytes) + Double(task.continuationBytes)
    }
    return Cost(
      flops: snapshots
        * (rows.all * size.forwardFlopsPerRow - (rows.all - rows.scored) * own.model.headFLOPs),
      memoryBytes: 4 * Double(size.parameters) + CostModel.processBytes + 2 * read,
      diskBytes: snapshots
        * plan.tasks.reduce(0) { $0 + 16 * Double($1.choices) * plan.share(of: $1) },
      seconds: model.rates.startSeconds + read / model.rates.requests
        + snapshots
        * model.rates.continuationSeconds(
          own.model, rows: rows.all, scored: rows.scored, length: Double(own.model.context) / 2))
  }
}
