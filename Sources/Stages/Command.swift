import ArgumentParser
import Foundation
import Support

/// How a process ends.
package enum ExitStatus {
  /// A fault that its reader can mend.
  package static let userError: Int32 = 1
  /// A command line that makes no sense.
  package static let usage: Int32 = 2
  /// 130 for SIGINT, 143 for SIGTERM.
  package static func interrupted(by signal: Int32) -> Int32 { 128 + signal }
  /// Nobody reads standard output any more: what SIGPIPE does to `cat`.
  package static let readerGone = interrupted(by: SIGPIPE)
}

/// An executable of this package: exit 0, or 1 with one message for what its reader can mend (output
/// that does not arrive is such), 2 for a wrong command line, 130 and 143 for SIGINT and SIGTERM, and
/// 141 without a word where the reader of its standard output has gone away.
///
///     @main struct Sample: Command {
///       static let configuration = CommandConfiguration(
///         commandName: "ott-sample", abstract: "…", version: versionText("ott-sample", stage: 1))
///       @OptionGroup var options: StageOptions
///       func run() throws { try runStage(.sample, options: options) { … } }
///     }
package protocol Command: ParsableCommand {}

extension Command {
  package static func main() {
    StandardOutput.install()
    Interruption.installImmediate()
    Resources.installFaultHandlers()
    do {
      try Host.requireBuildFeatures()
      var command = try parseAsRoot()
      try command.run()
      try StandardOutput.finish()
    } catch {
      Foundation.exit(report(error))
    }
  }

  /// Says what there is to say about `error` and returns the exit status it stands for.
  package static func report(_ error: any Error) -> Int32 {
    guard exitCode(for: error) == .success else {
      // What was said before comes first. Whether it arrives, nobody asks now.
      try? StandardOutput.finish()
      return complain(of: error)
    }
    do {
      try StandardOutput.line(fullMessage(for: error))
      try StandardOutput.finish()
      return 0
    } catch {
      return complain(of: error)
    }
  }

  private static func complain(of error: any Error) -> Int32 {
    switch error {
    case let error as UserError:
      complain(error.description)
      return ExitStatus.userError
    case let error as InterruptedError:
      complain(error.description)
      return ExitStatus.interrupted(by: error.signal)
    case is ReaderGone:
      return ExitStatus.readerGone
    case let error as CocoaError:
      complain(UserError(error).description)
      return ExitStatus.userError
    default:
      StandardError.write(fullMessage(for: error) + "\n")
      return exitCode(for: error) == .validationFailure
        ? ExitStatus.usage : ExitStatus.userError
    }
  }

  private static func complain(_ text: String) { StandardError.write("error: \(text)\n") }
}

/// What `--version` prints: "ott-x 0.1.0 stage-version 1"; without a stage only the first two words.
package func versionText(_ command: String, stage version: Int? = nil) -> String {
  "\(command) \(Product.version)" + (version.map { " stage-version \($0)" } ?? "")
}
