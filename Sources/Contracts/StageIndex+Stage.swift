import Support

extension StageIndex {
  /// The index of an output that a configuration names, checked to be of that stage and id.
  package init(of stage: Stage, input: StageConfiguration.Input) throws {
    try self.init(directory: input.path)
    guard self.stage == stage.rawValue, id == input.id else {
      throw UserError(
        "\(input.path)/\(StageIndex.fileName)",
        expected: "stage \(stage.rawValue), id \(input.id)",
        found: "stage \(self.stage), id \(id)", remedy: StageIndex.remedy(input.path))
    }
  }
}
