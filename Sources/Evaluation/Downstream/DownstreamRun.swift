import Checkpoints
import Contracts
import Engine
import Models
import NGrams
import Parallel
import Shards
import Support
import Synchronization
import Tokenization

/// The scores of one snapshot on each task.
package struct DownstreamSnapshotScores: Sendable {
  package let snapshot: TrainingRunIndex.Snapshot
  /// In the order of the tasks.
  package let tasks: [(task: DownstreamTask, scores: TaskScores)]
}

/// Scores the weight snapshots of a training run over text on tasks: questions with several answers, ranked
/// by the probability that the next-token head gives them.
///
/// Inputs: `run`, `tokenizer`, the one that made the run's tokens, for a model with f-grams `fgrams`, those of
/// its data, and under the name of each task its file of requests. What choices of a document have in front
/// of them runs once. Results depend on configuration and weights, not on threads or ranks.
package struct DownstreamRun {
  package let parameters: DownstreamParameters
  private let configuration: StageConfiguration
  private let trained: TextRun
  private let tasks: [Task]
  /// Those that tasks have, where the model reads f-grams.
  private let fGrams: [[Int32]]

  /// A task whose documents are drawn and tokenized.
  fileprivate struct Task {
    let task: DownstreamTask
    let documents: [TaskDocument]
    let tokenized: TokenizedTask
  }

  /// Opens and checks the run, the tokenizer and the tasks.
  ///
  /// - Throws: `UserError` when a parameter is wrong, an input is missing, another than its id says or not
  ///   asked for, the run was not trained on text or with another tokenizer, or a task cannot be scored.
  package init(_ configuration: StageConfiguration, threads: Int = 1) throws {
    self.configuration = configuration
    let parameters = try DownstreamParameters(configuration)
    self.parameters = parameters
    let names = parameters.tasks.map(\.name) + DownstreamTask.otherInputs
    if let other = configuration.inputs.keys.sorted().first(where: { !names.contains($0) }) {
      throw UserError(
        "\(configuration.source): inputs.\(other)",
        expected: "\(names.sorted().joined(separator: ", "))", found: "'\(other)'",
        remedy: "Name it among parameters.tasks, or delete it.")
    }
    let trained = try TextRun(
      configuration,
      remedy: "Tasks are texts: only a run over text can score them.")
    self.trained = trained
    let tokenizer = try configuration.input("tokenizer")
    let model = try BytePairModel.load(input: tokenizer, pattern: parameters.pattern)
    guard tokenizer.id == trained.text.tokenizer, model.vocabularySize == trained.text.vocabulary
    else {
      throw UserError(
        "\(configuration.source): inputs.tokenizer",
        expected: "\(trained.text.tokenizer) with \(trained.text.vocabulary) tokens, the run's",
        found: "\(tokenizer.id) with \(model.vocabularySize)",
        remedy: "Name the tokenizer that the run's tokens were made with.")
    }
    let encoder = BytePairEncoder(model, findsSpecialTokens: false)
    var rows = TaskRows(
      trained.model.input.textColumns,
      fGrams: try trained.fGrams(configuration, threads: threads))
    var tasks: [Task] = []
    for task in parameters.tasks {
      let file = try RequestFile(configuration.input(task.name))
      let documents = file.sample(parameters.questions, seed: parameters.seed, task: task.name)
      try Interruption.check()
      tasks.append(
        Task(
          task: task, documents: documents,
          tokenized: try TokenizedTask(
            documents, encoder: encoder, rows: &rows, context: trained.model.context,
            task: task.name)))
    }
    self.tasks = tasks
    fGrams = rows.fGrams
  }

  /// Scores the snapshots, writes the shards and last the index into `output`.
  ///
  /// - Parameters:
  ///   - ranks: those that share the requests, each with its threads; rank 0 alone writes.
  ///   - progress: called after each snapshot that was scored, by rank 0.
  /// - Returns: the scores on rank 0.
  package func write(
    to output: String, threads: Int, ranks: any Communicator = LocalCommunicator(),
    progress: (DownstreamSnapshotScores) -> Void
  ) throws -> [DownstreamSnapshotScores] {
    let model = EngineModel(trained.model, fGrams: fGrams, threads: threads)
    let pool = WorkerPool(threads: threads)
    let engines = WorkerEngines(model, threads: pool.threads)
    var scores: [DownstreamSnapshotScores] = []
    for snapshot in trained.index.snapshots {
      if parameters.onlyLast && snapshot.step != trained.index.steps { continue }
      try Interruption.check()
      try trained.index.verify(snapshot)
      try model.load(trained.index.path(of: snapshot))
      let found = try tasks.compactMap { task in
        try task.scores(engines, pool, ranks).map { (task.task, $0) }
      }
      guard ranks.decides else { continue }
      scores.append(DownstreamSnapshotScores(snapshot: snapshot, tasks: found))
      progress(scores[scores.count - 1])
    }
    guard ranks.decides else { return [] }
    var files = ScoreSets(output: output, configuration: configuration)
    for (i, task) in tasks.enumerated() {
      try files.write(scores.map { $0.tasks[i].scores }, ofTask: task.task.name)
    }
    try files.finish(metadata: metadata(scores))
    return scores
  }

  private func metadata(_ scores: [DownstreamSnapshotScores]) -> ConfigValue {
    .object(
      trained.members.merging([
        "tasks": .array(tasks.map { .string($0.task.name) }),
        "snapshots": .array(
          scores.map { score in
            score.snapshot.members("tasks", score.tasks.map { ($0.name, $1.value($0.metric)) })
          }),
      ]) { $1 })
  }
}

