import Support

/// `pipeline/<figure>.yaml` as it is read: where it is `like` another figure, with all that the other says and
/// it does not say itself, or says to be null. Its `set` lies over the other's, so that it is the other with
/// something changed.
struct FigureFile {
  let path: String
  /// The figure, behind the one that it is like: what a preset says of the one holds for the other too.
  let names: [String]
  /// All but `like` and `set`.
  var reader: ConfigReader
  /// What is set in every run, in the order in which it is applied.
  let common: [(settings: ConfigValue, origin: String)]
  /// The file that the variants stand in.
  let variantsPath: String
  /// The figure by whose name a file of claims calls them.
  let claimed: String
}

extension ExperimentFolder {
  /// - Throws: `UserError` where there is no such figure, or where one is like one that is like a third.
  func figure(_ name: String) throws -> FigureFile {
    let path = try path(of: name, kind: "figure", in: "pipeline")
    let own = try members(path)
    var reader = try ConfigReader(.object(own), source: path)
    let settings = (own["set"] ?? [:], path)
    guard let other = try reader.optionalString("like") else {
      _ = reader.value("set")
      return FigureFile(
        path: path, names: [name], reader: reader, common: [settings], variantsPath: path,
        claimed: name)
    }
    let otherPath = try self.path(of: other, kind: "\(path): like: figure", in: "pipeline")
    var all = try members(otherPath)
    if let third = all["like"] {
      throw reader.fault(
        "like", expected: "a figure that is like none",
        found: "\(other), which is like \(third.summary)",
        remedy: "Make this one like that too, and set here what \(other) sets.")
    }
    let otherSettings = (all["set"] ?? [:], otherPath)
    // A title says what is changed.
    all["title"] = nil
    all.merge(own) { $1 }
    for key in ["like", "set"] + own.keys.filter({ own[$0] == .null }) { all[key] = nil }
    return FigureFile(
      path: path, names: [other, name],
      reader: try ConfigReader(.object(all), source: "\(path), like \(otherPath)"),
      common: [otherSettings, settings],
      variantsPath: own["variants"] == nil ? otherPath : path,
      claimed: own["claims"] == nil ? other : name)
  }

  private func members(_ path: String) throws -> [String: ConfigValue] {
    let value = try value(path)
    guard case .object(let members) = value else {
      throw UserError(path, expected: "an object", found: value.summary)
    }
    return members
  }
}
