import Foundation
import Support

/// The built executables, run from outside as a person would.
enum Program {
  struct Result {
    let status: Int32
    let output: String
    let errors: String

    /// Both streams, for messages of failed tests.
    var all: String { "status \(status)\n\(output)\(errors)" }
  }

  /// The directory of the project's sources.
  static let project = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path

  /// Where the executables were built: beside the tests.
  static let directory = Bundle.main.bundlePath

  static let stages = ["sample", "tokenize", "map", "train", "evaluate", "report"]

  /// Starts a program; its streams go to files, so that none can block it.
  static func start(
    _ path: String, _ arguments: [String], in directory: String,
    environment more: [String: String] = [:]
  ) throws -> Running {
    var environment = ProcessInfo.processInfo.environment
    // A make that runs the tests must not speak to the make that a test runs.
    for key in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"] { environment[key] = nil }
    return try Running(path, arguments, directory, environment.merging(more) { $1 })
  }

  final class Running {
    let process: ChildProcess
    private let base = NSTemporaryDirectory() + "command-" + UUID().uuidString

    fileprivate init(
      _ path: String, _ arguments: [String], _ directory: String, _ environment: [String: String]
    ) throws {
      process = try ChildProcess(
        path, arguments, in: directory, environment: environment, output: base + ".out",
        errors: base + ".err")
    }

    /// What it has written to standard error.
    func errorsSoFar() throws -> String {
      String(decoding: try FileBytes.read(base + ".err"), as: UTF8.self)
    }

    func wait() throws -> Result {
      let ending = process.wait()
      defer { for name in ["out", "err"] { unlink("\(base).\(name)") } }
      return Result(
        status: ending.status,
        output: String(decoding: try FileBytes.read(base + ".out"), as: UTF8.self),
        errors: String(decoding: try FileBytes.read(base + ".err"), as: UTF8.self))
    }
  }

  static func run(
    _ name: String, _ arguments: [String], in directory: String = project
  ) throws -> Result {
    try start("\(Program.directory)/\(name)", arguments, in: directory).wait()
  }
}

/// A copy of what an experiment needs: makefile, settings and grammars, with a preset of seconds.
final class Workplace {
  let directory = NSTemporaryDirectory() + "workplace-" + UUID().uuidString

  static let preset = """
    parts: [data/cfg3f-15, optimizer/adamw-cosine]
    set:
      data: {trainDocuments: 300, heldoutDocuments: 40, documentsPerShard: 128}
      model: {layers: 1}
      optimizer: {learningRate: 0.002}
      schedule: {warmupSteps: 2}
      training: {steps: 12, batchSentences: 16, lanes: 4, checkpointEverySteps: 5, logEverySteps: 3}
      snapshots: {count: 2, spacing: linear}
      evaluation: {samples: 8, finalSamples: 12, heldoutSentences: 16, prefixSentences: 2, batch: 8}
    seeds: [1, 2]
    sizes:
      - name: large
        parts: [model/gpt2-4x16]
        set: {model: {layers: 1, width: 32}}
      - name: small
        parts: [model/gpt2-4x16]
        set: {model: {layers: 1}}
    jobs: cores

    """

  init() throws {
    let files = FileManager.default
    try files.createDirectory(atPath: directory + "/data", withIntermediateDirectories: true)
    for path in ["Makefile", "tools", "pipeline", "data/grammars", "data/texts"] {
      try files.copyItem(atPath: "\(Program.project)/\(path)", toPath: "\(directory)/\(path)")
    }
    try write(Workplace.preset, to: "pipeline/presets/tiny.yaml")
    for stamp in ["installed", "built"] { try write("", to: stamp) }
  }

  deinit { try? FileManager.default.removeItem(atPath: directory) }

  func write(_ text: String, to path: String) throws {
    try AtomicFile.write(text, to: directory + "/" + path)
  }

  func replace(_ old: String, by new: String, in path: String) throws {
    let text = String(decoding: try FileBytes.read(directory + "/" + path), as: UTF8.self)
    precondition(text.contains(old), "\(path) has no \(old)")
    try write(text.replacingOccurrences(of: old, with: new), to: path)
  }

  func exists(_ path: String) -> Bool { FileBytes.exists(directory + "/" + path) }

  /// Whether some directory of `folder` has a file called `name`.
  func existsAny(below folder: String, named name: String) -> Bool {
    let names = try? FileManager.default.contentsOfDirectory(atPath: "\(directory)/\(folder)")
    return (names ?? []).contains { exists("\(folder)/\($0)/\(name)") }
  }

  /// `make` with the executables of this build and the tiny preset.
  func make(_ arguments: String...) throws -> Program.Result { try make(arguments) }

  func make(_ arguments: [String]) throws -> Program.Result { try start(arguments).wait() }

  func start(_ arguments: String...) throws -> Program.Running { try start(arguments) }

  private func start(_ arguments: [String]) throws -> Program.Running {
    try Program.start(
      "/usr/bin/env",
      ["make", "BIN=\(Program.directory)", "BUILT=built", "INSTALLED=installed", "PRESET=tiny"]
        + arguments, in: directory)
  }

  func run(_ name: String, _ arguments: [String]) throws -> Program.Result {
    try Program.run(name, arguments, in: directory)
  }

  /// Ids of the outputs of a stage, in the order of the plan.
  func ids(_ stage: String) throws -> [String] {
    let result = try run("ott-plan", ["list", "--preset", "tiny", "--stage", stage])
    return result.output.split(separator: "\n").map { String($0.prefix(12)) }
  }

  /// Runs one stage of the plan into `output`.
  func runStage(
    _ stage: String, _ id: String, output: String, threads: Int = 1
  ) throws -> Program.Result {
    try run(
      "ott-\(stage)",
      [
        "--config", "data/config/\(stage)/\(id).json", "--output", output, "--threads",
        "\(threads)",
      ])
  }
}
