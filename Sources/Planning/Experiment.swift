import Contracts
import Support

/// A figure at a scale: `pipeline/<figure>.yaml` read with a preset of its kind, expanded to runs with
/// every setting spelled out.
package struct Experiment: Sendable {
  /// One curve of one seed.
  package struct Run: Sendable {
    package let variant: String
    package let size: String
    package let seed: Int
    package let settings: Settings

    /// "3-gram input/large/2": unique in the experiment.
    package var name: String { runName(variant: variant, size: size, seed: seed) }
  }

  package let figure: String
  package let preset: String
  package let title: String
  package let variants: [String]
  package let sizes: [String]
  package let seeds: [Int]
  package let subject: any Subject
  /// Stages to run at a time; nil: as many as there are cores.
  package let jobs: Int?
  package let runs: [Run]

  /// Reads the files below `directory`/pipeline. A preset that has no file may end in a precision, a device
  /// or both: `laptop-bfloat16-cuda` is `laptop` with `training.precision: bfloat16` and `training.device:
  /// cuda` in every run.
  ///
  /// - Throws: `UserError` naming file and key for anything unknown, missing or contradictory.
  package init(figure: String, preset: String, in directory: String = ".") throws {
    let folder = ExperimentFolder(directory: directory)
    let file = try folder.figure(figure)
    var figureReader = file.reader
    let kind = try figureReader.choice("kind", DataKind.self)
    let scale = folder.scale(of: preset, in: kind.folder + "/presets")
    let presetPath = try folder.path(of: scale.name, kind: "preset", in: kind.folder + "/presets")
    var presetReader = try folder.reader(presetPath)

    var base = try folder.defaults(kind.folder + "/defaults.yaml")
    try folder.apply(from: &presetReader, source: presetPath, to: &base)
    let presetSeeds = try ExperimentFolder.seeds(&presetReader)
    jobs = try ExperimentFolder.jobs(&presetReader)
    let sizes = try presetReader.objects("sizes").map { reader in
      var reader = reader
      let name = try ExperimentFolder.name(&reader)
      var settings = base
      let origin = "\(presetPath) (\(name))"
      try folder.apply(from: &reader, source: origin, to: &settings)
      return Size(
        name: name, settings: settings, architectures: try folder.architectures(&reader),
        origin: origin)
    }
    let layers = try folder.figures(&presetReader)
    try presetReader.finish()
    let scaled = file.names.compactMap { name in layers[name].map { (name, $0) } }
    let seeds = scaled.compactMap(\.1.seeds).last ?? presetSeeds

    title = try figureReader.string("title")
    let names = sizes.map(\.name)
    let variants = try figureReader.objects("variants").map { reader in
      var reader = reader
      let size = try reader.optionalString("size")
      if let size, !names.contains(size) {
        throw reader.fault(
          "size", expected: "a size of \(presetPath): \(names.joined(separator: ", "))", found: size
        )
      }
      return (
        name: try ExperimentFolder.name(&reader),
        layer: reader.value("set") ?? ConfigValue.object([:]),
        sizes: size.map { [$0] } ?? kind.sizes(of: names)
      )
    }
    self.variants = variants.map(\.name)
    self.sizes = names.filter { name in variants.contains { $0.sizes.contains(name) } }
    if kind == .grammar, let other = variants.first(where: { $0.sizes != variants[0].sizes }) {
      throw UserError(
        "\(file.variantsPath) (\(other.name)): size",
        expected: "the sizes of all variants, as panels show every model at every size",
        found: other.sizes.joined(separator: ", "))
    }
    try ExperimentFolder.requireDistinct(self.sizes, what: "\(presetPath): sizes")
    try ExperimentFolder.requireDistinct(
      self.variants, what: "\(file.variantsPath): variants")
    subject = try kind.subject(
      &figureReader,
      FigureContext(
        figure: figure, claimed: file.claimed, path: file.path, folder: folder,
        variants: self.variants, sizes: self.sizes))
    try figureReader.finish()

    self.figure = figure
    self.preset = preset
    self.seeds = seeds
    var runs: [Run] = []
    for variant in variants {
      for size in sizes where variant.sizes.contains(size.name) {
        let settings = try size.settings { settings in
          for (name, layer) in scaled {
            try settings.apply(layer.settings, origin: "\(presetPath): figures: \(name)")
          }
          for layer in file.common { try settings.apply(layer.settings, origin: layer.origin) }
          try settings.apply(variant.layer, origin: "\(file.variantsPath) (\(variant.name))")
          if let layer = scale.layer {
            try settings.apply(layer, origin: "preset \(preset)")
          }
        }
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

/// A preset's size of the trunk.
private struct Size {
  let name: String
  let settings: Settings
  /// What else it has of trunks of one architecture, by its name.
  let architectures: [String: ConfigValue]
  let origin: String

  /// The settings of a run of this size, over which `layers` has the figure's.
  func settings(of layers: (inout Settings) throws -> Void) throws -> Settings {
    var result = settings
    try layers(&result)
    guard case .string(let name)? = result.value("model.architecture"),
      let own = architectures[name]
    else { return result }
    result = settings
    try result.apply(own, origin: "\(origin): architectures: \(name)")
    try layers(&result)
    return result
  }
}

/// What a figure's own keys are read with.
struct FigureContext {
  let figure: String
  /// The figure by whose name a file of claims calls them: another where this one is like that.
  let claimed: String
  /// pipeline/<figure>.yaml
  let path: String
  let folder: ExperimentFolder
  let variants: [String]
  let sizes: [String]

  func requireVariant(_ name: String, _ place: String) throws {
    if variants.contains(name) { return }
    throw UserError(
      "\(path): \(place)", expected: "variants among \(variants.joined(separator: ", "))",
      found: name,
      remedy: EditDistance.nearest(to: name, among: variants).map { "Did you mean '\($0)'?" })
  }

  /// The rows of a file of the paper's results: item, row, metric, value.
  func paperRows(_ path: String) throws -> [[String]] {
    let lines = ByteLines(Array(try folder.text(path).utf8)).filter { !$0.isEmpty }
    return try lines.dropFirst().map { bytes in
      let line = String(decoding: bytes, as: UTF8.self)
      let fields = line.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
      guard fields.count == 4 else {
        throw UserError(
          "\(path): \(line)", expected: "item,row,metric,value", found: "\(fields.count) fields")
      }
      return fields
    }
  }
}

/// What a figure shows: its own keys, and the way of its data.
package protocol Subject: Sendable {
  /// Endings of the files that the report leaves: "csv", "json", and the view of them.
  var views: [String] { get }

  /// How the runs of `experiment` get from sources to scores; paths are relative to `directory`.
  func path(of experiment: Experiment, in directory: String) throws -> any DataPath
}

extension DataKind {
  /// Where the kind keeps `defaults.yaml` and `presets/`.
  var folder: String {
    switch self {
    case .grammar: "pipeline"
    case .text: "pipeline/text"
    }
  }

  /// Those that a variant is trained at which names none: over text the first, which the preset is about.
  func sizes(of preset: [String]) -> [String] {
    switch self {
    case .grammar: preset
    case .text: Array(preset.prefix(1))
    }
  }

  func subject(_ reader: inout ConfigReader, _ context: FigureContext) throws -> any Subject {
    switch self {
    case .grammar: try GrammarFigure(&reader, context)
    case .text: try TextFigure(&reader, context)
    }
  }
}
