import Contracts
import Evaluation
import Foundation
import Support
import Testing
import Tokenization
import Torch

/// Stage evaluate on a device: what the CPU finds, to rounding, and the same bytes for any threads.
@Suite(
  .enabled(
    if: ProcessInfo.processInfo.environment[TorchLibrary.variable]?.isEmpty == false,
    "no libtorch: set OVERTOKEN_TORCH, or run make torch"), .serialized)
struct DeviceEvaluationTests {
  private static let device: [String: ConfigValue] = ["device": "torch-cpu"]

  @Test(arguments: [(3, [1], 1), (1, [1, 3], 1), (1, [1], 3)])
  func sentencesAreScoredAlike(tokenizer: Int, inputs: [Int], output: Int) throws {
    let shop = try GrammarWorkshop()
    defer { shop.remove() }
    let variant = try Variant(
      alphabet: Alphabet([1, 2, 3]), tokenizerOrder: tokenizer, inputOrders: inputs,
      outputOrder: output)
    let (run, heldout) = (try shop.writeRun(variant), try shop.writeHeldOut(variant))
    func scores(_ name: String, _ changes: [String: ConfigValue], threads: Int) throws
      -> ([SnapshotScores], [UInt8])
    {
      let path = "\(shop.directory)/\(name)"
      try AtomicFile.makeDirectory(path)
      let scores = try shop.evaluation(run, heldout, changes).write(to: path, threads: threads) {
        _ in
      }
      return (scores, try FileBytes.read("\(path)/index.json"))
    }
    let (cpu, _) = try scores("cpu", [:], threads: 2)
    let (device, bytes) = try scores("device", Self.device, threads: 1)
    #expect(try scores("threads", Self.device, threads: 3).1 == bytes)
    for (a, b) in zip(device, cpu) {
      #expect(abs(a.heldOut.loss.ratio / b.heldOut.loss.ratio - 1) < 1e-5)
      #expect(abs(a.heldOut.excess.ratio - b.heldOut.excess.ratio) < 1e-5)
      // The same draws: a sentence is another only where rounding moved a probability over one of them.
      #expect(abs(a.accuracy.correct - b.accuracy.correct) <= 2)
      #expect(zip(a.accuracy.endings, b.accuracy.endings).allSatisfy { abs($0 - $1) <= 2 })
      #expect((a.marginalAccuracy == nil) == (b.marginalAccuracy == nil))
    }
    #expect(cpu.count == device.count)
  }

  @Test func proposalsAreRefused() throws {
    let shop = try GrammarWorkshop()
    defer { shop.remove() }
    let variant = try Variant(
      alphabet: Alphabet([1, 2, 3]), tokenizerOrder: 1, inputOrders: [1], outputOrder: 1)
    let (run, heldout) = (try shop.writeRun(variant), try shop.writeHeldOut(variant))
    let error = #expect(throws: UserError.self) {
      try shop.evaluation(run, heldout, ["device": "torch-cpu", "drafts": 1])
    }
    #expect(error?.description.contains("drafts") == true)
  }
}
