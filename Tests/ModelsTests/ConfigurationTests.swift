import Engine
import Models
import Support
import Testing

@Suite struct ConfigurationTests {
  @Test(arguments: [
    ("width: 16", "width: 15", "width"), ("layers: 1", "layers: 0", "layers"),
    ("heads: 2", "heads: 3", "a multiple of 3 heads"), ("context: 10", "context: 0", "context"),
    ("labels: 5", "labels: 0", "labels"), ("tied: false", "tied: true", "tied"),
    ("order: 3", "order: 1", "distinct"), ("rows: 41", "row: 41", "rows"),
    ("{order: 1, rows: 5}, {order: 3, rows: 41}", "", "one or more tables"),
    ("tied: false", "overEncoding: {order: 2, slices: 1, rows: 9}", "found order 1, order 3"),
  ])
  func rejects(part: String, replacement: String, named: String) throws {
    let text = """
      architecture: gpt2
      layers: 1
      width: 16
      heads: 2
      context: 10
      inputs: [{order: 1, rows: 5}, {order: 3, rows: 41}]
      labels: 5
      tied: false
      """
    #expect(try configuration(text).labels == 5)
    let error = #expect(throws: UserError.self) {
      try configuration(text.replacing(part, with: replacement))
    }
    #expect(error?.description.contains(named) == true, "\(error?.description ?? "")")
    #expect(error?.description.hasPrefix("model") == true)
  }

  @Test(arguments: Architecture.allCases)
  func startsWithTheDeviationThatItNames(architecture: Architecture) throws {
    func deviation(_ key: String) throws -> Double {
      let model = try configuration(
        """
        {architecture: \(architecture.rawValue), layers: 1, width: 64, heads: 2, context: 40,
         inputs: [{order: 1, rows: 300}], labels: 300\(key)}
        """)
      let plan = model.plan(.training, rows: 40)
      let store = ParameterStore(layout: plan.layout, moments: false)
      store.initialize(seed: 3)
      // Matrices of at least 4,096 draws, but those that GPT-2 starts smaller.
      let matrices = store.layout.slots.filter {
        $0.shape.count == 2 && $0.count >= 4096 && !$0.name.contains("c_proj")
      }
      let values: [Float] = matrices.flatMap { store.values($0) }
      let sum = values.reduce(0.0) { $0 + Double($1) * Double($1) }
      return (sum / Double(values.count)).squareRoot()
    }
    // Cutting at three deviations takes 1.3 % away.
    #expect(abs(try deviation("") / 0.02 - 1) < 0.03)
    #expect(abs(try deviation(", deviation: 0.05") / 0.05 - 1) < 0.03)
    #expect(abs(try deviation(", deviation: 0") / 0.125 - 1) < 0.03)
    let error = #expect(throws: UserError.self) {
      try configuration(
        "{architecture: gpt2, layers: 1, width: 64, heads: 2, context: 40, deviation: -1}")
    }
    #expect(error?.description.contains("deviation") == true)
  }

  @Test(arguments: [
    ("heads: 2", "heads: 16", "model: model width: expected an even"),
    ("ropeTheta: 1e4", "ropeTheta: 0", "ropeTheta"),
    ("ropeTheta: 1e4", "ropeTheta: .nan", "ropeTheta"),
    ("normEpsilon: 1e-5", "normEpsilon: -1", "normEpsilon"),
    ("hiddenWidth: 40", "hiddenWidth: -1", "hiddenWidth"),
    ("hiddenWidth: 40", "hidenWidth: 40", "hiddenWidth"),
    ("architecture: olmo2", "architecture: gpt2", "hiddenWidth"),
    ("architecture: olmo2", "architecture: olmo", "olmo2"),
  ])
  func rejectsOfOLMo2(part: String, replacement: String, named: String) throws {
    let text = """
      architecture: olmo2
      layers: 1
      width: 16
      heads: 2
      hiddenWidth: 40
      ropeTheta: 1e4
      normEpsilon: 1e-5
      context: 10
      inputs: [{order: 1, rows: 5}]
      labels: 5
      """
    let trunk = try #require(try configuration(text).trunk as? OLMo2)
    #expect(
      trunk.settings == OLMo2.Settings(hiddenWidth: 40, ropeTheta: 1e4, normEpsilon: 1e-5))
    #expect(trunk.size == TrunkSize(layers: 1, width: 16, heads: 2, context: 10))
    let error = #expect(throws: UserError.self) {
      try configuration(text.replacing(part, with: replacement))
    }
    #expect(error?.description.contains(named) == true, "\(error?.description ?? "")")
  }

  @Test(arguments: [
    ("topK: 2", "topK: 5", "model topK: expected 1 to 4, the experts, found 5"),
    ("topK: 2", "topK: 0", "topK"), ("experts: 4", "experts: 1", "topK"),
    ("experts: 4", "experts: 0", "experts"), ("expertWidth: 24", "expertWidth: -1", "expertWidth"),
    ("expertWidth: 24", "expertWidth: 2.5", "expertWidth"),
    ("normalizeTopK: true", "normalizeTopK: 1", "normalizeTopK"),
    ("balanceLoss: 0.02", "balanceLoss: -1", "balanceLoss"),
    ("balanceLoss: 0.02", "balanceLoss: .inf", "balanceLoss"),
    ("zLoss: 0", "zLoss: .nan", "zLoss"), ("zLoss: 0", "hiddenWidth: 40", "hiddenWidth"),
    ("heads: 2", "heads: 16", "model: model width: expected an even"),
    ("ropeTheta: 1e6", "ropeTheta: -1", "ropeTheta"),
    ("normEpsilon: 1e-7", "normEpsilon: 0", "normEpsilon"),
    ("architecture: olmoe", "architecture: olmo2", "balanceLoss: unknown key"),
  ])
  func rejectsOfOLMoE(part: String, replacement: String, named: String) throws {
    let text = """
      architecture: olmoe
      layers: 1
      width: 16
      heads: 2
      experts: 4
      topK: 2
      expertWidth: 24
      normalizeTopK: true
      balanceLoss: 0.02
      zLoss: 0
      ropeTheta: 1e6
      normEpsilon: 1e-7
      context: 10
      inputs: [{order: 1, rows: 5}]
      labels: 5
      """
    let trunk = try #require(try configuration(text).trunk as? OLMoE)
    #expect(
      trunk.settings
        == OLMoE.Settings(
          experts: 4, topK: 2, expertWidth: 24, normalizeTopK: true, balanceLoss: 0.02, zLoss: 0,
          ropeTheta: 1e6, normEpsilon: 1e-7))
    let error = #expect(throws: UserError.self) {
      try configuration(text.replacing(part, with: replacement))
    }
    #expect(error?.description.contains(named) == true, "\(error?.description ?? "")")
  }

  /// Tables of 16 columns do not make the input of a trunk of 24.
  @Test func anInputOfAnotherWidthIsRefused() throws {
    let error = #expect(throws: UserError.self) {
      try ModelConfiguration(
        input: overEncoded(width: 16).input,
        trunk: GPT2(TrunkSize(layers: 1, width: 24, heads: 2, context: 4)), labels: 14)
    }
    #expect(error?.description.contains("16 columns") == true, "\(error?.description ?? "")")
  }

  @Test func aTrunkSaysItsKeys() throws {
    let own: [String: ConfigValue] = [
      "hiddenWidth": 0, "ropeTheta": 5e5, "normEpsilon": 1e-6,
    ]
    let common: [String: ConfigValue] = ["architecture": "gpt2", "width": 16, "tied": false]
    let ofExperts: [String: ConfigValue] = [
      "experts": 16, "topK": 4, "expertWidth": 0, "normalizeTopK": false, "balanceLoss": 0.01,
      "zLoss": 0.001,
    ]
    let dense = common.merging(own) { first, _ in first }
    let all = dense.merging(ofExperts) { first, _ in first }
    #expect(try Architecture.gpt2.withoutKeysOfOthers(all) == common)
    #expect(try Architecture.olmo2.withoutKeysOfOthers(all) == dense)
    var mixed = all
    mixed["hiddenWidth"] = nil
    #expect(try Architecture.olmoe.withoutKeysOfOthers(all) == mixed)
  }

  private func configuration(_ text: String) throws -> ModelConfiguration {
    var reader = try ConfigReader(ConfigValue.parse(yaml: text, source: "model"), source: "model")
    let result = try ModelConfiguration(reader: &reader)
    try reader.finish()
    return result
  }
}
