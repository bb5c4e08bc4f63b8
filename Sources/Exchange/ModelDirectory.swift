import Checkpoints
import Support

/// A Hugging Face directory that is read: its configuration, and its tensors in one file or many.
struct ModelDirectory {
  let path: String
  /// The file `config.json`, and what it says.
  let configurationPath: String
  let configuration: ConfigValue
  /// Names of all files that are read, in order.
  let files: [String]
  /// The file of each tensor, by the tensor's name as the file spells it.
  private let places: [String: SafeTensorsFile]

  /// - Throws: `UserError` for a directory without configuration or safetensors, and for files that are
  ///   damaged or of which some are missing.
  init(_ path: String) throws {
    self.path = path
    configurationPath = "\(path)/\(ExportDirectory.configName)"
    guard FileBytes.exists(configurationPath) else {
      throw UserError(
        configurationPath, expected: "the configuration of a model", found: "no such file",
        remedy: "Name a directory that save_pretrained(…) wrote.")
    }
    configuration = try ConfigValue.load(json: configurationPath)
    var names: [String] = []
    var map: [String: String]?
    let (single, sharded) = (ExportDirectory.weightsName, ExportDirectory.shardsName)
    if FileBytes.exists("\(path)/\(single)") {
      names = [single]
    } else if FileBytes.exists("\(path)/\(sharded)") {
      let found = try Self.weightMap("\(path)/\(sharded)")
      map = found
      names = [sharded] + Set(found.values).sorted()
    } else {
      throw UserError(
        "\(path)/\(single)", expected: "it, or \(sharded)", found: "neither",
        remedy: "Save the model as safetensors: save_pretrained(…) of transformers does.")
    }
    files = [ExportDirectory.configName] + names
    var places: [String: SafeTensorsFile] = [:]
    for name in names where name != sharded {
      let file = try SafeTensorsFile(path: "\(path)/\(name)")
      for tensor in file.tensors.keys.sorted() {
        if let map, map[tensor] != name {
          throw UserError(
            "\(file.path): tensor \(tensor)",
            expected: map[tensor] ?? "in no file, as \(sharded) says",
            found: "here", remedy: "The directory is of more than one model, or damaged.")
        }
        places[tensor] = file
      }
    }
    if let missing = map?.keys.sorted().first(where: { places[$0] == nil }) {
      throw UserError(
        "\(path)/\(map?[missing] ?? ""): tensor \(missing)",
        expected: "the tensor, as \(sharded) says",
        found: "no such tensor", remedy: "The directory is incomplete: fetch it again.")
    }
    self.places = places
  }

  /// The file of each tensor.
  private static func weightMap(_ path: String) throws -> [String: String] {
    var reader = try ConfigReader(ConfigValue.load(json: path), source: path)
    var map = try reader.object("weight_map")
    var result: [String: String] = [:]
    for tensor in map.keys {
      let file = try map.string(tensor)
      guard !file.contains("/"), file.hasSuffix(".safetensors") else {
        throw map.fault(tensor, expected: "the name of a file beside it", found: "'\(file)'")
      }
      result[tensor] = file
    }
    return result
  }

  /// First 12 digits of SHA-256 over names and digests of all files that are read.
  func id() throws -> String {
    var digest = SHA256()
    for name in files {
      digest.update("\(name)\0\(try FileBytes.digest(of: "\(path)/\(name)"))\n")
    }
    return String(digest.finalizeHex().prefix(12))
  }

  // MARK: - Tensors

  /// What files of transformers may hold beside the parameters: buffers of masks and rotary positions.
  private static let buffers = [".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq"]

  /// The file of each tensor, and its name there, by the names of `tensors`: a file may leave out the prefix
  /// of the trunk, as that of GPT-2 on the hub does.
  ///
  /// - Parameter others: names of what a file may hold besides.
  /// - Throws: `UserError` naming the first tensor that is missing, misshapen, of a form that is not read,
  ///   or too much.
  func locate(
    _ tensors: [PublishedTensor], prefix: String, others: Set<String>
  ) throws -> [String: (file: SafeTensorsFile, name: String)] {
    let known = Set(tensors.map(\.name)).union(others)
    var names: [String: String] = [:]
    for name in places.keys.sorted() where !Self.buffers.contains(where: name.hasSuffix) {
      let full = known.contains(name) || name.hasPrefix(prefix + ".") ? name : "\(prefix).\(name)"
      if let other = names.updateValue(name, forKey: full) {
        throw UserError(
          "\(path): tensor \(full)", expected: "it once", found: "\(other) and \(name)")
      }
    }
    var result: [String: (file: SafeTensorsFile, name: String)] = [:]
    for tensor in tensors {
      guard let name = names.removeValue(forKey: tensor.name), let file = places[name],
        let entry = file.tensors[name]
      else {
        throw UserError(
          "\(path): tensor \(tensor.name)", expected: "shape \(tensor.publishedShape)",
          found: "no such tensor", remedy: "The weights are not those of config.json.")
      }
      guard entry.shape == tensor.publishedShape, SafeTensorsFile.floats.contains(entry.dtype)
      else {
        let forms = SafeTensorsFile.floats.map(\.rawValue).joined(separator: ", ")
        throw UserError(
          "\(file.path): tensor \(name)", expected: "shape \(tensor.publishedShape) of \(forms)",
          found: "\(entry.shape) of \(entry.dtype.rawValue)",
          remedy: entry.shape == tensor.publishedShape
            ? "Save the model in one of these forms." : "The weights are not those of config.json.")
      }
      result[tensor.name] = (file, name)
    }
    if let extra = names.keys.sorted().first(where: { !others.contains($0) }) {
      throw UserError(
        "\(path): tensor \(names[extra] ?? extra)", expected: "only tensors of the model",
        found: "one that it does not have",
        remedy: "The weights are not those of config.json, or of a model that is not computed here."
      )
    }
    return result
  }
}
