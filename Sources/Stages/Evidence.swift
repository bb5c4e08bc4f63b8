import Foundation
import Support

/// What is worth knowing about one run and is not identity: `evidence.json`, beside the index.
///
/// Holds host, kernel, CPU, memory, versions of code and libraries, instruction set of the build,
/// thread count, wall and CPU seconds, peak memory, command line, times, what the stage adds, and the
/// same of everything that the output was made from. Written when the stage begins, so that no output
/// is ever without its environment, and again, with times and facts, when it is done.
package final class Evidence {
  private let startSeconds = Host.monotonicSeconds
  private let started = Evidence.now
  private let configuration: StageConfiguration
  private let threads: Int
  private let ranks: Int
  private let libraries: [String: String]
  private let ancestry: Ancestry
  private var facts: [String: ConfigValue] = [:]

  /// - Parameter libraries: versions of the libraries that the stage computes with.
  init(
    _ configuration: StageConfiguration, threads: Int, ranks: Int, libraries: [String: String]
  ) {
    self.configuration = configuration
    self.threads = threads
    self.ranks = ranks
    self.libraries = libraries
    ancestry = Ancestry(of: configuration)
  }

  /// Seconds since the stage began.
  package var wallSeconds: Double { Host.monotonicSeconds - startSeconds }

  /// Adds a fact under "facts".
  package subscript(key: String) -> ConfigValue? {
    get { facts[key] }
    set { facts[key] = newValue }
  }

  func write(to directory: String, isFinished: Bool) throws {
    let environment = try Evidence.environment(libraries: libraries)
    let key = EvidenceFile.key(of: environment)
    var members: [String: ConfigValue] = [
      "stage": .string(configuration.stage), "id": .string(configuration.id),
      "stageVersion": .integer(configuration.version), "parameters": configuration.parameters,
      "inputs": .object(configuration.inputs.mapValues { .string($0.id) }),
      "environment": .string(key), "threads": .integer(threads),
      "ranks": .integer(ranks),
      "arguments": .array(CommandLine.arguments.map(ConfigValue.string)),
      "started": .string(started), "facts": .object(facts),
      "history": .array(ancestry.records),
      "environments": .object(ancestry.environments.merging([key: environment]) { old, _ in old }),
    ]
    if isFinished {
      // Results are published with their evidence, which then vouches for them.
      members["files"] = try StageIndex(directory: directory).content["files"]
      members["finished"] = .string(Evidence.now)
      members["wallSeconds"] = .double(wallSeconds)
      members["cpuSeconds"] = .double(Host.cpuSeconds)
      members["peakMemoryBytes"] = .integer(Host.peakMemoryBytes)
    }
    try EvidenceFile.write(members, to: directory)
  }

  /// This program, its build and the machine.
  ///
  /// - Parameter libraries: versions of what it computes with, beside the C library.
  package static func environment(libraries: [String: String]) throws -> ConfigValue {
    let libraries = libraries.merging(["libc": Host.libraryVersion]) { given, _ in given }
    return [
      "product": .string("\(Product.name) \(Product.version)"),
      "code": .string(Executable.codeVersion), "executable": .string(try Executable.digest()),
      "swift": .string(Evidence.swiftVersion),
      "libraries": .object(libraries.mapValues(ConfigValue.string)),
      "host": .string(Host.name), "kernel": .string(Host.kernel),
      "architecture": .string(Host.architecture), "cpu": .string(Host.cpuModel),
      "buildFeatures": .array(Host.buildFeatures.map(ConfigValue.string)),
      "hostThreads": .integer(Host.threads), "hostMemoryBytes": .integer(Host.memoryBytes),
    ]
  }

  private static var now: String { ISO8601DateFormatter().string(from: Date()) }

  private static var swiftVersion: String {
    #if swift(>=6.4)
      "6.4 or later"
    #elseif swift(>=6.3)
      "6.3"
    #else
      "6.2"
    #endif
  }
}

/// The inputs of a run and everything they were made from, as their evidence tells it.
private struct Ancestry {
  /// By id, each once. An input that is no stage's output is a file; one whose evidence cannot be
  /// read is listed without an environment.
  let records: [ConfigValue]
  private(set) var environments: [String: ConfigValue] = [:]

  init(of configuration: StageConfiguration) {
    var records: [String: ConfigValue] = [:]
    for input in configuration.inputs.values {
      guard let evidence = try? EvidenceFile(directory: input.path, id: input.id),
        let record = try? evidence.record(directory: input.path)
      else {
        let isStage = FileBytes.exists("\(input.path)/\(StageIndex.fileName)")
        records[input.id] = [
          "id": .string(input.id), "path": .string(input.path),
          "stage": isStage ? "unknown" : "file",
        ]
        continue
      }
      records[input.id] = record
      for ancestor in evidence.history {
        if case .string(let id)? = ancestor["id"] { records[id] = ancestor }
      }
      environments.merge(evidence.environments) { known, _ in known }
    }
    self.records = records.sorted { $0.key < $1.key }.map(\.value)
  }
}

/// The program that runs.
enum Executable {
  /// What `make build` wrote beside the executable: the commit it was built from.
  static var codeVersion: String {
    guard let bytes = try? FileBytes.read(directory + "code-version") else { return "not recorded" }
    return String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// SHA-256 of the executable.
  static func digest() throws -> String { try digestOnce.get() }

  private static let digestOnce = Result { SHA256.hex(of: try FileBytes.read(path)) }

  /// Where it lies, with the slash.
  static var directory: String {
    String(path.prefix(through: path.lastIndex(of: "/") ?? path.startIndex))
  }

  private static var path: String {
    Host.executable() ?? CommandLine.arguments[0]
  }
}
