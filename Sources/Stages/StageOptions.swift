import ArgumentParser
import Support

/// The command line that all stages share.
package struct StageOptions: ParsableArguments {
  @Option(
    name: .long, help: ArgumentHelp("The stage's configuration (YAML or JSON).", valueName: "file"))
  package var config: String

  @Option(name: .long, help: ArgumentHelp("Where the output goes.", valueName: "dir"))
  package var output: String

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Worker threads (default: all). Results do not depend on it.", valueName: "n"))
  package var threads: Int = Host.threads

  @Flag(name: .long, help: "No progress and no summary.")
  package var quiet = false

  package init() {}

  package func validate() throws {
    guard (1...1024).contains(threads) else {
      throw ValidationError("--threads: expected 1...1024, found \(threads).")
    }
    guard !config.isEmpty, !output.isEmpty else {
      throw ValidationError("--config and --output must not be empty.")
    }
  }
}
