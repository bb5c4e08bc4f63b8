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

  @Option(
    name: .long,
    help: ArgumentHelp("What messages call this run: the plan's name for it.", valueName: "name"))
  package var name: String?

  @Flag(name: .long, help: "No progress and no summary.")
  package var quiet = false

  package init() {}

  /// The options as a command says them that does not take them from its own command line.
  package init(config: String, output: String, threads: Int, quiet: Bool, name: String?) {
    self.config = config
    self.output = output
    self.threads = threads
    self.quiet = quiet
    self.name = name
  }

  package func validate() throws {
    try requireCount(threads, of: "--threads")
    guard !config.isEmpty, !output.isEmpty else {
      throw ValidationError("--config and --output must not be empty.")
    }
  }
}

/// Checks a number of workers, cores or the like that a command line gives.
///
/// - Throws: `ValidationError` naming the option.
package func requireCount(_ count: Int, of option: String, upTo most: Int = 1024) throws {
  guard (1...most).contains(count) else {
    throw ValidationError("\(option): expected 1...\(most), found \(count).")
  }
}
