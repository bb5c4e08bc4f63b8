import Evaluation
import Support
import Testing
import Tokenization

@Suite struct VariantTests {
  private func metadata(_ changes: [String: ConfigValue] = [:]) -> ConfigValue {
    var members: [String: ConfigValue] = [
      "kind": "grammar", "terminals": [1, 2, 3], "tokenizerOrder": 1, "outputOrder": 3,
      "inputs": [["order": 1, "rows": 5], ["order": 3, "rows": 41]], "labels": 41,
      "documents": 12,
    ]
    members.merge(changes) { $1 }
    return .object(members)
  }

  @Test func readsMapMetadata() throws {
    let variant = try Variant(mapMetadata: metadata(), source: "index.json")
    #expect(variant.isJoint && variant.labels == 41 && variant.tokens == 5)
    #expect(variant.mapper.tables.map(\.order) == [1, 3])
    #expect(variant.outcome(ofLabel: 0) == .malformed)
    #expect(variant.outcome(ofLabel: 1) == .end)
    #expect(variant.outcome(ofLabel: 2) == .token(2))
    #expect(variant.outcome(ofLabel: 13) == .token(4))
    #expect(variant.outcome(ofLabel: 14) == .token(2))
    #expect(variant.outcome(ofLabel: 40) == .token(4))
  }

  @Test(
    arguments: [
      ["kind": "text"], ["terminals": [3, 1]], ["terminals": [1, 300]], ["labels": 5],
      ["tokenizerOrder": 2], ["outputOrder": 0], ["inputs": [["order": 1, "rows": 14]]],
      ["inputs": []],
    ] as [[String: ConfigValue]])
  func refusesContradictions(changes: [String: ConfigValue]) {
    #expect(throws: UserError.self) {
      try Variant(mapMetadata: metadata(changes), source: "index.json")
    }
  }

  @Test func gramsOfATokenizerAreTokens() throws {
    let variant = try Variant(
      alphabet: Alphabet([1, 2, 3]), tokenizerOrder: 3, inputOrders: [1], outputOrder: 1)
    #expect(!variant.isJoint && variant.labels == 41 && variant.tokens == 41)
    #expect(variant.outcome(ofLabel: 40) == .token(40))
  }
}
