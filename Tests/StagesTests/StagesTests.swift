import Stages
import Support
import Testing

@Suite struct StageConfigurationTests {
  @Test func idIsTakenOfTheCanonicalForm() {
    let configuration = StageConfiguration(
      stage: "map", version: 1, parameters: ["n": 3],
      inputs: ["tokens": .init(id: "0123456789ab", path: "anywhere")])
    let text =
      #"{"inputs":{"tokens":"0123456789ab"},"parameters":{"n":3},"stage":"map","version":1}"#
    #expect(configuration.identity.canonicalJSON == text)
    #expect(configuration.id == String(SHA256.hex(of: text).prefix(12)))
  }
}
