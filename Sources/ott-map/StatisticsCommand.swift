import ArgumentParser
import DataStages
import NGrams
import Stages
import Support

/// How a token set would share the rows of over-encoding tables, without writing any.
struct StatisticsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "statistics",
    abstract: "Distinct n-grams, rows used, collisions and updates, for tables of any size.",
    discussion: """
      One line a table. used: rows that occur. colliding: share of positions whose row another \
      n-gram has too; minority: share of positions that are not of the most frequent n-gram of their \
      row. per row and per position: how often a used row, and the row of a position, is looked up \
      (quartiles; the middle one is the median).
      """)

  @Option(help: "Directory of a token set of kind bpe.") var tokens: String
  @Option(help: "Highest order of n-grams.") var order = 2
  @Option(help: "Rows of a table, several separated by commas.") var rows: String
  @Option(help: "Slices of each order.") var slices = 1
  @Option(help: "Rule for the moduli: paper, coprime, equal.")
  var moduli = OverEncodingLayout.Moduli.coprime
  @Option(help: "Worker threads (default: all).") var threads = Host.threads
  @Option(help: "Also write the numbers to this file, as JSON.") var output: String?

  func validate() throws {
    try requireCount(threads, of: "--threads")
    if !(2...64).contains(order) { throw ValidationError("--order must be in 2...64.") }
    if !(1...1024).contains(slices) { throw ValidationError("--slices must be in 1...1024.") }
    if rows.split(separator: ",").contains(where: { Int($0) == nil }) || rows.isEmpty {
      throw ValidationError("--rows must be integers separated by commas.")
    }
  }

  func run() throws {
    if let output { try OutputPath.require(file: output, apartFrom: [tokens]) }
    let sharing = try RowSharing(
      tokens: tokens, order: order, slices: slices,
      rows: rows.split(separator: ",").compactMap { Int($0) }, moduli: moduli, threads: threads)
    try StandardOutput.line(sharing.table)
    if let output { try AtomicFile.write(sharing.value.prettyJSON, to: output) }
  }
}

extension OverEncodingLayout.Moduli: ExpressibleByArgument {}
