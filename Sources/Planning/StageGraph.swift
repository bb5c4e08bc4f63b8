import Contracts
import Support

/// All stage runs that a figure needs, each once, inputs before outputs.
package struct StageGraph: Sendable {
  package struct Node: Sendable {
    package let stage: Stage
    package let id: String
    package let configuration: StageConfiguration
    /// Indices of the nodes that this one reads.
    package let inputs: [Int]
    /// Make targets that are no stages but must be there first: a fetched corpus.
    package let sources: [String]
    /// What it is, for people: "train stream, seed 1"; for train and evaluate the run's name.
    package let label: String
    /// Index into `Experiment.runs` of the first run that uses the output.
    package let run: Int
    /// Names of all runs that use the output.
    package fileprivate(set) var runNames: [String]

    /// data/<stage>/<id>
    package var directory: String { "data/\(stage.rawValue)/\(id)" }
    package var index: String { directory + "/" + StageIndex.fileName }
    /// data/config/<stage>/<id>.json
    package var configurationPath: String { "data/config/\(stage.rawValue)/\(id).json" }
  }

  /// The nodes that one run goes through.
  package struct Chain: Sendable {
    /// What makes the data, inputs before outputs; the last is what the run is trained on.
    package let data: [Int]
    /// What makes text that the run is scored on besides.
    var furtherData: [Int] = []
    /// Counts of what the run is trained on, where they are wanted of it.
    var count: Int?
    /// The model and its scores; nil in a figure of the data alone.
    package var model: Model?

    /// A trained model and what scores it.
    package struct Model: Sendable {
      package let train, evaluate: Int
      /// Where a run is scored on further sets of text.
      package var domains: Int?
      /// Where a run is scored on tasks.
      package var downstream: Int?

      package var scores: [Int] { [evaluate, domains, downstream].compactMap(\.self) }
      var nodes: [Int] { [train] + scores }
    }

    /// What the run is trained on.
    package var map: Int { data[data.count - 1] }
    /// All nodes, inputs before outputs.
    package var nodes: [Int] {
      data + furtherData + [count].compactMap(\.self) + (model?.nodes ?? [])
    }
  }

  package let experiment: Experiment
  package let path: any DataPath
  package private(set) var nodes: [Node] = []
  /// Nodes of each run, in the order of `experiment.runs`.
  package private(set) var chains: [Chain] = []

  /// The node that makes the figure.
  package var report: Int { nodes.count - 1 }

  private var known: [String: Int] = [:]

  /// Expands `experiment`; paths are relative to `directory`.
  package init(_ experiment: Experiment, in directory: String = ".") throws {
    self.experiment = experiment
    path = try experiment.subject.path(of: experiment, in: directory)
    for run in experiment.runs.indices {
      chains.append(try path.addChain(of: run, to: &self))
    }
    let (parameters, inputs) = try path.report(on: self)
    add(parameters, inputs: inputs, label: experiment.figure, run: 0)
    nodes[report].runNames = experiment.runs.map(\.name)
    known = [:]
  }

  /// Adds a node unless one of the same id is there; either way the run uses it.
  ///
  /// - Parameters:
  ///   - inputs: nodes of this graph by the name that the stage knows them by.
  ///   - externals: inputs that are no stages' outputs.
  /// - Returns: the node's position.
  @discardableResult
  mutating func add<P: StageParameters>(
    _ parameters: P, inputs: [String: Int],
    externals: [String: StageConfiguration.Input] = [:], sources: [String] = [], label: String,
    run: Int
  ) -> Int {
    let made = inputs.mapValues {
      StageConfiguration.Input(id: nodes[$0].id, path: nodes[$0].directory)
    }
    let configuration = parameters.configuration(
      inputs: made.merging(externals) { _, _ in preconditionFailure("an input twice") })
    let id = configuration.id
    let name = experiment.runs[run].name
    if let position = known[id] {
      if nodes[position].runNames.last != name { nodes[position].runNames.append(name) }
      return position
    }
    nodes.append(
      Node(
        stage: P.stage, id: id, configuration: configuration, inputs: Set(inputs.values).sorted(),
        sources: sources, label: label, run: run, runNames: [name]))
    known[id] = nodes.count - 1
    return nodes.count - 1
  }

  /// The nodes of one stage: `all` of them, the `first`, or those that a run of that name uses.
  package func nodes(of stage: Stage, run: String) throws -> [Node] {
    let nodes = self.nodes.filter { $0.stage == stage }
    switch run {
    case "all": return nodes
    case "first": return Array(nodes.prefix(1))
    default:
      let name = try experiment.run(run).name
      return nodes.filter { $0.runNames.contains(name) }
    }
  }
}

extension StageGraph {
  /// - Throws: `UserError` for trainings of which none is on a device, where make has said how one is to hold
  ///   n-gram tables.
  package func requireDevice(forTables place: String) throws {
    let trainings = nodes.filter { $0.stage == .train }
    guard !trainings.isEmpty,
      !trainings.contains(where: { $0.configuration.parameters["training"]?["device"] != nil })
    else { return }
    throw UserError(
      "DEVICE_TABLES=\(place)", expected: "trainings on a device",
      found: "those of \(experiment.figure) at \(experiment.preset), which are on the CPU",
      remedy: "Leave it out, or name a DEVICE.")
  }
}
