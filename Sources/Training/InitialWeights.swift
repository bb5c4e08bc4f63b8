import Checkpoints
import Contracts
import Engine
import Models
import Parallel
import Support

/// What a run begins with instead of draws of its own: the last weights of another run, or of an imported
/// model. What the model has besides, n-gram tables or heads on tokens further ahead, begins as always: at the
/// draws of the run's seed.
package struct InitialWeights {
  private let index: TrainingRunIndex
  private let model: ModelConfiguration
  private let source: String

  /// - Throws: `UserError` when the input is missing, unfinished or another than its id says.
  package init(_ input: StageConfiguration.Input) throws {
    source = "\(input.path)/\(StageIndex.fileName)"
    index = try TrainingRunIndex(directory: input.path)
    guard index.id == input.id else {
      throw UserError(
        "\(source): id", expected: input.id, found: index.id,
        remedy: StageIndex.remedy(input.path))
    }
    var reader = try ConfigReader(index.model, source: source, path: "model")
    model = try ModelConfiguration(reader: &reader)
    try reader.finish()
  }

  /// Fills the weights of `parameters` that the other model has too, which must be all that it has.
  ///
  /// - Parameters:
  ///   - parameters: of `model`, drawn.
  ///   - data: the metadata of what it is trained on.
  ///   - ranks: each calls this.
  /// - Throws: `UserError` for a model with another trunk or head, for weights that would be lost, and for
  ///   data of another kind or tokenizer.
  func fill(
    _ parameters: ParameterStore, of model: ModelConfiguration, data: ConfigValue,
    ranks: any Communicator
  ) throws {
    for key in ["kind", "tokenizer"] where data[key] != index.data[key] {
      throw UserError(
        "\(source): data.\(key)",
        expected: (data[key] ?? .null).summary + ", that of the input 'data'",
        found: (index.data[key] ?? .null).summary,
        remedy: "Tokenize and map the data as those of the input 'initial'.")
    }
    guard model.trunk.computes(as: self.model.trunk) else {
      throw UserError(
        "\(source): model", expected: "the trunk of the run that begins with it",
        found: "another architecture, or other sizes or settings",
        remedy: "Give the keys of model as this index has them.")
    }
    guard let snapshot = index.snapshots.last else {
      throw UserError("\(source): snapshots", expected: "at least one", found: "none")
    }
    if ranks.decides { try index.verify(snapshot) }
    let file = try SafeTensorsFile(path: index.path(of: snapshot))
    try check(file, against: parameters, of: model)
    for slot in parameters.layout.slots where file.tensors[slot.name] != nil {
      try parameters.withMutableFloats(slot, of: .weights) {
        try file.read(slot.name, shape: slot.shape, into: $0)
      }
    }
    for table in parameters.tables where file.tensors[table.slot.name] != nil {
      try ParameterFile.readTable(table, from: ranks.decides ? file : nil, ranks: ranks)
    }
  }

  private func check(
    _ file: SafeTensorsFile, against parameters: ParameterStore, of model: ModelConfiguration
  ) throws {
    let shapes = Dictionary(
      uniqueKeysWithValues: parameters.layout.slots.map { ($0.name, $0.shape) }
        + parameters.layout.tables.map { ($0.name, $0.shape) })
    for (name, entry) in file.tensors.sorted(by: { $0.key < $1.key }) {
      guard let shape = shapes[name], shape == entry.shape else {
        throw UserError(
          "\(file.path): tensor \(name)",
          expected: shapes[name].map { "shape \($0)" }
            ?? "only tensors of the model that is trained",
          found: shapes[name] == nil ? "one that would be lost" : "\(entry.shape)",
          remedy: shapes[name]?.dropFirst() == entry.shape.dropFirst()
            && entry.shape.first == self.model.labels
            ? "Take data of as many tokens: ott-import configure --vocabulary tokenizer leaves out others."
            : "Give the model all that these weights belong to, in the same sizes.")
      }
    }
    let plain = try ModelConfiguration(
      input: TableSum(model.inputs), trunk: model.trunk, outputs: Array(model.outputs.prefix(1)))
    for slot in plain.layout.slots where shapes[slot.name] != nil && file.tensors[slot.name] == nil
    {
      throw UserError(
        "\(file.path): tensor \(slot.name)", expected: "shape \(slot.shape)",
        found: "no such tensor",
        remedy: "Set model.tied as these weights have it.")
    }
  }
}
