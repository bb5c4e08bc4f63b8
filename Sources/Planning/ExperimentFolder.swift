import Foundation
import Kernels
import Models
import Support

/// The folder `pipeline/`: how its files are found, read and laid over one another.
struct ExperimentFolder {
  /// The directory that all paths in the files are relative to.
  let directory: String

  func text(_ path: String) throws -> String {
    guard let text = String(validating: try FileBytes.read(directory + "/" + path), as: UTF8.self)
    else { throw UserError(path, expected: "UTF-8 text", found: "other bytes") }
    return text
  }

  func reader(_ path: String) throws -> ConfigReader {
    try ConfigReader(value(path), source: path)
  }

  func value(_ path: String) throws -> ConfigValue {
    try ConfigValue.parse(yaml: text(path), source: path)
  }

  func defaults(_ path: String) throws -> Settings {
    try Settings(defaults: value(path), origin: path)
  }

  /// The path of `<root>/<name>.yaml`, or an error that lists what there is.
  func path(of name: String, kind: String, in root: String) throws -> String {
    let path = "\(root)/\(name).yaml"
    if FileBytes.exists(directory + "/" + path) { return path }
    let group = name.contains("/") ? String(name.prefix { $0 != "/" }) : ""
    let names = try AtomicFile.names(in: "\(directory)/\(root)/\(group)")
      .filter { $0.hasSuffix(".yaml") && $0 != "defaults.yaml" }
      .map { String($0.dropLast(5)) }.sorted()
    let short = group.isEmpty ? name : String(name.dropFirst(group.count + 1))
    throw UserError(
      "\(kind) '\(short)'", expected: "one of \(names.joined(separator: ", "))",
      found: "no file \(path)",
      remedy: EditDistance.nearest(to: short, among: names).map { "Did you mean '\($0)'?" })
  }

  /// What a preset's name says behind that of a file.
  struct Scale: Equatable {
    var name: String
    var precision: Precision?
    var device: TorchDevice?

    /// The settings that it stands for; nil where it stands for none.
    var layer: ConfigValue? {
      var training: [String: ConfigValue] = [:]
      if let precision { training["precision"] = .string(precision.rawValue) }
      guard let device else {
        return training.isEmpty ? nil : ["training": .object(training)]
      }
      training["device"] = .string(device.rawValue)
      return [
        "training": .object(training), "evaluation": ["device": .string(device.rawValue)],
      ]
    }
  }

  /// A preset's name as that of a file of `root`, the precision and the device that it ends in, in this
  /// order, where no file bears the whole name.
  func scale(of preset: String, in root: String) -> Scale {
    var scale = Scale(name: preset)
    func isFile() -> Bool { FileBytes.exists("\(directory)/\(root)/\(scale.name).yaml") }
    func end<Word: RawRepresentable & CaseIterable>(_ type: Word.Type) -> Word?
    where Word.RawValue == String {
      if isFile() { return nil }
      let word = Word.allCases.first { scale.name.hasSuffix("-" + $0.rawValue) }
      if let word { scale.name.removeLast(word.rawValue.utf8.count + 1) }
      return word
    }
    scale.device = end(TorchDevice.self)
    scale.precision = end(Precision.self)
    return scale
  }

  /// Applies the `parts` (names of files of this folder, in order) and then the `set` of an object.
  func apply(from reader: inout ConfigReader, source: String, to settings: inout Settings) throws {
    for part in try reader.strings("parts", default: []) {
      let partPath = try path(of: part, kind: "\(source): parts: part", in: "pipeline")
      var partReader = try self.reader(partPath)
      try settings.apply(partReader.value("set") ?? .object([:]), origin: partPath)
      try partReader.finish()
    }
    try settings.apply(reader.value("set") ?? .object([:]), origin: source)
  }

  /// What a preset says of one figure: settings, and `seeds` in place of its own.
  struct FigureLayer {
    let settings: ConfigValue
    let seeds: [Int]?
  }

  /// What a preset says of single figures, by their names.
  func figures(_ reader: inout ConfigReader) throws -> [String: FigureLayer] {
    guard var group = try reader.optionalObject("figures") else { return [:] }
    var layers: [String: FigureLayer] = [:]
    for name in group.keys {
      _ = try path(of: name, kind: "\(reader.source): figures: figure", in: "pipeline")
      guard case .object(var members)? = group.value(name) else {
        throw UserError(
          "\(reader.source): figures: \(name)", expected: "an object",
          found: group.value(name)?.summary ?? "null")
      }
      let seeds = try members.removeValue(forKey: "seeds").map { value in
        var own = try ConfigReader(
          .object(["seeds": value]), source: "\(reader.source): figures: \(name)")
        return try Self.seeds(&own)
      }
      layers[name] = FigureLayer(settings: .object(members), seeds: seeds)
    }
    return layers
  }

  /// The seeds of every run: of a preset, or of one figure.
  static func seeds(_ reader: inout ConfigReader) throws -> [Int] {
    let seeds = try reader.ints("seeds", in: 0...1_000_000)
    try requireDistinct(seeds.map(String.init), what: "\(reader.source): seeds")
    return seeds
  }

  /// What a preset's size says of trunks of single architectures, by their names.
  func architectures(_ reader: inout ConfigReader) throws -> [String: ConfigValue] {
    guard var group = try reader.optionalObject("architectures") else { return [:] }
    var result: [String: ConfigValue] = [:]
    for architecture in Architecture.allCases {
      guard let settings = group.value(architecture.rawValue) else { continue }
      if let other = settings["model"]?["architecture"] {
        throw group.fault(
          "\(architecture.rawValue).model.architecture", expected: "settings of such trunks",
          found: "\(other.summary), another choice of the trunk",
          remedy: "A size's parts or set, or the figure's, choose it.")
      }
      result[architecture.rawValue] = settings
    }
    return result
  }

  /// A `name` that can stand in a file name, a CSV field and a run's name.
  static func name(_ reader: inout ConfigReader) throws -> String {
    let name = try reader.string("name")
    let allowed = name.unicodeScalars.allSatisfy {
      $0.isASCII && ($0.properties.isAlphabetic || $0.properties.numericType != nil)
        || " -_.+=".unicodeScalars.contains($0)
    }
    guard allowed, !name.isEmpty else {
      throw reader.fault(
        "name", expected: "letters, digits, spaces and - _ . + =", found: "'\(name)'")
    }
    return name
  }

  /// `jobs: cores` or a number.
  static func jobs(_ reader: inout ConfigReader) throws -> Int? {
    guard let value = reader.value("jobs") else {
      throw reader.fault("jobs", expected: "'cores' or a number", found: "no such key")
    }
    switch value {
    case "cores": return nil
    case .integer(let jobs) where (1...1024).contains(jobs): return jobs
    default:
      throw reader.fault("jobs", expected: "'cores' or 1...1024", found: value.summary)
    }
  }

  static func requireDistinct(_ names: [String], what: String) throws {
    var seen: Set<String> = []
    for name in names where !seen.insert(name).inserted {
      throw UserError(what, expected: "different names", found: "'\(name)' twice")
    }
    if names.isEmpty { throw UserError(what, expected: "at least one", found: "none") }
  }
}
