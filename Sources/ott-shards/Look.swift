import ArgumentParser
import Shards
import Stages
import Support

struct Info: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Describes a shard set, or one shard.")

  @Argument(help: "The directory of a shard set, or a .shard file.")
  var path: String

  func run() throws {
    for line in try ShardDescription.lines(of: path) {
      try StandardOutput.line(line)
    }
  }
}

struct Cat: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Prints documents, one a line; with several columns, one line a column.")

  @Argument(help: "The directory of a shard set.")
  var directory: String

  @Option(help: "Which documents: 7, 0...4 or (in quotes) 0..<5; default: all.")
  var documents: DocumentRange?

  @Option(help: "Only this column.")
  var column: String?

  func run() throws {
    let text = try ShardText(
      ShardSet(directory: directory), column: column, documents: documents?.range)
    try text.forEachDocument { try StandardOutput.write($0) }
  }
}

extension DocumentRange: ExpressibleByArgument {
  public init?(argument: String) { self.init(argument) }
}
