import Checkpoints
import Models
import Support

/// A model that a Hugging Face directory describes, as our configurations do.
struct ImportedModel {
  /// The object that `model` is read from.
  let value: ConfigValue
  let model: ModelConfiguration
  /// Those that it was trained with.
  let fGrams: RunFGrams.Source?
  /// Where each parameter lies.
  private let places: [String: (file: SafeTensorsFile, name: String)]

  /// Reads the configuration, and checks that the directory has the weights.
  ///
  /// - Throws: `UserError` for an architecture that is not computed here, for a key that would change its
  ///   numbers or is not known, and for weights of another model.
  init(_ directory: ModelDirectory, ignoring ignored: [String]) throws {
    var reader = try ConfigReader(directory.configuration, source: directory.configurationPath)
    let type = try reader.string("model_type")
    let source = directory.configurationPath
    if type == PublishedModel.ownType {
      value = try Self.own(&reader)
      fGrams = try reader.optionalObject(PublishedModel.fGramsKey).map { object in
        var object = object
        return try RunFGrams.Source(&object)
      }
    } else {
      fGrams = nil
      guard let architecture = Architecture(rawValue: type) else {
        let known = Architecture.allCases.map(\.rawValue) + [PublishedModel.ownType]
        throw UserError(
          "\(source): model_type", expected: known.joined(separator: ", "), found: "'\(type)'",
          remedy: "A model of this kind cannot be imported.")
      }
      value = try Self.stock(architecture, &reader)
      for key in PublishedKeys.silent + ignored { _ = reader.value(key) }
      do {
        try reader.finish()
      } catch let error as UserError {
        throw UserError(
          error.what, expected: "keys that are known to change no number, or how",
          found: "one that is not known",
          remedy: "If it changes no number of inference, add it to ignoredKeys (--ignore).")
      }
    }
    var parts = try ConfigReader(value, source: source, path: PublishedModel.ownKey)
    model = try ModelConfiguration(reader: &parts)
    try parts.finish()
    guard model.fGrams?.longest == fGrams?.longest else {
      throw UserError(
        "\(source): \(PublishedModel.fGramsKey)",
        expected: model.fGrams.map { "f-grams of up to \($0.longest) tokens, the model's" }
          ?? "none",
        found: fGrams.map { "of up to \($0.longest)" } ?? "none", remedy: "Export the run again.")
    }
    // A file may repeat a head that is tied.
    var others: Set<String> = model.outputs[0].isTied ? ["lm_head.weight"] : []
    if let longest = fGrams?.longest { others.formUnion((2...longest).map(RunFGrams.keyName)) }
    places = try directory.locate(
      model.publishedTensors, prefix: Swift.type(of: model.trunk).prefix, others: others)
  }

  /// The model of a directory that we exported: without heads on tokens further ahead, which are not in it.
  private static func own(_ reader: inout ConfigReader) throws -> ConfigValue {
    guard case .object(var members)? = reader.value(PublishedModel.ownKey) else {
      throw reader.fault(
        PublishedModel.ownKey, expected: "an object", found: "none", remedy: "Export the run again."
      )
    }
    for heads in Registry.furtherHeads { members[heads.key] = nil }
    return .object(members)
  }

  /// The model of a class of transformers'.
  private static func stock(
    _ architecture: Architecture, _ reader: inout ConfigReader
  ) throws -> ConfigValue {
    let trunk = architecture.published
    var members = try trunk.members(&reader)
    let labels = try reader.int("vocab_size", in: 1...Int(Int32.max))
    members["architecture"] = .string(architecture.rawValue)
    members["tied"] = .bool(try reader.bool("tie_word_embeddings", default: trunk.isUsuallyTied))
    members["inputs"] = [["order": 1, "rows": .integer(labels)]]
    members["labels"] = .integer(labels)
    return .object(members)
  }

  // MARK: - Weights

  /// Writes the weights as a snapshot of `model`, or of one that differs from it by having fewer tokens:
  /// the first rows of its tables. Returns the file's digest.
  func writeWeights(
    of model: ModelConfiguration, metadata: [String: String], to path: String
  ) throws -> String {
    let own = Dictionary(uniqueKeysWithValues: self.model.publishedTensors.map { ($0.name, $0) })
    return try SafeTensors.write(
      to: path, metadata: metadata,
      tensors: model.publishedTensors.map { tensor in
        guard let (file, name) = places[tensor.name], let whole = own[tensor.name],
          whole.shape == tensor.shape || (!tensor.isTransposed && whole.count >= tensor.count)
        else { preconditionFailure("no tensor \(tensor.name) of this shape") }
        return SafeTensors.Tensor(name: tensor.name, dtype: .float32, shape: tensor.shape) {
          append in
          let values = UnsafeMutableBufferPointer<Float>.allocate(
            capacity: (tensor.isTransposed ? 2 : 1) * whole.count)
          defer { values.deallocate() }
          let theirs = UnsafeMutableBufferPointer(rebasing: values[..<whole.count])
          try file.readFloats(name, shape: whole.publishedShape, into: theirs)
          guard tensor.isTransposed else {
            return try append(
              UnsafeRawBufferPointer(
                rebasing: UnsafeRawBufferPointer(theirs)[..<(4 * tensor.count)]))
          }
          let ours = UnsafeMutableBufferPointer(rebasing: values[whole.count...])
          PublishedTensor.transpose(
            UnsafeBufferPointer(theirs), rows: whole.shape[1], columns: whole.shape[0], into: ours)
          try append(UnsafeRawBufferPointer(ours))
        }
      })
  }
}
