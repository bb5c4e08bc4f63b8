import Foundation
import Shards
import Support
import Testing

/// ott-sample from the outside.
@Suite struct SampleCommandTests {
  private let directory: String
  private let grammar: String

  init() throws {
    directory = NSTemporaryDirectory() + "ott-sample-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    grammar =
      URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().path + "/data/grammars/cfg3f.grammar"
  }

  private func remove() { try? FileManager.default.removeItem(atPath: directory) }

  private func run(
    _ arguments: [String], input: String = ""
  ) throws -> (status: Int32, output: String, message: String) {
    let process = Process()
    let (output, errors) = (Pipe(), Pipe())
    let inputPath = directory + "/input-\(UUID().uuidString)"
    try AtomicFile.write(input, to: inputPath)
    process.executableURL = Bundle.main.bundleURL.appendingPathComponent("ott-sample")
    process.arguments = arguments
    process.standardInput = FileHandle(forReadingAtPath: inputPath)
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    let printed = output.fileHandleForReading.readDataToEndOfFile()
    let message = errors.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (
      process.terminationStatus, String(decoding: printed, as: UTF8.self),
      String(decoding: message, as: UTF8.self)
    )
  }

  private func parameters(_ changes: [String: ConfigValue] = [:]) throws -> ConfigValue {
    let standard: [String: ConfigValue] = [
      "grammar": .string(grammar),
      "grammarDigest": .string(SHA256.hex(of: try FileBytes.read(grammar))),
      "root": 15, "seed": 3, "stream": "train", "documents": 1_000, "documentsPerShard": 300,
      "compressionLevel": 1,
    ]
    return .object(standard.merging(changes) { $1 })
  }

  private func stage(
    _ parameters: ConfigValue, output: String, threads: Int = 2
  ) throws -> (status: Int32, output: String, message: String) {
    let path = directory + "/\(output).json"
    let file: ConfigValue = ["stage": "sample", "version": 1, "parameters": parameters]
    try AtomicFile.write(file.prettyJSON, to: path)
    return try run([
      "--config", path, "--output", directory + "/" + output, "--threads", "\(threads)",
    ])
  }

  @Test func bytesDoNotDependOnThreads() throws {
    defer { remove() }
    for threads in [1, 2, 4] {
      let result = try stage(try parameters(), output: "t\(threads)", threads: threads)
      #expect(result.status == 0, "\(result.message)")
    }
    let names = try FileManager.default.contentsOfDirectory(atPath: directory + "/t1")
      .filter { $0 != "evidence.json" }
    #expect(names.sorted() == (0..<4).map { "0000\($0).shard" } + ["index.json"])
    for name in names {
      let bytes = try FileBytes.read(directory + "/t1/" + name)
      #expect(try FileBytes.read(directory + "/t2/" + name) == bytes)
      #expect(try FileBytes.read(directory + "/t4/" + name) == bytes)
    }
  }

  @Test func sentencesDoNotDependOnShards() throws {
    defer { remove() }
    let printed = try run([
      "--print", "--grammar", grammar, "--root", "15", "--seed", "3", "--count", "1000",
    ])
    #expect(printed.status == 0, "\(printed.message)")
    for size in [1_000, 7] {
      let result = try stage(
        try parameters(["documentsPerShard": .integer(size)]), output: "s\(size)")
      #expect(result.status == 0, "\(result.message)")
      let set = try ShardSet(directory: directory + "/s\(size)")
      #expect(set.documents == 1_000)
      let columns = try set.load(threads: 1)
      var lines = ""
      for document in 0..<1_000 {
        let symbols = columns.integers(column: 0, rows: columns.rows(ofDocument: document))
        lines += symbols.map(String.init).joined() + "\n"
      }
      #expect(lines == printed.output)
    }
  }

  @Test func badInputGetsOneMessage() throws {
    defer { remove() }
    let cases: [(changes: [String: ConfigValue], message: String)] = [
      (["grammarDigest": "00"], "not the one that was planned"),
      (["grammar": .string(directory + "/none.grammar")], "cannot read"),
      (["root": 5], "root: expected one of the grammar's nonterminals"),
      (["documents": 0], "parameters.documents"),
      (["compressionLevel": 23], "parameters.compressionLevel"),
      (["sead": 1], "parameters.sead: unknown key"),
    ]
    for (index, (changes, message)) in cases.enumerated() {
      let result = try stage(try parameters(changes), output: "bad\(index)")
      #expect(result.status == 1)
      #expect(result.message.contains(message), "\(result.message)")
      #expect(result.message.split(separator: "\n").count == 1, "\(result.message)")
      #expect(!FileBytes.exists(directory + "/bad\(index)/index.json"))
    }
    #expect(try run([]).status == 2)
    #expect(try run(["--print"]).status == 2)
    #expect(try run(["parse"]).status == 2)
    #expect(try run(["--print", "--grammar", "/nonexistent.grammar"]).status == 1)
  }

  @Test func tablesReadStandardInput() throws {
    defer { remove() }
    let parse = try run(["parse", "--grammar", grammar, "--root", "9"], input: "121\n11\n\n12\n")
    let rows = ["3,yes,1,-1.584963", "2,yes,1,-1.584963", "0,no,0,-inf", "2,no,0,-inf"]
    #expect(
      parse.output == "length,member,derivations,log2_probability\n" + rows.joined(separator: "\n")
        + "\n")
    let next = try run(["next", "--grammar", grammar, "--root", "9"], input: "33\n")
    #expect(next.output.split(separator: "\n").count == 4)
    let describe = try run(["describe", "--grammar", grammar, "--samples", "10"])
    #expect(describe.output.contains("268.6606 bits (exact)"))
    #expect(try run(["--version"]).output == "ott-sample \(Product.version) stage-version 1\n")
  }
}
