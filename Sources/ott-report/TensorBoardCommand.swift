import ArgumentParser
import Reporting
import Support

/// `make tensorboard`.
struct TensorBoardCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tensorboard",
    abstract: "Write the metrics of training runs as a folder for TensorBoard.",
    discussion: """
      Reads lines "id name" from standard input, as `ott-plan list --stage train` prints them. A run that is \
      under way can be read as often as one likes: its file grows.
      """)

  @Option(help: "Folder to write, with one a run.")
  var output: String

  func run() throws {
    let folder = EventFolder(path: output)
    var count = 0
    while let line = try StandardInput.line().map({ String(decoding: $0, as: UTF8.self) }) {
      let parts = line.split(separator: " ", maxSplits: 1).map(String.init)
      guard parts.count == 2 else {
        throw UserError("standard input", expected: "lines of an id and a name", found: "'\(line)'")
      }
      guard let events = try folder.update(from: "data/train/\(parts[0])", name: parts[1]) else {
        continue
      }
      count += 1
      try StandardOutput.line("\(output)/\(parts[1]): \(events) events")
    }
    guard count > 0 else {
      throw UserError(
        output, expected: "a run that has begun", found: "none", remedy: "Make the figure first.")
    }
  }
}
