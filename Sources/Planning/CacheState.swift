import Contracts
import Foundation
import Support

/// Whether a node's output is there, is to be made, or is not needed; and why.
package enum CacheState: Sendable, Equatable {
  case cached
  /// Missing, but everything made from it is there.
  case notNeeded
  /// To be made; the text says what differs from the nearest finished output.
  case stale(reason: String)

  package var isStale: Bool {
    if case .stale = self { true } else { false }
  }

  package var description: String {
    switch self {
    case .cached: "cached"
    case .notNeeded: "not needed"
    case .stale(let reason): "stale: \(reason)"
    }
  }

  /// The state of every node of `graph`, in its order: what `make` would do now.
  package static func states(of graph: StageGraph, in directory: String = ".") -> [CacheState] {
    states(of: graph.nodes, from: [graph.report], in: directory)
  }

  /// The state of every one of `nodes`, where those at `roots` are wanted.
  ///
  /// Walks from the roots down; an output that is there hides what it was made from. Reads file
  /// names and, for reasons, the configurations of finished outputs below `directory`/data; writes
  /// nothing.
  static func states(
    of nodes: [StageGraph.Node], from roots: [Int], in directory: String
  ) -> [CacheState] {
    let exists = nodes.map { FileBytes.exists(directory + "/" + $0.index) }
    var states = exists.map { $0 ? CacheState.cached : .notNeeded }
    var finished: [Stage: [[String: String]]] = [:]
    var pending = roots
    var seen: Set<Int> = []
    while let position = pending.popLast() {
      guard seen.insert(position).inserted, !exists[position] else { continue }
      let node = nodes[position]
      let others =
        finished[node.stage]
        ?? finishedConfigurations(of: node.stage, except: Set(nodes.map(\.id)), in: directory)
        .map { leaves(of: $0.identity) }
      finished[node.stage] = others
      states[position] = .stale(reason: reason(for: node, among: others, in: directory))
      pending += node.inputs
    }
    return states
  }

  // MARK: - Reasons

  /// Configurations whose output is finished, but for those of the figure as it is now: a sibling
  /// that differs by design explains nothing.
  private static func finishedConfigurations(
    of stage: Stage, except present: Set<String>, in directory: String
  ) -> [StageConfiguration] {
    let folder = "\(directory)/data/\(stage.rawValue)"
    let ids = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return ids.sorted().compactMap { id in
      guard !present.contains(id), FileBytes.exists("\(folder)/\(id)/\(StageIndex.fileName)")
      else { return nil }
      return try? StageConfiguration.load(
        from: "\(directory)/data/config/\(stage.rawValue)/\(id).json")
    }
  }

  private static func reason(
    for node: StageGraph.Node, among others: [[String: String]], in directory: String
  ) -> String {
    if FileBytes.exists("\(directory)/\(node.directory)/checkpoint.safetensors") {
      return "unfinished, resumes from its checkpoint"
    }
    if FileBytes.exists("\(directory)/\(node.directory)") { return "unfinished" }
    let wanted = leaves(of: node.configuration.identity)
    let nearest = others.map { (leaves: $0, distance: distance($0, wanted)) }
      .min { $0.distance < $1.distance }
      .map { differences($0.leaves, wanted) }
    let parameters = nearest?.filter { !$0.isInput } ?? []
    // Beyond a few differences the nearest output is no kin of this one.
    guard let nearest, parameters.count <= 3 else { return "no output yet" }
    if parameters.isEmpty && nearest.count > 2 { return "\(nearest.count) inputs changed" }
    // When parameters differ, inputs often do as a consequence; they say nothing more.
    return (parameters.isEmpty ? nearest : parameters).map(\.text).joined(separator: ", ")
  }

  private struct Difference {
    let isInput: Bool
    /// "optimizer.learningRate 0.002 → 0.001" or "input data changed".
    let text: String
  }

  /// The number of leaves that differ.
  private static func distance(_ old: [String: String], _ new: [String: String]) -> Int {
    var (equal, shared) = (0, 0)
    for (key, value) in new {
      guard let other = old[key] else { continue }
      shared += 1
      if other == value { equal += 1 }
    }
    return old.count + new.count - shared - equal
  }

  /// Every leaf that differs, in the order of the keys.
  private static func differences(
    _ old: [String: String], _ new: [String: String]
  ) -> [Difference] {
    Set(old.keys).union(new.keys).filter { old[$0] != new[$0] }.sorted().map { key in
      if key.hasPrefix("inputs.") {
        return Difference(isInput: true, text: "input \(key.dropFirst(7)) changed")
      }
      let name = key.hasPrefix("parameters.") ? String(key.dropFirst(11)) : key
      return Difference(
        isInput: false, text: "\(name) \(old[key] ?? "none") → \(new[key] ?? "none")")
    }
  }

  private static func leaves(of value: ConfigValue, path: String = "") -> [String: String] {
    guard case .object(let members) = value else { return [path: value.canonicalJSON] }
    var result: [String: String] = [:]
    for (key, member) in members {
      result.merge(leaves(of: member, path: path.isEmpty ? key : path + "." + key)) { a, _ in a }
    }
    return result
  }
}
