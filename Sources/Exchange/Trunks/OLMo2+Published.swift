import Models
import Support

/// `Olmo2ForCausalLM`.
extension OLMo2: PublishedTrunk {
  static var headClass: String { "Olmo2ForCausalLM" }
  static var isUsuallyTied: Bool { false }

  var published: [String: ConfigValue] {
    RotaryKeys.published(
      size: size, hiddenWidth: hiddenWidth, ropeTheta: settings.ropeTheta,
      normEpsilon: settings.normEpsilon)
  }

  static func members(_ reader: inout ConfigReader) throws -> [String: ConfigValue] {
    var members = try RotaryKeys.members(&reader, usualEpsilon: 1e-5, usualContext: 2048)
    members["hiddenWidth"] = .integer(try reader.int("intermediate_size", in: 1...10_000_000))
    return members
  }
}
