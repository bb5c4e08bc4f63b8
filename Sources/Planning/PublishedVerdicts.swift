import Support

/// What the published results of an experiment say of its next run.
package enum PublishedVerdicts {
  /// The verdicts of `results/<preset>/<figure>.json` that few more seeds could turn, and the seeds that the
  /// preset has; nothing where there are none, or no such file. A file that is no result says nothing of
  /// seeds, and hinders no plan: the next report replaces it.
  package static func advice(_ experiment: Experiment, in directory: String = ".") -> String {
    let path = "results/\(experiment.preset)/\(experiment.figure).json"
    guard FileBytes.exists("\(directory)/\(path)") else { return "" }
    guard let bytes = try? FileBytes.read("\(directory)/\(path)"),
      let result = try? ConfigValue.parse(json: bytes, source: path)
    else { return "\n\(path) is no result that could say which verdicts are near.\n" }
    guard case .array(let near)? = result["near"], !near.isEmpty else { return "" }
    let lines = near.map { item in
      if case .string(let text) = item { return "  \(text)\n" }
      return ""
    }
    return "\nNear verdicts of \(path), with seeds \(experiment.seeds):\n" + lines.joined()
      + "More seeds: the list `seeds` of the preset, or of what its `figures` has of this one."
      + " Runs that are there stay.\n"
  }
}
