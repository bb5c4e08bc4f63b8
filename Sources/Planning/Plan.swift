import Contracts
import Foundation
import Support

/// A figure's graph with the state and the cost of every node, and its text.
package struct Plan {
  package let graph: StageGraph
  package let states: [CacheState]
  package let costs: [Cost]
  private let model: CostModel

  /// Stages at a time, and threads of each.
  package let jobs, threads: Int

  /// Plans for a machine of `cores`; paths are relative to `directory`.
  package init(
    _ graph: StageGraph, rates: Rates, cores: Int, in directory: String = "."
  ) throws {
    self.graph = graph
    jobs = graph.experiment.jobs ?? cores
    threads = max(1, cores / jobs)
    states = CacheState.states(of: graph, in: directory)
    model = CostModel(graph, rates: rates, threads: threads)
    costs = try model.costs()
  }

  /// What is left to do: the costs of all stale nodes, as the sum over one thread.
  package var remaining: Cost {
    zip(states, costs).reduce(Cost()) { $1.0.isStale ? $0 + $1.1 : $0 }
  }

  /// Nodes in the order in which they should start: report, then runs by falling cost, so that no
  /// long run begins when the others have ended; in a run from its end to its beginning.
  package static func startOrder(of graph: StageGraph, costs: [Cost]) -> [Int] {
    let seconds = graph.chains.map { $0.model.map { costs[$0.train].seconds(threads: 1) } ?? 0 }
    let runs = graph.chains.indices.sorted { a, b in
      seconds[a] != seconds[b] ? seconds[a] > seconds[b] : a < b
    }
    var order = [graph.report]
    var seen: Set<Int> = [graph.report]
    for run in runs {
      for node in graph.chains[run].nodes.reversed() where seen.insert(node).inserted {
        order.append(node)
      }
    }
    return order
  }

  // MARK: - Text

  /// The run table, the stages, and the totals.
  package func text() throws -> String {
    let experiment = graph.experiment
    var text =
      "\(experiment.figure), preset \(experiment.preset): \(experiment.title)\n\n"
    if graph.chains.contains(where: { $0.model != nil }) { text += try runTable() + "\n" }
    text += stageTable() + "\n"
    let left = remaining
    let stale = states.count { $0.isStale }
    if stale == 0 {
      text += "Nothing to run: every output is there.\n"
    } else {
      let seconds = left.seconds(threads: jobs * threads)
      let device = left.deviceBytes
      text +=
        "To run: \(stale) of \(states.count) stage runs, \(Quantity.flops(left.flops)), "
        + "\(Quantity.bytes(left.diskBytes)) of disk, "
        + "\(Quantity.bytes(left.memoryBytes * Double(jobs))) of memory, "
        + (device > 0
          ? "\(Quantity.bytes(device * Double(jobs))) on the device, "
            + "\(Quantity.time(left.deviceSeconds)) of it, in all " : "")
        + "about "
        + "\(Quantity.time(seconds)) with \(jobs) at a time and \(threads) "
        + "thread\(threads == 1 ? "" : "s") each.\n"
      text += "Times are estimates from a calibration of \(Host.cpuModel).\n"
      text += try slowPrecision ?? ""
      if let device = unknownDevice {
        text +=
          "They are as if this machine's CPU did the work of \(device.rawValue), which cannot be used here: "
          + "\(model.rates.deviceFault?(device) ?? "it was not asked.")\n"
      }
    }
    return text
  }

  /// Rows and share by which products in bfloat16 must be slower to be worth a word.
  private static let comparedRows = 512
  private static let slowness = 1.05

  /// What is said of a precision that is slower here than the usual one.
  private var slowPrecision: String? {
    get throws {
      let widths = try graph.chains.compactMap(\.model).compactMap { chain -> Int? in
        let train = try TrainParameters(graph.nodes[chain.train].configuration)
        guard train.training.precision == .bfloat16, train.training.device == nil else {
          return nil
        }
        guard case .integer(let width)? = train.model["width"] else { return nil }
        return width
      }
      let ratios = Set(widths).map { width in
        (
          width,
          model.rates.product(Self.comparedRows, width, .float32)
            / model.rates.product(Self.comparedRows, width, .bfloat16)
        )
      }
      guard let worst = ratios.max(by: { $0.1 < $1.1 }), worst.1 > Self.slowness else { return nil }
      return String(
        format: "Products in bfloat16 take %.1f times as long as in float32 here, at width %ld: "
          + "PRECISION=float32 is faster.\n", worst.1, worst.0)
    }
  }

  /// A device whose work is planned without knowing how fast it is.
  private var unknownDevice: TorchDevice? {
    for (node, cost) in zip(graph.nodes, costs) where cost.deviceSeconds == 0 {
      let parameters = node.configuration.parameters
      for value in [parameters["training"]?["device"], parameters["device"]] {
        if case .string(let name)? = value { return TorchDevice(rawValue: name) }
      }
    }
    return nil
  }

  private func runTable() throws -> String {
    var table = TextTable([
      "run", "parameters", "steps", graph.path.unit, "epochs", "FLOPs", "memory", "disk", "time",
      "state",
    ])
    for (position, run) in graph.experiment.runs.enumerated() {
      guard let chain = graph.chains[position].model else { continue }
      let size = try model.size(of: position)
      let cost = chain.scores.reduce(costs[chain.train]) { $0 + costs[$1] }
      let active =
        size.activeParameters < size.parameters
        ? " (\(Quantity.count(size.activeParameters)) a token)" : ""
      table.add([
        run.name, Quantity.count(size.parameters) + active, String(size.steps),
        Quantity.count(size.units), String(format: "%.3g", size.epochs),
        Quantity.flops(cost.flops), Quantity.bytes(cost.memoryBytes),
        Quantity.bytes(cost.diskBytes), Quantity.time(cost.seconds(threads: 1)), state(of: chain),
      ])
    }
    return table.text
  }

  /// What a run still has to do, the stage that matters most first.
  private func state(of model: StageGraph.Chain.Model) -> String {
    for node in [model.train] + model.scores {
      if case .stale(let reason) = states[node] {
        return "\(graph.nodes[node].stage.rawValue): \(reason)"
      }
    }
    return "cached"
  }

  private func stageTable() -> String {
    var table = TextTable(["stage", "runs", "cached", "stale", "disk", "time", "reasons"])
    for stage in Stage.allCases {
      let positions = graph.nodes.indices.filter { graph.nodes[$0].stage == stage }
      if positions.isEmpty { continue }
      let stale = positions.filter { states[$0].isStale }
      let cost = stale.reduce(Cost()) { $0 + costs[$1] }
      var reasons: [String] = []
      for position in stale {
        guard case .stale(let reason) = states[position], !reasons.contains(reason) else {
          continue
        }
        reasons.append(reason)
      }
      let more = reasons.count > 2 ? "; and \(reasons.count - 2) more" : ""
      table.add([
        stage.rawValue, String(positions.count),
        String(positions.count { states[$0] == .cached }), String(stale.count),
        stale.isEmpty ? "-" : Quantity.bytes(cost.diskBytes),
        stale.isEmpty ? "-" : Quantity.time(cost.seconds(threads: 1)),
        reasons.prefix(2).joined(separator: "; ") + more,
      ])
    }
    return table.text
  }
}
