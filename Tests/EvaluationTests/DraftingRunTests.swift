import Evaluation
import Foundation
import Models
import Shards
import Support
import Testing
import Tokenization

/// Generation in which further heads propose tokens.
@Suite struct DraftingRunTests {
  private func variant(_ tokenizer: Int, _ inputs: [Int], _ output: Int = 1) throws -> Variant {
    try Variant(
      alphabet: Alphabet([1, 2, 3]), tokenizerOrder: tokenizer, inputOrders: inputs,
      outputOrder: output)
  }

  private func heads(
    _ kind: String, labels: Int
  ) -> (heads: any FurtherHeads, value: ConfigValue) {
    let value: ConfigValue = ["heads": 3, "weights": [0.5, 0.25]]
    return switch kind {
    case "overDecoding": (OverDecoding(labels: labels, weights: [0.5, 0.25]), value)
    case "mtp": (MultiToken(labels: labels, weights: [0.5, 0.25]), value)
    default: (MultiTokenChain(labels: labels, weights: [0.5, 0.25]), value)
    }
  }

  /// The stage's files are those of plain generation, but for what became of the proposals, which no
  /// number of threads changes.
  @Test(
    arguments: ["overDecoding", "mtp", "mtpDS"], [(1, [1]), (2, [1]), (1, [1, 3])])
  func sentencesAreTheSame(kind: String, tokens: (tokenizer: Int, inputs: [Int])) throws {
    let shop = try GrammarWorkshop()
    defer { shop.remove() }
    let variant = try variant(tokens.tokenizer, tokens.inputs)
    let run = try shop.writeRun(variant, heads: heads(kind, labels: variant.labels))
    let heldout = try shop.writeHeldOut(variant)
    func files(_ name: String, _ drafts: Int?, threads: Int, batch: Int = 16) throws -> (
      samples: [[Int]], judgement: [[Int]], snapshots: [ConfigValue]
    ) {
      var changes: [String: ConfigValue] = ["batch": .integer(batch)]
      if let drafts { changes["drafts"] = .integer(drafts) }
      let path = shop.directory + "/" + name
      try AtomicFile.makeDirectory(path)
      _ = try shop.evaluation(run, heldout, changes).write(to: path, threads: threads) { _ in }
      let index = try StageIndex(directory: path)
      guard case .array(let snapshots)? = index.metadata["snapshots"] else {
        return ([], [], [])
      }
      let sets = try ["samples", "judgement"].map {
        try ShardSet(directory: path + "/" + $0).load(threads: 1)
      }
      return (
        (0..<sets[0].documents).map {
          sets[0].integers(column: 0, rows: sets[0].rows(ofDocument: $0))
        },
        (0..<2).map { sets[1].integers(column: $0, rows: 0..<sets[1].count) }, snapshots
      )
    }
    let plain = try files("plain", nil, threads: 1)
    #expect(plain.snapshots.count == 2)
    for drafts in [1, 2] {
      let first = try files("drafts\(drafts)", drafts, threads: 1)
      for (name, threads, batch) in [("many", 4, 16), ("one", 2, 1), ("seven", 1, 7)] {
        let other = try files(name + "\(drafts)", drafts, threads: threads, batch: batch)
        #expect(other.samples == first.samples && other.snapshots == first.snapshots)
      }
      #expect(first.samples == plain.samples && first.judgement == plain.judgement)
      for (snapshot, expected) in zip(first.snapshots, plain.snapshots) {
        guard case .object(var members) = snapshot else { return }
        let removed = members.removeValue(forKey: "drafts")
        let counts = try #require(removed)
        #expect(.object(members) == expected)
        var reader = try ConfigReader(counts, source: "drafts")
        let (passes, said) = (try reader.int("passes"), try reader.int("tokens"))
        let (proposed, accepted) = (try reader.ints("proposed"), try reader.ints("accepted"))
        #expect(try reader.double("tokensPerPass") == Double(said) / Double(passes))
        try reader.finish()
        #expect(proposed.count == drafts && accepted.count == drafts)
        #expect(zip(accepted, proposed).allSatisfy(<=) && accepted[0] > 0)
        #expect(said == passes + accepted.reduce(0, +))
      }
    }
  }

  @Test func moreDraftsThanHeadsAreRefused() throws {
    let shop = try GrammarWorkshop()
    defer { shop.remove() }
    let variant = try variant(1, [1])
    let heldout = try shop.writeHeldOut(variant)
    let none = #expect(throws: UserError.self) {
      try shop.evaluation(shop.writeRun(variant), heldout, ["drafts": 1])
    }
    #expect(none?.description.contains("no further heads") == true)
    let few = #expect(throws: UserError.self) {
      try shop.evaluation(
        shop.writeRun(variant, heads: heads("mtp", labels: variant.labels)), heldout, ["drafts": 3])
    }
    #expect(few?.description.contains("at most 2") == true, "\(few?.description ?? "")")
  }
}
