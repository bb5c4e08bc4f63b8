import Foundation
import Support

/// What is worth knowing about one run and is not identity: `evidence.json`, beside the index.
///
/// Holds host, kernel, CPU, memory, versions, instruction set of the build, thread count, wall and CPU
/// seconds, peak memory, command line, end time, and what the stage adds.
package final class Evidence {
  package static let fileName = "evidence.json"

  private let startSeconds = Host.monotonicSeconds
  private var facts: [String: ConfigValue] = [:]

  package init() {}

  /// Seconds since the stage began.
  package var wallSeconds: Double { Host.monotonicSeconds - startSeconds }

  /// Adds a fact under "facts".
  package subscript(key: String) -> ConfigValue? {
    get { facts[key] }
    set { facts[key] = newValue }
  }

  func write(to directory: String, configuration: StageConfiguration, threads: Int) throws {
    let formatter = ISO8601DateFormatter()
    let value: ConfigValue = [
      "format": "overtoken evidence", "formatVersion": 1,
      "stage": .string(configuration.stage), "id": .string(configuration.id),
      "product": .string("\(Product.name) \(Product.version)"),
      "stageVersion": .integer(configuration.version),
      "swift": .string(Evidence.swiftVersion),
      "host": .string(Host.name), "kernel": .string(Host.kernel),
      "architecture": .string(Host.architecture), "cpu": .string(Host.cpuModel),
      "buildFeatures": .array(Host.buildFeatures.map(ConfigValue.string)),
      "hostThreads": .integer(Host.threads), "hostMemoryBytes": .integer(Host.memoryBytes),
      "threads": .integer(threads),
      "arguments": .array(CommandLine.arguments.map(ConfigValue.string)),
      "finished": .string(formatter.string(from: Date())),
      "wallSeconds": .double(wallSeconds), "cpuSeconds": .double(Host.cpuSeconds),
      "peakMemoryBytes": .integer(Host.peakMemoryBytes),
      "facts": .object(facts),
    ]
    try AtomicFile.write(value.prettyJSON, to: directory + "/" + Evidence.fileName)
  }

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
