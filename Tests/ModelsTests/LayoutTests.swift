import Engine
import Models
import Support
import Testing

/// The trunks of `pipeline/model`, each with the digest of the layouts that it has with all of
/// `inputs`: what files of weights were written by, and what the random streams were named after.
private let trunks = [
  ("d2be0292b336dc66", "architecture: gpt2, layers: 4, width: 8, heads: 2, context: 20"),
  ("1bbb94e2c95ff216", "architecture: gpt2, layers: 4, width: 16, heads: 2, context: 20"),
  ("b57571b98137cd4e", "architecture: gpt2, layers: 4, width: 64, heads: 4, context: 128"),
  ("8508642757ddad25", "architecture: gpt2, layers: 12, width: 128, heads: 2, context: 730"),
  ("ae822ff462ffc296", "architecture: gpt2, layers: 12, width: 768, heads: 12, context: 730"),
  ("4ad4b295fe2974a5", "architecture: olmo2, layers: 2, width: 16, heads: 2, context: 32"),
  ("876353a155805068", "architecture: olmo2, layers: 4, width: 64, heads: 4, context: 128"),
  ("31434e39172b28a8", "architecture: olmo2, layers: 8, width: 256, heads: 8, context: 256"),
  ("8cd7f82262cb6a52", "architecture: olmo2, layers: 16, width: 1024, heads: 16, context: 4096"),
  (
    "7be780866f87283c",
    "architecture: olmoe, layers: 2, width: 16, heads: 2, context: 32, experts: 4, topK: 2"
  ),
  (
    "0d9c9639c143a4cf",
    "architecture: olmoe, layers: 4, width: 64, heads: 4, context: 128, experts: 16, topK: 4,"
      + " expertWidth: 48"
  ),
  (
    "1e443636c68a0291",
    "architecture: olmoe, layers: 8, width: 256, heads: 8, context: 256, experts: 32, topK: 8,"
      + " expertWidth: 96"
  ),
  (
    "4d99aee3999c9f67",
    "architecture: olmoe, layers: 16, width: 1024, heads: 16, context: 4096, expertWidth: 360"
  ),
]

private let inputs = [
  "inputs: [{order: 1, rows: 4096}], labels: 4096, overEncoding: {order: 2, slices: 1, rows: 262144}",
  "inputs: [{order: 1, rows: 4096}], labels: 4096, overEncoding: {order: 2, slices: 2, rows: 16384,"
    + " token: false, reduction: sum}",
  "inputs: [{order: 1, rows: 4096}], labels: 4096, tied: true, overEncoding: {order: 3, slices: 4,"
    + " rows: 1048576, moduli: paper, normalization: rms, deviation: 0.1}",
  "inputs: [{order: 1, rows: 5}, {order: 2, rows: 14}, {order: 3, rows: 41}], labels: 14",
  "inputs: [{order: 3, rows: 41}], labels: 5",
  "inputs: [{order: 1, rows: 4096}], labels: 4096, tied: true",
  "inputs: [{order: 1, rows: 4096}], labels: 4096",
]

/// Everything that decides where a parameter lies in a file, and which numbers it starts with.
private func described(_ layout: ParameterLayout) -> String {
  let slots = layout.slots.map {
    "\($0.name) \($0.shape) \($0.offset) \($0.count) \($0.decay) \($0.initializer)"
  }
  let tables = layout.tables.map { "\($0.name) \($0.rows) \($0.width) \($0.deviation)" }
  return (slots + tables + ["\(layout.count)"]).joined(separator: "\n")
}

@Suite struct LayoutTests {
  /// Names, order, shapes, places and draws of parameters stay as they are, so that weights of
  /// earlier runs can be read and new runs begin with the same numbers.
  @Test(arguments: trunks)
  func parametersStayWhereTheyAre(digest: String, trunk: String) throws {
    let layouts = try inputs.map { input in
      var reader = try ConfigReader(
        ConfigValue.parse(yaml: "{\(trunk), \(input)}", source: "model"), source: "model")
      let model = try ModelConfiguration(reader: &reader)
      try reader.finish()
      return described(model.layout)
    }
    #expect(SHA256.hex(of: layouts.joined(separator: "\n\n")).prefix(16) == digest)
  }
}
