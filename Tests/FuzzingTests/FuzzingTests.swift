import Foundation
import Fuzzing
import Support
import Testing

/// The quick version of `make fuzz`, in this process: a trap here ends the tests.
@Suite(.serialized) struct FuzzingTests {
  static let names = [
    "shard", "safetensors", "index", "evidence", "config", "yaml", "state", "metrics",
    "tokenizer.json", "vocab.json", "merges.txt", "tiktoken", "corpus.jsonl", "corpus.gz",
    "corpus.zst", "grammar",
  ]

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
    #expect(outcomes.contains(.refused))
  }

  /// What the fuzzer found once stays found.
  @Test func foundCases() throws {
    let folder = Bundle.module.bundlePath + "/Resources"
    let scratch = try ScratchDirectory()
    for file in try FileManager.default.contentsOfDirectory(atPath: folder).sorted() {
      // "<reader>-<seed>-<number>"
      let name = file.split(separator: "-").dropLast(2).joined(separator: "-")
      guard Self.names.contains(name) else { continue }
      let target = try FuzzTargets.named(name, scratch)
      _ = try target.run(FileBytes.read("\(folder)/\(file)"), isResealed: true)
    }
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
}
