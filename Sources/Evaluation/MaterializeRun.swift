import Checkpoints
import Contracts
import Engine
import Models
import NGrams
import Stores
import Support

/// The stage "materialize": all f-grams of a run through its f-gram model, into a store.
///
/// Inputs: `run`, and `fgrams`, the discover set that its map set was made with. The rows are those of the
/// last snapshot, with the bits that scoring gives them; threads and parts change none.
///
/// Source: SCONE, section 3: after training the f-gram model is run once and never again.
package struct MaterializeRun {
  package let parameters: MaterializeParameters
  private let configuration: StageConfiguration
  private let trained: TextRun
  private let fGrams: FGramSet

  /// Opens and checks the run and the f-grams.
  ///
  /// - Throws: `UserError` when a parameter is wrong, an input is missing or another than its id says, the
  ///   run has no f-grams, or has others.
  package init(_ configuration: StageConfiguration, threads: Int) throws {
    self.configuration = configuration
    parameters = try MaterializeParameters(configuration)
    trained = try TextRun(
      configuration, remedy: "Only a run over text with model.fGrams has f-grams.")
    guard trained.model.fGrams != nil,
      let fGrams = try trained.fGrams(configuration, threads: threads)
    else {
      throw UserError(
        "\(configuration.source): inputs.run", expected: "a run with model.fGrams",
        found: "one without", remedy: "Give the run of a model with f-grams.")
    }
    self.fGrams = fGrams
  }

  /// F-grams that the store will hold.
  package var count: Int { fGrams.count }

  /// Writes the store and last the index into `output`.
  ///
  /// - Parameter isQuiet: show no progress.
  /// - Throws: `UserError` where there is not room for it, before anything is written.
  package func write(to output: String, threads: Int, isQuiet: Bool) throws {
    guard let precision = StorePrecision(rawValue: parameters.precision.rawValue),
      let snapshot = trained.index.snapshots.last
    else {
      throw UserError(
        "\(configuration.source): inputs.run", expected: "a run with a snapshot", found: "none")
    }
    try trained.index.verify(snapshot)
    let model = EngineModel(trained.model)
    try model.load(trained.index.path(of: snapshot))
    let engine = model.fGramEngine(capacity: Self.together, threads: threads)
    let description = StoreDescription(
      vocabulary: fGrams.vocabulary, longest: fGrams.longest, count: fGrams.count,
      width: trained.model.width, precision: precision, model: trained.index.id,
      fGrams: try configuration.input("fgrams").id)
    var progress = Progress(
      "materialize", unit: "f-grams", total: fGrams.count, isQuiet: isQuiet)
    let store = try FGramStore.write(fGrams, description: description, to: output) { writer in
      for first in stride(from: 0, to: fGrams.count, by: Self.together * threads) {
        try Interruption.check()
        let ids = first..<min(first + Self.together * threads, fGrams.count)
        let rows = engine.rows(of: ids.map { fGrams.tokens(of: $0).map { Int32(bitPattern: $0) } })
        try writer.append(rows.span)
        progress.update(done: ids.upperBound)
      }
    }
    progress.finish()
    try StageIndex.write(
      to: output, configuration: configuration,
      content: [
        "store": store,
        "metadata": [
          "fGrams": .integer(fGrams.count), "width": .integer(trained.model.width),
          "step": .integer(snapshot.step), "rowBytes": .integer(description.rowBytes),
        ],
      ])
  }

  /// F-grams that a worker runs at a time.
  private static let together = 256
}
