import Support

/// A figure at a scale: `pipeline/<figure>.yaml` read with `pipeline/presets/<preset>.yaml`, expanded
/// to runs with every setting spelled out.
package struct Experiment: Sendable {
  /// One curve of one seed.
  package struct Run: Sendable {
    package let variant: String
    package let size: String
    package let seed: Int
    package let settings: Settings

    /// "3-gram input/large/2": unique in the experiment.
    package var name: String { "\(variant)/\(size)/\(seed)" }
  }

  package struct Panel: Sendable, Equatable {
    package let name: String
    package let variants: [String]
  }

  /// What the paper says of one variant against another at one size.
  package struct Claim: Sendable, Equatable {
    package let panel: String
    package let variant: String
    package let baseline: String
    package let size: String
    /// "better" or "worse".
    package let statement: String
    /// The row of the file it stands in.
    package let row: String
  }

  package let figure: String
  package let preset: String
  package let title: String
  package let variants: [String]
  package let sizes: [String]
  package let seeds: [Int]
  package let panels: [Panel]
  package let claims: [Claim]
  package let claimsFile: String
  package let drawing: String
  /// Stages to run at a time; nil: as many as there are cores.
  package let jobs: Int?
  package let runs: [Run]

  /// Reads the files below `directory`/pipeline.
  ///
  /// - Throws: `UserError` naming file and key for anything unknown, missing or contradictory.
  package init(figure: String, preset: String, in directory: String = ".") throws {
    let folder = ExperimentFolder(directory: directory)
    let figurePath = try folder.path(of: figure, kind: "figure", suffixes: ["figure", "table"])
    let presetPath = try folder.path(of: "presets/" + preset, kind: "preset")
    var figureReader = try folder.reader(figurePath)
    var presetReader = try folder.reader(presetPath)

    var base = try folder.defaults()
    try folder.apply(from: &presetReader, source: presetPath, to: &base)
    let seeds = try presetReader.ints("seeds", in: 0...1_000_000)
    jobs = try ExperimentFolder.jobs(&presetReader)
    let sizes = try presetReader.objects("sizes").map { reader in
      var reader = reader
      let name = try ExperimentFolder.name(&reader)
      var settings = base
      try folder.apply(from: &reader, source: "\(presetPath) (\(name))", to: &settings)
      return (name: name, settings: settings)
    }
    try presetReader.finish()

    title = try figureReader.string("title")
    let common = figureReader.value("set") ?? .object([:])
    let variants = try figureReader.objects("variants").map { reader in
      var reader = reader
      return (
        name: try ExperimentFolder.name(&reader),
        layer: reader.value("set") ?? ConfigValue.object([:])
      )
    }
    panels = try figureReader.objects("panels").map { reader in
      var reader = reader
      return Panel(
        name: try ExperimentFolder.name(&reader), variants: try reader.strings("variants"))
    }
    claimsFile = try figureReader.string("claims")
    let paperSizes = try figureReader.object("paperSizes")
    drawing = try figureReader.string("drawing")
    claims = try Claim.read(
      from: claimsFile, figure: figure, paperSizes: paperSizes, in: folder,
      variants: variants.map(\.name), sizes: sizes.map(\.name))
    try figureReader.finish()

    self.figure = figure
    self.preset = preset
    self.seeds = seeds
    self.variants = variants.map(\.name)
    self.sizes = sizes.map(\.name)
    try ExperimentFolder.requireDistinct(seeds.map(String.init), what: "\(presetPath): seeds")
    try ExperimentFolder.requireDistinct(self.sizes, what: "\(presetPath): sizes")
    try ExperimentFolder.requireDistinct(self.variants, what: "\(figurePath): variants")
    for panel in panels {
      for name in panel.variants where !self.variants.contains(name) {
        throw UserError(
          "\(figurePath): panel \(panel.name)",
          expected: "variants among \(self.variants.joined(separator: ", "))", found: name,
          remedy: EditDistance.nearest(to: name, among: self.variants)
            .map { "Did you mean '\($0)'?" })
      }
    }

    var runs: [Run] = []
    for variant in variants {
      for size in sizes {
        var settings = size.settings
        try settings.apply(common, origin: figurePath)
        try settings.apply(variant.layer, origin: "\(figurePath) (\(variant.name))")
        for seed in seeds {
          runs.append(
            Run(variant: variant.name, size: size.name, seed: seed, settings: settings))
        }
      }
    }
    self.runs = runs
  }

  /// The run called `name`, or an error that names the nearest.
  package func run(_ name: String) throws -> Run {
    if let run = runs.first(where: { $0.name == name }) { return run }
    let nearest = EditDistance.nearest(to: name, among: runs.map(\.name))
    throw UserError(
      "run '\(name)'", expected: "a run of \(figure) (make plan lists them)", found: "none of them",
      remedy: nearest.map { "Did you mean '\($0)'?" })
  }
}

extension Experiment.Claim {
  /// Reads the rows `<figure>.<panel>` of a file of the paper's results. The text of such a row is
  /// "<variant> <paper's size> vs <variant> <paper's size>", the last field "better" or "worse".
  static func read(
    from path: String, figure: String, paperSizes: ConfigReader, in folder: ExperimentFolder,
    variants: [String], sizes: [String]
  ) throws -> [Experiment.Claim] {
    var reader = paperSizes
    let labels = try reader.keys.map { (size: $0, label: try reader.string($0)) }
    func side(_ text: String, row: String) throws -> (variant: String, size: String) {
      for (size, label) in labels where text.hasSuffix(" " + label) {
        let variant = String(text.dropLast(label.count + 1))
        if variants.contains(variant) && sizes.contains(size) { return (variant, size) }
      }
      throw UserError(
        "\(path): \(row)", expected: "a variant of \(figure) and one of the paper's sizes",
        found: text,
        remedy: "The figure has the variants \(variants.joined(separator: ", ")).")
    }
    var claims: [Experiment.Claim] = []
    for line in try folder.text(path).split(separator: "\n").dropFirst() {
      let fields = line.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
      guard let item = fields.first, item.hasPrefix(figure + ".") else { continue }
      let sides = fields.count == 4 ? fields[1].components(between: " vs ") : []
      guard sides.count == 2, ["better", "worse"].contains(fields[3]) else {
        throw UserError(
          "\(path): \(line)", expected: "item,variant size vs variant size,metric,better|worse",
          found: "another row")
      }
      let (left, right) = (try side(sides[0], row: fields[1]), try side(sides[1], row: fields[1]))
      guard left.size == right.size else {
        throw UserError(
          "\(path): \(fields[1])", expected: "both sides of one size",
          found: "\(left.size) and \(right.size)")
      }
      claims.append(
        Experiment.Claim(
          panel: String(item.dropFirst(figure.count + 1)), variant: left.variant,
          baseline: right.variant, size: left.size, statement: fields[3], row: fields[1]))
    }
    return claims
  }
}

extension String {
  /// The parts of the text between occurrences of `separator`.
  func components(between separator: String) -> [String] {
    var parts: [String] = []
    var rest = self[...]
    while let range = rest.firstRange(of: separator) {
      parts.append(String(rest[..<range.lowerBound]))
      rest = rest[range.upperBound...]
    }
    return parts + [String(rest)]
  }
}
