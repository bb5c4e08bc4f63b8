import Contracts
import Support
import Testing

import Planning

@Suite struct SettingsTests {
  let defaults: ConfigValue = [
    "training": ["steps": 10, "lanes": 4], "optimizer": ["learningRate": 0.5, "name": "adamw"],
    "map": ["inputOrders": [1]],
  ]

  @Test func laterLayersWinAndAreNamed() throws {
    var settings = try Settings(defaults: defaults, origin: "defaults")
    try settings.apply(["training": ["steps": 20]], origin: "a")
    try settings.apply(["training": ["steps": 30], "map": ["inputOrders": [1, 2]]], origin: "b")
    #expect(settings.value("training.steps") == 30)
    #expect(settings.entries["training.steps"]?.origin == "b")
    #expect(settings.value("training.lanes") == 4)
    #expect(settings.entries["training.lanes"]?.origin == "defaults")
    #expect(settings.value("map.inputOrders") == [1, 2])
    #expect(settings.section("optimizer") == ["learningRate": 0.5, "name": "adamw"])
    #expect(settings.value("optimizer") == ["learningRate": 0.5, "name": "adamw"])
    #expect(settings.value("optimiser") == nil)
  }

  @Test func integersBecomeNumbersWhereNumbersAreExpected() throws {
    var settings = try Settings(defaults: defaults, origin: "defaults")
    try settings.apply(["optimizer": ["learningRate": 1]], origin: "a")
    #expect(settings.value("optimizer.learningRate") == .double(1))
  }

  @Test func factorsAreOfTheLayersBefore() throws {
    var settings = try Settings(defaults: defaults, origin: "defaults")
    try settings.apply(["optimizer": ["learningRate": "0.5x"]], origin: "a")
    #expect(settings.value("optimizer.learningRate") == .double(0.25))
    try settings.apply(
      ["optimizer": ["learningRate": 3], "training": ["lanes": "2x"]], origin: "b")
    try settings.apply(["optimizer": ["learningRate": "1.5x", "name": "2x"]], origin: "c")
    #expect(settings.value("optimizer.learningRate") == .double(4.5))
    #expect(settings.entries["optimizer.learningRate"]?.origin == "c")
    #expect(settings.value("training.lanes") == .integer(8))
    #expect(settings.value("optimizer.name") == "2x")
  }

  /// Named with the default, whatever a layer before has.
  @Test(
    arguments: [
      (
        "0.25x",
        "an integer or a factor, such as 2x, found string '0.25x', which makes number 1.5. The default is 4."
      ),
      ("0x", "an integer or a factor, such as 2x, found string '0x'. The default is 4."),
      ("-1x", "an integer or a factor, such as 2x, found string '-1x'. The default is 4."),
      ("infx", "an integer or a factor, such as 2x, found string 'infx'. The default is 4."),
      ("nanx", "an integer or a factor, such as 2x, found string 'nanx'. The default is 4."),
      ("x", "an integer or a factor, such as 2x, found string 'x'. The default is 4."),
      (
        "1e300x",
        "an integer or a factor, such as 2x, found string '1e300x', which makes number 6e+300. The default is 4."
      ),
    ] as [(ConfigValue, String)])
  func badFactors(factor: ConfigValue, message: String) throws {
    var settings = try Settings(defaults: defaults, origin: "defaults")
    try settings.apply(["training": ["lanes": 6]], origin: "a")
    let error = #expect(throws: UserError.self) {
      try settings.apply(["training": ["lanes": factor]], origin: "b")
    }
    #expect(error?.description == "b: training.lanes: expected \(message)")
  }

  @Test(arguments: [
    (
      ["training": ["step": 1]] as ConfigValue,
      "a: training.step: unknown setting: expected a key of defaults. "
        + "Did you mean 'training.steps'?"
    ),
    (
      ["training": ["steps": 1.5]] as ConfigValue,
      "a: training.steps: expected an integer, found number 1.5. The default is 10."
    ),
    (
      ["optimizer": ["name": 3]] as ConfigValue,
      "a: optimizer.name: expected a text, found integer 3. The default is \"adamw\"."
    ),
    (
      ["training": 3] as ConfigValue,
      "a: training: unknown setting: expected a key of defaults. "
        + "Did you mean 'training.lanes'?"
    ),
    ([1, 2] as ConfigValue, "a: expected an object of settings, found an array of 2"),
  ])
  func badLayers(layer: ConfigValue, message: String) throws {
    var settings = try Settings(defaults: defaults, origin: "defaults")
    let error = #expect(throws: UserError.self) { try settings.apply(layer, origin: "a") }
    #expect(error?.description == message)
  }

  /// Parameters of a made-up stage.
  private struct Probe: KeyedParameters {
    struct Part: KeyedParameters {
      @Key(in: 1...9) var steps: Int
      @Key(in: 1...8) var lanes: Int
    }

    @Key() var training: Part
    @Key(in: 1...3) var inputOrders: [Int]
    @Key(in: 1...3) var widest: Int
    @Key() var seed: UInt64
  }

  private func probe(_ layer: ConfigValue) throws -> Probe {
    var settings = try Settings(defaults: defaults, origin: "defaults")
    try settings.apply(layer, origin: "a")
    return try settings.parameters(
      from: ["", "map"], named: ["widest": "training.lanes"], adding: ["seed": 7])
  }

  @Test func parametersComeFromSections() throws {
    let probe = try probe(["training": ["steps": 9, "lanes": 3], "map": ["inputOrders": [1, 3]]])
    #expect([probe.training.steps, probe.training.lanes, probe.widest] == [9, 3, 3])
    #expect(probe.inputOrders == [1, 3] && probe.seed == 7)
  }

  @Test(
    arguments: [
      (
        ["training": ["steps": 0]],
        "a: training.steps: expected an integer in 1...9, found integer 0"
      ),
      (
        ["training": ["steps": 1], "map": ["inputOrders": [0]]],
        "a: map.inputOrders: expected a list of integers in 1...3, found an array of 1"
      ),
      // Where the key has another name than the setting, the setting is named.
      (
        ["training": ["steps": 1]],
        "defaults: training.lanes: expected an integer in 1...3, found integer 4"
      ),
    ] as [(ConfigValue, String)])
  func valuesOutOfRangeNameTheirFile(layer: ConfigValue, message: String) throws {
    let error = #expect(throws: UserError.self) { _ = try probe(layer) }
    #expect(error?.description == message)
  }
}
