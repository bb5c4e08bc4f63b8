import Foundation
import Planning
import Support

/// A copy of the project's experiment files that a test may change.
final class TemporaryProject {
  let directory: String

  init() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().path
    directory = NSTemporaryDirectory() + "planning-" + UUID().uuidString
    let files = FileManager.default
    try files.createDirectory(atPath: directory + "/data", withIntermediateDirectories: true)
    try files.copyItem(atPath: root + "/pipeline", toPath: directory + "/pipeline")
    for folder in ["grammars", "texts"] {
      try files.copyItem(
        atPath: "\(root)/data/\(folder)", toPath: "\(directory)/data/\(folder)")
    }
  }

  deinit { try? FileManager.default.removeItem(atPath: directory) }

  func write(_ text: String, to path: String) throws {
    let full = directory + "/" + path
    try FileManager.default.createDirectory(
      atPath: (full as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
    try AtomicFile.write(text, to: full)
  }

  /// Replaces the only occurrence of `old` in a file.
  func replace(_ old: String, by new: String, in path: String) throws {
    let text = String(decoding: try FileBytes.read(directory + "/" + path), as: UTF8.self)
    let parts = text.components(separatedBy: old)
    precondition(parts.count == 2, "\(old) occurs \(parts.count - 1) times in \(path)")
    try write(parts.joined(separator: new), to: path)
  }

  /// The stage runs of a figure.
  func graph(_ figure: String, preset: String = "laptop") throws -> StageGraph {
    try StageGraph(
      Experiment(figure: figure, preset: preset, in: directory), in: directory)
  }

  /// Every file with its modification time.
  func listing() throws -> [String: Date] {
    let files = FileManager.default
    var result: [String: Date] = [:]
    for path in try files.subpathsOfDirectory(atPath: directory) {
      let attributes = try files.attributesOfItem(atPath: directory + "/" + path)
      result[path] = attributes[.modificationDate] as? Date
    }
    return result
  }
}

/// A small preset with two sizes, for tests that depend on its numbers.
let tinyPreset = """
  parts: [data/cfg3f-15, optimizer/adamw-cosine]
  set:
    data: {trainDocuments: 1000, heldoutDocuments: 1000}
    optimizer: {learningRate: 0.002}
    schedule: {warmupSteps: 10}
  seeds: [1, 2]
  sizes:
    - name: large
      parts: [model/gpt2-4x64]
      set: {training: {steps: 100}}
    - name: small
      parts: [model/gpt2-4x16]
      set: {training: {steps: 200}}
  jobs: cores
  """