/// An engine for each worker of a pool.
///
/// Unchecked because an engine is used by one worker at a time, which the compiler does not see.
private struct WorkerEngines: @unchecked Sendable {
  private let engines: [ContinuationEngine]

  init(_ model: EngineModel, threads: Int) {
    engines = (0..<threads).map { _ in model.continuationEngine() }
  }

  subscript(worker: Int) -> ContinuationEngine { engines[worker] }

  var capacity: Int { engines[0].capacity }
}

extension DownstreamRun.Task {
  /// Answers the requests, as many at a time as an engine takes, in parallel; of R ranks rank i mod R answers
  /// part i.
  ///
  /// - Returns: the scores on rank 0, nil on the others.
  func scores(
    _ engines: WorkerEngines, _ pool: WorkerPool, _ ranks: any Communicator
  ) throws -> TaskScores? {
    let requests = tokenized.requests
    let parts = stride(from: 0, to: requests.count, by: engines.capacity).map {
      $0..<min($0 + engines.capacity, requests.count)
    }
    let own = Array(ranks.dealt(parts.count))
    let answers = Mutex([[[Double]]](repeating: [], count: own.count))
    try pool.forEach(0..<own.count) { worker, task in
      try Interruption.check()
      let sums = engines[worker].score(Array(requests[parts[own[task]]]))
      answers.withLock { $0[task] = sums }
    }
    let sent = answers.withLock { $0 }.flatMap { $0.flatMap { $0 } }
    guard var dealt = try ranks.gatherDealt(sent) else { return nil }
    var logP = documents.map { [Double](repeating: 0, count: $0.choices.count) }
    for (number, part) in parts.enumerated() {
      for owners in tokenized.owners[part] {
        for (owner, sum) in zip(owners, dealt.take(owners.count, of: number)) {
          logP[owner.document][owner.choice] += sum
        }
      }
    }
    return TaskScores(
      documents: documents.indices.map { number in
        let document = documents[number]
        return TaskScores.Document(
          id: document.id, question: document.question, gold: document.gold,
          choices: document.choices.indices.map { c in
            let (choice, own) = (document.choices[c], tokenized.choices[number][c])
            return TaskScores.Choice(
              logP: logP[number][c], tokens: own.tokens, characters: choice.characters,
              bytes: choice.continuation.count, cut: own.cut)
          })
      }, chance: TaskScores.Chance(documents))
  }
}

extension ScoreSets {
  /// Writes `scores-<task>`: for each of several scores of a task, by document and choice.
  mutating func write(_ scores: [TaskScores], ofTask name: String) throws {
    let columns = [
      "document", "choice", "gold", "logP", "tokens", "characters", "bytes", "cut",
    ].map { Column($0) }
    try write("scores-\(name)", .f64, columns) { sink in
      for score in scores {
        let rows = score.documents.flatMap { document in
          document.choices.enumerated().map { (document, $0.offset, $0.element) }
        }
        let values: [[Double]] = [
          rows.map { Double($0.0.id) }, rows.map { Double($0.1) },
          rows.map { $0.0.gold == $0.1 ? 1 : 0 }, rows.map(\.2.logP),
          rows.map { Double($0.2.tokens) }, rows.map { Double($0.2.characters) },
          rows.map { Double($0.2.bytes) }, rows.map { Double($0.2.cut) },
        ]
        try sink.append(document: values.flatMap { $0 })
      }
    }
  }
}
