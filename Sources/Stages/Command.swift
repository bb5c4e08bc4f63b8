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
}

/// An executable of this package: exit 0, or 1 with one message for what its reader can mend, 2 for a
/// wrong command line, 130 and 143 for SIGINT and SIGTERM.
///
///     @main struct Sample: Command {
///       static let configuration = CommandConfiguration(
///         commandName: "ott-sample", abstract: "…", version: versionText("ott-sample", stage: 1))
///       @OptionGroup var options: StageOptions
///       func run() throws { try runStage("sample", version: 1, options: options) { … } }
///     }
package protocol Command: ParsableCommand {}

extension Command {
  package static func main() {
    Interruption.installImmediate()
    Resources.installFaultHandlers()
    do {
      try Host.requireBuildFeatures()
      var command = try parseAsRoot()
      try command.run()
    } catch {
      Foundation.exit(report(error))
    }
  }

  /// Prints what there is to say about `error` and returns the exit status it stands for.
  package static func report(_ error: any Error) -> Int32 {
    switch error {
    case let error as UserError:
      complain(error.description)
      return ExitStatus.userError
    case let error as InterruptedError:
      complain(error.description)
      return ExitStatus.interrupted(by: error.signal)
    case let error as CocoaError:
      complain(UserError(error).description)
      return ExitStatus.userError
    default:
      let code = exitCode(for: error)
      let text = fullMessage(for: error)
      if code == .success {
        print(text)
        return 0
      }
      FileHandle.standardError.write(Data((text + "\n").utf8))
      return code == .validationFailure ? ExitStatus.usage : ExitStatus.userError
    }
  }

  private static func complain(_ text: String) {
    FileHandle.standardError.write(Data("error: \(text)\n".utf8))
  }
}

/// What `--version` prints: "ott-x 0.1.0 stage-version 1"; without a stage only the first two words.
package func versionText(_ command: String, stage version: Int? = nil) -> String {
  "\(command) \(Product.version)" + (version.map { " stage-version \($0)" } ?? "")
}
