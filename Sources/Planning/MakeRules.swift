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
    for position in order {
      let node = graph.nodes[position]
      let inputs =
        node.inputs.sorted { rank($0, order) < rank($1, order) }.map { graph.nodes[$0].index }
        + node.sources
      // Figures share runs: the rules of several may be read together.
      lines += [
        "", "# \(node.label)", "ifndef planned/\(node.index)", "planned/\(node.index) := 1",
        ".SECONDARY: \(node.index)",
        ([node.index + ":"] + (inputs.isEmpty ? [] : ["|"] + inputs)).joined(separator: " "),
        "\t$(call runStage,\(node.stage.rawValue),\(node.id),\(Self.word(node.label)))",
        "endif",
      ]
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// Writes the configurations that are not there yet, then the fragment, each atomically.
  package func write(order: [Int], in directory: String = ".") throws {
    var made: Set<String> = []
    for node in graph.nodes {
      let path = directory + "/" + node.configurationPath
      let text = node.configuration.file.prettyJSON
      if made.insert(node.stage.rawValue).inserted {
        try AtomicFile.makeDirectory("\(directory)/data/config/\(node.stage.rawValue)")
      }
      if FileBytes.exists(path), try FileBytes.read(path) == Array(text.utf8) { continue }
      try AtomicFile.write(text, to: path)
    }
    try AtomicFile.makeDirectory("\(directory)/data/plan/\(graph.experiment.preset)")
    try AtomicFile.write(text(order: order), to: directory + "/" + path)
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
