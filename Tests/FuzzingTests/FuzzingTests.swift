import Foundation
import Fuzzing
import Support
import Testing

/// The quick version of `make fuzz`, in this process: a trap here ends the tests.
@Suite(.serialized) struct FuzzingTests {
  static let names = [
    "shard", "safetensors", "keys", "index", "evidence", "config", "yaml", "state", "metrics",
    "requests",
    "tokenizer.json", "vocab.json", "merges.txt", "tiktoken", "corpus.jsonl", "corpus.gz",
    "corpus.zst", "tokens.llmc", "tokens.idx", "grammar", "text",
  ]

  /// A folder for each reader that has been fuzzed by coverage.
  static let corpus = Bundle.module.bundlePath + "/Corpus/"

  @Test func everyReaderIsHere() throws {
    let scratch = try ScratchDirectory()
    #expect(try FuzzTargets.all(scratch).map(\.name) == Self.names)
    #expect(throws: UserError.self) { try FuzzTargets.named("shards", scratch) }
  }

  @Test(arguments: names)
  func readersRefuseOrReturn(name: String) throws {
    let scratch = try ScratchDirectory()
    let target = try FuzzTargets.named(name, scratch)
    for seed in target.seeds {
      #expect(try target.run(seed, isResealed: false) == .accepted, "a seed must be whole")
      var resealed = seed
      if target.reseal(&resealed) { #expect(resealed == seed) }
    }
    let mutator = target.mutator(seed: 7)
    var outcomes: Set<FuzzTarget.Outcome> = []
    for index in 0..<1500 as Range<UInt64> {
      let input = target.input(index, mutator)
      outcomes.insert(try target.run(input.bytes, isResealed: input.isResealed))
    }
    #expect(outcomes.contains(.refused) || name == "text", "every text can be encoded")
  }

  /// What the fuzzers found once stays found.
  @Test func foundCases() throws {
    let folder = Bundle.module.bundlePath + "/Resources"
    let scratch = try ScratchDirectory()
    for file in try AtomicFile.names(in: folder).sorted() where file != "README.md" {
      // "<reader>-<seed>-<number>", or "<reader>-guided-<what>-<digest>".
      let name = try #require(Self.names.first { file.hasPrefix($0 + "-") }, "\(file)")
      let target = try FuzzTargets.named(name, scratch)
      let bytes = try FileBytes.read("\(folder)/\(file)")
      _ =
        file.hasPrefix(name + "-guided-")
        ? try target.runMended(bytes) : try target.run(bytes, isResealed: true)
    }
  }

  /// Inputs that reach what others do not, as coverage has shown: `make fuzz-guided`.
  @Test(arguments: names.filter { FileBytes.exists(corpus + $0) })
  func keptInputs(name: String) throws {
    let folder = Self.corpus + name
    let scratch = try ScratchDirectory()
    let target = try FuzzTargets.named(name, scratch)
    var outcomes: Set<FuzzTarget.Outcome> = []
    for file in try AtomicFile.names(in: folder).sorted() {
      outcomes.insert(try target.runMended(FileBytes.read("\(folder)/\(file)")))
    }
    #expect(outcomes.contains(.accepted), "seeds are among them")
  }

  /// Input i is a function of seed, reader and i.
  @Test func inputsAreNumbered() throws {
    let scratch = try ScratchDirectory()
    let target = try FuzzTargets.named("config", scratch)
    let one = target.mutator(seed: 1)
    let again = target.mutator(seed: 1)
    #expect((0..<64).allSatisfy { one.input($0) == again.input($0) })
    let other = target.mutator(seed: 2)
    #expect((0..<64).contains { one.input($0) != other.input($0) })
    let distinct = Set((0..<512).map { one.input($0) })
    #expect(distinct.count > 450)
  }

  @Test func aWorkerCountsAndLeavesTheNumberOfItsInput() throws {
    let scratch = try ScratchDirectory()
    let target = try FuzzTargets.named("grammar", scratch)
    let state = try FuzzState(path: "\(scratch.path)/state")
    try FuzzWorker.run(
      target, seed: 1, first: 3, stride: 5, count: 40, seconds: .infinity, state: state)
    #expect(state.accepted + state.refused == 40)
    #expect(state.current == 3 + 39 * 5)
  }

  // MARK: - Adding up

  private func counts(_ inputs: UInt64, crashes: UInt64 = 0) -> FuzzCounts {
    var counts = FuzzCounts()
    counts.inputs = inputs
    counts.refused = inputs - crashes
    counts.crashes = crashes
    counts.seconds = 0.25
    return counts
  }

  @Test func runsAddUp() throws {
    let scratch = try ScratchDirectory()
    let path = scratch.path + "/new/fuzz.csv"
    try FuzzTable.add(counts(10), reader: "shard", seed: 1, end: 12, to: path)
    try FuzzTable.add(counts(5), reader: "yaml", seed: 1, end: 5, to: path)
    try FuzzTable.add(counts(7, crashes: 1), reader: "shard", seed: 1, end: 21, to: path)
    try FuzzTable.add(counts(3), reader: "shard", seed: 2, end: 3, to: path)
    #expect(
      try String(decoding: FileBytes.read(path), as: UTF8.self) == """
        reader,seed,end,inputs,refused,accepted,crashes,hangs,seconds
        shard,1,21,17,16,0,1,0,0.5
        shard,2,3,3,3,0,0,0,0.2
        yaml,1,5,5,5,0,0,0,0.2

        """)
    let table = try FuzzTable(path: path)
    #expect(table.inputs("shard") == 20 && table.inputs("index") == 0)
    #expect(table.end("shard", seed: 1) == 21 && table.end("shard", seed: 3) == 0)
    #expect(try AtomicFile.names(in: scratch.path + "/new") == ["fuzz.csv"])
  }

  @Test(arguments: [
    "reader,seed,inputs\n",
    "reader,seed,end,inputs,refused,accepted,crashes,hangs,seconds\nshard,1\n",
    "reader,seed,end,inputs,refused,accepted,crashes,hangs,seconds\nshard,1,2,-3,4,5,6,7,8\n",
  ])
  func anotherTableIsNotAddedTo(text: String) throws {
    let scratch = try ScratchDirectory()
    let path = scratch.path + "/fuzz.csv"
    try AtomicFile.write(text, to: path)
    let error = #expect(throws: UserError.self) {
      try FuzzTable.add(counts(1), reader: "shard", seed: 1, end: 1, to: path)
    }
    #expect(error?.description.contains("\(path): line") == true)
    #expect(try FileBytes.read(path) == Array(text.utf8))
  }
}
