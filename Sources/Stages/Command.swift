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

/// How a process ends, and what it says then: an error's meaning for people and scripts.
package struct ProcessEnding: Error, Equatable {
  package let status: Int32
  /// One line for standard error; with status 0, text for standard output. Nil for no word.
  package let message: String?

  package init(status: Int32, message: String?) {
    self.status = status
    self.message = message
  }

  /// - Parameter command: whose usage a wrong command line is answered with.
  package init(of error: any Error, in command: any ParsableArguments.Type = StageOptions.self) {
    switch error {
    case let error as ProcessEnding:
      self = error
    case let error as CommonEnding:
      self = error.ending
    case let error as UserError:
      self.init(status: ExitStatus.userError, message: "error: \(error)")
    case let error as InterruptedError:
      self.init(status: ExitStatus.interrupted(by: error.signal), message: "error: \(error)")
    case is ReaderGone:
      self.init(status: ExitStatus.readerGone, message: nil)
    case let error as CocoaError:
      self.init(status: ExitStatus.userError, message: "error: \(UserError(error))")
    default:
      let code = command.exitCode(for: error)
      self.init(
        status: code == .success
          ? 0 : code == .validationFailure ? ExitStatus.usage : ExitStatus.userError,
        message: command.fullMessage(for: error))
    }
  }
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
    StatusBoard.leave()
    let ending = ProcessEnding(of: error, in: Self.self)
    guard ending.status == 0 else {
      // What was said before comes first. Whether it arrives, nobody asks now.
      try? StandardOutput.finish()
      if let message = ending.message { StandardError.write(message + "\n") }
      return ending.status
    }
    do {
      if let message = ending.message { try StandardOutput.line(message) }
      try StandardOutput.finish()
      return 0
    } catch {
      return report(error)
    }
  }
}

/// What `--version` prints: "ott-x 0.1.0 stage-version 1"; without a stage only the first two words.
package func versionText(_ command: String, stage version: Int? = nil) -> String {
  "\(command) \(Product.version)" + (version.map { " stage-version \($0)" } ?? "")
}
