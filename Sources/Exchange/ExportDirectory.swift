import Checkpoints
import Foundation
import Models
import Support

/// A Hugging Face directory of a run:
///
///     config.json             what transformers builds; keys of its versions 4 and 5
///     model.safetensors       the weights, metadata {"format": "pt"}; beyond `shardBytes` of tensors
///                             model-00001-of-0000N.safetensors … and model.safetensors.index.json
///     generation_config.json  greedy, to the end of the document
///     tokenizer.json, tokenizer_config.json    of runs over text
///     modeling_overtoken.py   of models that no class of transformers' computes
///     README.md               the model card
///     overtoken.json          where it comes from: run, step, settings, and the digest of every other file
///
/// It appears whole or not at all. The bytes are a function of the run, its evidence and `shardBytes`.
package struct ExportDirectory {
  package static let markName = "overtoken.json"
  static let format = "overtoken export"
  static let formatVersion = 1
  static let configName = "config.json"
  static let weightsName = "model.safetensors"
  static let shardsName = weightsName + ".index.json"
  static let cardName = "README.md"
  /// The largest file of weights, as transformers writes them: 5 GB.
  package static let usualShardBytes = 5_000_000_000

  private let run: FinishedRun
  private let published: PublishedModel
  private let shardBytes: Int

  /// - Throws: `UserError` for a model that cannot be exported, which says what can.
  package init(_ run: FinishedRun, shardBytes: Int = ExportDirectory.usualShardBytes) throws {
    precondition(shardBytes >= 1, "a file holds bytes")
    (self.run, self.shardBytes) = (run, shardBytes)
    published = try PublishedModel(
      run.model, value: run.index.model, rows: run.rows, fGrams: run.fGrams,
      source: "\(run.index.directory)/\(StageIndex.fileName)")
  }

  /// The class that loads it, whether code in the directory has to be trusted for that, and bytes of weights.
  package var summary: (headClass: String, needsCode: Bool, bytes: Int) {
    (
      published.headClass, !published.isStock,
      4 * run.model.publishedTensors.reduce(0) { $0 + $1.count }
        + published.furtherTensors.reduce(0) { $0 + $1.bytes }
    )
  }

  /// Writes the directory `path`.
  ///
  /// - Throws: `UserError` where it lies in or around what is read, or holds anything that no earlier export
  ///   wrote, and for weights that were altered.
  package func write(to path: String) throws {
    try OutputPath.require(directory: path, apartFrom: run.sources)
    try Self.requireReplaceable(path)
    try run.index.verify(run.snapshot)
    try AtomicDirectory.write(to: path) { directory in
      var files: [String: String] = [:]
      func add(_ name: String, _ bytes: [UInt8]) throws {
        try AtomicFile.write(bytes, to: "\(directory)/\(name)")
        files[name] = SHA256.hex(of: bytes)
      }
      func add(_ name: String, _ value: ConfigValue) throws {
        try add(name, Array(value.prettyJSON.utf8))
      }
      try add(Self.configName, published.configuration(begin: run.begin, end: run.end))
      try add("generation_config.json", published.generation(begin: run.begin, ends: run.ends))
      if let tokenizer = run.tokenizer {
        try add("tokenizer.json", tokenizer)
        try add("tokenizer_config.json", tokenizerConfiguration)
      }
      if !published.isStock {
        try add(PublishedModel.moduleFile, PackageResources.modeling_overtoken_py)
      }
      files.merge(try writeWeights(to: directory)) { $1 }
      try add(Self.cardName, Array(ModelCard(run, published).text.utf8))
      try AtomicFile.write(origin(files).prettyJSON, to: "\(directory)/\(Self.markName)")
    }
  }

  private var tokenizerConfiguration: ConfigValue {
    var members: [String: ConfigValue] = [
      "tokenizer_class": "PreTrainedTokenizerFast",
      "model_max_length": .integer(run.model.context), "clean_up_tokenization_spaces": false,
    ]
    if let end = run.endOfText { members["eos_token"] = .string(end) }
    return .object(members)
  }

  private func origin(_ files: [String: String]) -> ConfigValue {
    [
      "format": .string(Self.format), "formatVersion": .integer(Self.formatVersion),
      "product": .string("\(Product.name) \(Product.version)"), "run": .string(run.index.id),
      "step": .integer(run.snapshot.step), "weights": .string(run.snapshot.sha256),
      "files": .object(files.mapValues(ConfigValue.string)),
    ]
  }

  // MARK: - Weights

  /// Writes the weights; returns the digest of each file.
  private func writeWeights(to directory: String) throws -> [String: String] {
    let source = try SafeTensorsFile(path: run.index.path(of: run.snapshot))
    let tensors = run.model.publishedTensors
    for tensor in tensors where source.tensors[tensor.name]?.shape != tensor.shape {
      throw UserError(
        "\(source.path): tensor \(tensor.name)", expected: "shape \(tensor.shape)",
        found: source.tensors[tensor.name].map { "\($0.shape)" } ?? "no such tensor")
    }
    let shards = shards(
      tensors.map { tensor(of: $0, in: source) } + published.furtherTensors)
    var digests: [String: String] = [:]
    var places: [String: ConfigValue] = [:]
    for (i, shard) in shards.enumerated() {
      try Interruption.check()
      let name = shards.count == 1 ? Self.weightsName : Self.shardName(i + 1, of: shards.count)
      digests[name] = try SafeTensors.write(
        to: "\(directory)/\(name)", metadata: ["format": "pt"],
        tensors: shard)
      for tensor in shard { places[tensor.name] = .string(name) }
    }
    guard shards.count > 1 else { return digests }
    let index: ConfigValue = [
      "metadata": ["total_size": .integer(summary.bytes)], "weight_map": .object(places),
    ]
    try AtomicFile.write(index.prettyJSON, to: "\(directory)/\(Self.shardsName)")
    digests[Self.shardsName] = SHA256.hex(of: index.prettyJSON)
    return digests
  }

  /// Tensors in order, file by file; one that is larger than a file has one to itself.
  private func shards(_ tensors: [SafeTensors.Tensor]) -> [[SafeTensors.Tensor]] {
    var shards: [[SafeTensors.Tensor]] = [[]]
    var bytes = 0
    for tensor in tensors {
      if bytes > 0, bytes + tensor.bytes > shardBytes {
        shards.append([])
        bytes = 0
      }
      shards[shards.count - 1].append(tensor)
      bytes += tensor.bytes
    }
    return shards
  }

  private static func shardName(_ i: Int, of count: Int) -> String {
    func digits(_ n: Int) -> String {
      String(repeating: "0", count: max(0, 5 - "\(n)".count)) + "\(n)"
    }
    return "model-\(digits(i))-of-\(digits(count)).safetensors"
  }

  private func tensor(
    of tensor: PublishedTensor, in source: SafeTensorsFile
  ) -> SafeTensors.Tensor {
    SafeTensors.Tensor(name: tensor.name, dtype: .float32, shape: tensor.publishedShape) { append in
      guard tensor.isTransposed else {
        return try source.forEachPiece(of: tensor.name, append)
      }
      let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: 2 * tensor.count)
      defer { values.deallocate() }
      let own = UnsafeMutableBufferPointer(rebasing: values[..<tensor.count])
      let theirs = UnsafeMutableBufferPointer(rebasing: values[tensor.count...])
      try source.read(tensor.name, shape: tensor.shape, into: own)
      PublishedTensor.transpose(
        UnsafeBufferPointer(own), rows: tensor.shape[0], columns: tensor.shape[1], into: theirs)
      try append(UnsafeRawBufferPointer(theirs))
    }
  }

  // MARK: - What stands there

  /// - Throws: `UserError` unless `path` is nothing, an empty directory, or what an export wrote and nobody
  ///   changed or added to.
  private static func requireReplaceable(_ path: String) throws {
    guard FileBytes.exists(path) else { return }
    let remedy = "Choose another directory, or delete it."
    guard FileBytes.isDirectory(path) else {
      throw UserError(path, expected: "a directory", found: "something else", remedy: remedy)
    }
    let names = try AtomicFile.names(in: path).sorted()
    if names.isEmpty { return }
    let mark = "\(path)/\(markName)"
    guard FileBytes.exists(mark), let origin = try? ConfigValue.load(json: mark),
      origin["format"] == .string(format), case .object(let files)? = origin["files"]
    else {
      throw UserError(
        "\(path): would be overwritten", expected: "nothing, or an export of ours",
        found: "a directory with \(names[0])", remedy: remedy)
    }
    for name in names where name != markName {
      let isOurs =
        try !FileBytes.isDirectory("\(path)/\(name)")
        && files[name] == .string(FileBytes.digest(of: "\(path)/\(name)"))
      guard isOurs else {
        throw UserError(
          "\(path)/\(name): would be overwritten", expected: "a file as the export wrote it",
          found: files[name] == nil ? "one that it did not write" : "other bytes", remedy: remedy)
      }
    }
  }
}
