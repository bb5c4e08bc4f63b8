import Support

/// The rules of a figure as a fragment of a makefile, and the configurations that the rules name.
package struct MakeRules {
  package let graph: StageGraph

  package init(_ graph: StageGraph) { self.graph = graph }

  /// data/plan/<preset>/<figure>.mk
  package var path: String { "data/plan/\(graph.experiment.preset)/\(graph.experiment.figure).mk" }

  /// Where the figure's files are published.
  package var results: String { "results/\(graph.experiment.preset)" }

  /// The fragment. Inputs are order-only and secondary: an output that is there is right, whatever
  /// the clock says, and is not rebuilt only because what it was made from was cleaned away.
  /// `order` lists the nodes in the order in which they should start, as far as they can.
  package func text(order: [Int]) -> String {
    let figure = graph.experiment.figure
    let report = graph.nodes[graph.report]
    let published =
      "\(report.directory),\(results),\(figure),"
      + graph.experiment.subject.views.joined(separator: " ")
    var lines = [
      "# Written by: ott-plan rules --figure \(figure) --preset \(graph.experiment.preset)",
      "PLANNED_JOBS := \(graph.experiment.jobs.map(String.init) ?? "$(CORES)")",
      "",
      ".PHONY: \(figure)",
      "\(figure): \(results)/\(figure).json",
      "",
      "\(results)/\(figure).json: $(call stalePublication,\(published)) | \(report.index)",
      "\t$(call publish,\(published))",
    ]
    let others = graph.experiment.subject.views.filter { $0 != "json" }
      .map { "\(results)/\(figure).\($0)" }
    if !others.isEmpty {
      lines.append("\(others.joined(separator: " ")): \(results)/\(figure).json ;")
    }
    for position in order {
      let node = graph.nodes[position]
      lines += Self.rule(
        of: node,
        after: node.inputs.sorted { rank($0, order) < rank($1, order) }.map {
          graph.nodes[$0].index
        })
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// The rule of one stage run; those of several figures may be read together, as figures share runs.
  ///
  /// - Parameter inputs: targets that are made before, besides the node's sources.
  static func rule(of node: StageGraph.Node, after inputs: [String]) -> [String] {
    let inputs = inputs + node.sources
    return [
      "", "# \(node.label)", "ifndef planned/\(node.index)", "planned/\(node.index) := 1",
      ".SECONDARY: \(node.index)",
      ([node.index + ":"] + (inputs.isEmpty ? [] : ["|"] + inputs)).joined(separator: " "),
      "\t$(call runStage,\(node.stage.rawValue),\(node.id),\(word(node.label)))",
      "endif",
    ]
  }

  /// Writes the configurations and the fragment, each atomically, where other bytes are there: when
  /// nothing has changed nothing is written.
  ///
  /// - Throws: `UserError` for a file that cannot be written, and for a name that make would take for
  ///   something else.
  package func write(order: [Int], in directory: String = ".") throws {
    try requireNames()
    for node in graph.nodes {
      try Self.write(node.configuration.file.prettyJSON, to: node.configurationPath, in: directory)
    }
    try Self.write(text(order: order), to: path, in: directory)
  }

  static func write(_ text: String, to path: String, in directory: String) throws {
    let full = directory + "/" + path
    let bytes = Array(text.utf8)
    if let found = try? FileBytes.read(full), found == bytes { return }
    try AtomicFile.makeDirectory(AtomicFile.parent(of: full))
    try AtomicFile.write(bytes, to: full)
  }

  // MARK: - Names

  /// Make parts names at spaces and knows a dozen characters for its own: names of figures and
  /// presets, and targets that settings name, do without them.
  private func requireNames() throws {
    try Self.require(graph.experiment.figure, as: "figure", allowing: "-_.+")
    try Self.require(graph.experiment.preset, as: "preset", allowing: "-_.+")
    for source in Set(graph.nodes.flatMap(\.sources)).sorted() {
      try Self.require(source, as: "made, a target of make", allowing: "-_.+/")
    }
  }

  private static func require(_ name: String, as what: String, allowing marks: String) throws {
    let allowed = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789\(marks)".utf8)
    guard let first = name.utf8.first, !"-.".utf8.contains(first),
      name.utf8.allSatisfy(allowed.contains)
    else {
      throw UserError(
        what, expected: "a name of letters, digits and \(marks), which make takes literally",
        found: "'\(name)'")
    }
  }

  /// A label as make and the shell take it literally between quotes: other characters become spaces.
  package static func word(_ label: String) -> String {
    let plain = label.unicodeScalars.map { scalar in
      scalar.isASCII
        && (scalar.properties.isAlphabetic || "0123456789-_./+ ".unicodeScalars.contains(scalar))
        ? Character(scalar) : " "
    }
    return String(plain).split(separator: " ").joined(separator: " ")
  }

  private func rank(_ position: Int, _ order: [Int]) -> Int {
    order.firstIndex(of: position) ?? order.count
  }
}
