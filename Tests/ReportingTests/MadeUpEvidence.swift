import Contracts
import Reporting
import Support

/// Writes the record of a run and, where one is named, of the training run it was made from.
///
/// - Parameter missing: a fact of the training run's environment that shall not be there.
func writeEvidence(
  of configuration: StageConfiguration, run: String? = nil, facts: ConfigValue = [:],
  cpuSeconds: Double? = nil, in path: String, without missing: String = ""
) throws {
  var known: [String: ConfigValue] = [:]
  for key in EvidenceFile.environmentKeys { known[key] = .string("some \(key)") }
  var lacking = known
  lacking[missing] = nil
  let record = { (stage: String, id: String, environment: String) -> [String: ConfigValue] in
    [
      "stage": .string(stage), "id": .string(id), "wallSeconds": 2.0,
      "environment": .string(environment),
    ]
  }
  var members = record(configuration.stage, configuration.id, "a")
  members["facts"] = facts
  members["cpuSeconds"] = cpuSeconds.map { .double($0) }
  members["environments"] = ["a": .object(known), "b": .object(lacking)]
  members["history"] = .array(
    (run.map { [record("train", $0, "b")] } ?? []).map(ConfigValue.object))
  try EvidenceFile.write(members, to: path)
}

extension Figure {
  /// Of a configuration of kind grammar.
  init(_ configuration: StageConfiguration) throws {
    guard case .grammar(let parameters) = try ReportParameters(configuration) else {
      preconditionFailure("the kind is grammar")
    }
    try self.init(configuration, parameters)
  }
}

extension TextFigure {
  /// Of a configuration of kind text.
  init(_ configuration: StageConfiguration) throws {
    guard case .text(let parameters) = try ReportParameters(configuration) else {
      preconditionFailure("the kind is text")
    }
    try self.init(configuration, parameters)
  }
}
