import Contracts
import Support

/// A file `pipeline/tasks/<name>.yaml`: tasks that stage downstream can score, and how they are fetched.
///
///     made: data/tasks/digest          make target that fetches them; none for files of the project
///     tasks:
///       piqa: {path, digest, metric, questions, documents, choices, contextBytes, continuationBytes}
///
/// `digest` pins the file (SHA-256), so that ids are known before anything is fetched; the numbers are for
/// estimates. All but path and metric are left out for a file that lies in the project, which is looked at.
package struct TaskFacts: Sendable, Equatable {
  package struct Task: Sendable, Equatable {
    package let name: String
    package let path: String
    package let metric: DownstreamTask.Metric
    /// The first 12 digits of the digest.
    package let id: String
    package let questions, documents, choices: Int
    /// Of the contexts, each once, and of the continuations.
    package let contextBytes, continuationBytes: Int

    package var input: StageConfiguration.Input { .init(id: id, path: path) }

    /// As the stage gets it.
    package var parameter: DownstreamTask {
      var task = DownstreamTask()
      (task.name, task.metric) = (name, metric)
      return task
    }
  }

  package let made: String?
  /// By name.
  package let tasks: [String: Task]

  /// Reads `path`; it and the paths in it are relative to `directory`.
  package init(path: String, in directory: String = ".") throws {
    func full(_ path: String) -> String { directory == "." ? path : directory + "/" + path }
    var reader = try ConfigReader(ConfigValue.load(path: full(path)), source: path)
    made = try reader.optionalString("made")
    var entries = try reader.object("tasks")
    var tasks: [String: Task] = [:]
    for name in entries.keys {
      var entry = try entries.object(name)
      let place = try entry.string("path")
      let metric = try entry.choice("metric", DownstreamTask.Metric.self)
      guard entry.has("digest") else {
        let bytes = try FileBytes.read(full(place))
        let documents = try RequestFile(bytes, source: place).documents
        let choices = documents.flatMap(\.choices)
        tasks[name] = Task(
          name: name, path: place, metric: metric, id: String(SHA256.hex(of: bytes).prefix(12)),
          questions: Set(documents.map(\.question)).count, documents: documents.count,
          choices: choices.count,
          contextBytes: documents.reduce(0) { $0 + $1.choices[0].context.count },
          continuationBytes: choices.reduce(0) { $0 + $1.continuation.count })
        continue
      }
      let digest = try entry.string("digest")
      guard digest.utf8.count == 64, StageConfiguration.isID(String(digest.prefix(12))) else {
        throw entry.fault("digest", expected: "64 hexadecimal digits", found: "'\(digest)'")
      }
      func count(_ key: String) throws -> Int { try entry.int(key, in: 1...1 << 50) }
      tasks[name] = Task(
        name: name, path: place, metric: metric, id: String(digest.prefix(12)),
        questions: try count("questions"), documents: try count("documents"),
        choices: try count("choices"), contextBytes: try count("contextBytes"),
        continuationBytes: try count("continuationBytes"))
    }
    try reader.finish()
    self.tasks = tasks
  }
}
