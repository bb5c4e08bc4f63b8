import Contracts
import NGrams
import Support

/// The f-grams of a run over text, where its model has any: how they are found, and which of them count.
struct FGramsPlan: Sendable {
  let discover: DiscoverParameters
  let map: FGramMapParameters

  /// Nil for models without.
  ///
  /// - Parameter order: highest n-gram whose exact ids are mapped too; nil for none.
  /// - Throws: `UserError` naming the setting that is wrong.
  init?(_ settings: Settings, order: Int?) throws {
    let longest = try settings.parameters(Longest.self, from: ["model.fGrams"]).longest
    guard longest > 1 else { return nil }
    var discover: DiscoverParameters = try settings.parameters(
      from: ["discover"], adding: TextPath.Run.share(settings))
    discover.longest = max(discover.longest, longest)
    self.discover = discover
    map = try settings.parameters(
      from: ["map"],
      adding: [
        "content": .string(TextMap.Content.fGrams.rawValue), "longest": .integer(longest),
        "order": order.map(ConfigValue.integer),
      ])
  }

  private struct Longest: KeyedParameters {
    @Key(in: 1...8) var longest: Int
  }

  /// `model.fGrams` as the stage gets it: nil for none, and what is the trunk's is left out.
  ///
  /// - Parameter besideTables: whether the model is over-encoded.
  static func model(_ settings: Settings, besideTables: Bool) throws -> ConfigValue? {
    guard try settings.parameters(Longest.self, from: ["model.fGrams"]).longest > 1 else {
      return nil
    }
    if besideTables && settings.value("model.overEncoding.token") == .bool(false) {
      throw settings.fault(
        "model.overEncoding.token",
        expected: "true beside model.fGrams, which stand in the token's place")
    }
    var members = settings.section("model.fGrams")
    for key in ["layers", "heads"] {
      members[key] = settings.unlessZero("model.fGrams.\(key)")
    }
    return .object(members)
  }
}
