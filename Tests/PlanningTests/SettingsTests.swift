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
    #expect(try settings.ints("map.inputOrders", in: 1...3) == [1, 2])
    #expect(settings.section("optimizer") == ["learningRate": 0.5, "name": "adamw"])
  }

  @Test func integersBecomeNumbersWhereNumbersAreExpected() throws {
    var settings = try Settings(defaults: defaults, origin: "defaults")
    try settings.apply(["optimizer": ["learningRate": 1]], origin: "a")
    #expect(settings.value("optimizer.learningRate") == .double(1))
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

  @Test func valuesOutOfRangeNameTheirFile() throws {
    var settings = try Settings(defaults: defaults, origin: "defaults")
    try settings.apply(["training": ["steps": 0], "map": ["inputOrders": [0]]], origin: "a")
    let steps = #expect(throws: UserError.self) { try settings.int("training.steps", in: 1...9) }
    #expect(steps?.description == "a: training.steps: expected an integer, 1...9, found 0")
    let orders = #expect(throws: UserError.self) { try settings.ints("map.inputOrders", in: 1...3) }
    #expect(
      orders?.description == "a: map.inputOrders: expected a list of integers in 1...3, found [0]")
  }
}
