import Support

/// The records of what a figure was made of, as lines that a person reads.
struct LineageRecords {
  private let evidence: EvidenceFile
  private let byID: [String: ConfigValue]
  private let inFull: Bool
  /// By key, from 1 in the order in which they are first named.
  private var environmentNumbers: [String: Int] = [:]
  private var firstOfStage: [String: ConfigValue] = [:]

  /// - Parameter inFull: the settings of every record stand in full; else those of the first of a stage, and of
  ///   others what differs from it.
  init(_ evidence: EvidenceFile, inFull: Bool = false) {
    self.evidence = evidence
    self.inFull = inFull
    byID = Dictionary(
      evidence.history.compactMap { record in record["id"]?.plain.map { ($0, record) } },
      uniquingKeysWith: { first, _ in first })
  }

  subscript(id: String) -> ConfigValue? { byID[id] }

  /// The ids from which these were made, each once, nearest first.
  func order(from ids: [String]) -> [String] {
    var order: [String] = []
    var pending = ids[...]
    var seen: Set<String> = []
    while let id = pending.popFirst() {
      guard seen.insert(id).inserted else { continue }
      order.append(id)
      pending += byID[id].map { LineageRecords.inputs(of: $0).map(\.id) } ?? []
    }
    return order
  }

  /// "train 86afadb2df0e".
  static func title(of record: ConfigValue) -> String {
    "\(record["stage"]?.plain ?? "unknown") \(record["id"]?.plain ?? "unknown")"
  }

  /// What a record says, a line a part.
  ///
  /// - Parameter inputs: what stands in place of the list of inputs.
  mutating func lines(of record: ConfigValue, inputs: String? = nil) -> [String] {
    let stage = record["stage"]?.plain ?? "unknown"
    if stage == "file", let path = record["path"]?.plain {
      return ["file or folder \(path), SHA-256 \(record["id"]?.plain ?? "unknown")…"]
    }
    var lines = [
      "id        \(LineageRecords.check(record))",
      "settings  \(settings(record, stage: stage))",
    ]
    let list = LineageRecords.inputs(of: record).map { "\($0.name) \($0.id)" }
      .joined(separator: ", ")
    if !list.isEmpty { lines.append("inputs    \(inputs ?? list)") }
    if let content = record["content"]?.plain { lines.append("content   SHA-256 \(content)") }
    if case .array(let shards)? = record["shards"] {
      for (number, shard) in shards.enumerated() {
        lines.append("shard \(number)   raw SHA-256 \(shard.plain ?? "")")
      }
    }
    let time = record["finished"]?.plain ?? record["started"]?.plain.map { "from \($0)" }
    let threads = record["threads"]?.plain ?? "?"
    lines.append("made      \(time ?? "unknown"), threads \(threads), \(environment(record))")
    return lines
  }

  private mutating func settings(_ record: ConfigValue, stage: String) -> String {
    let parameters = record["parameters"] ?? .object([:])
    guard !inFull, let first = firstOfStage[stage] else {
      firstOfStage[stage] = record
      return parameters.canonicalJSON
    }
    let old = LineageRecords.leaves(first["parameters"] ?? .object([:]))
    let new = LineageRecords.leaves(parameters)
    let differences = Set(old.keys).union(new.keys).sorted().filter { old[$0] != new[$0] }
      .map { "\($0) \(new[$0] ?? "none")" }
    return "as \(first["id"]?.plain ?? "")"
      + (differences.isEmpty ? "" : " but " + differences.joined(separator: ", "))
  }

  private mutating func environment(_ record: ConfigValue) -> String {
    guard let key = record["environment"]?.plain, evidence.environments[key] != nil else {
      return "environment not recorded"
    }
    let number = environmentNumbers[key] ?? environmentNumbers.count + 1
    environmentNumbers[key] = number
    return "environment \(number)"
  }

  /// Of every environment that lines have named: "environment 1", and its members.
  var environments: [[String]] {
    environmentNumbers.sorted { $0.value < $1.value }.map { key, number in
      guard case .object(let members)? = evidence.environments[key] else {
        return ["environment \(number)"]
      }
      return ["environment \(number)"]
        + members.sorted { $0.key < $1.key }.map {
          "\($0.key)  \($0.value.plain ?? $0.value.canonicalJSON)"
        }
    }
  }

  // MARK: - Parts

  /// The runs that a number is of, all where its surroundings name none.
  static func runs(of root: ConfigValue, behind place: NumberAddress.Place)
    -> [(name: String, id: String)]
  {
    let inputs = inputs(of: root)
    let runs = select(inputs, surroundings: place.surroundings)
    return runs.isEmpty ? inputs : runs
  }

  /// The runs whose names agree with what stands around a number. A name is "variant/size/seed"; a
  /// part of it counts where one of its values over all runs stands in the nearest surroundings.
  private static func select(
    _ runs: [(name: String, id: String)], surroundings: [[String: ConfigValue]]
  ) -> [(name: String, id: String)] {
    let parts = runs.map { $0.name.split(separator: "/").map(String.init) }
    var chosen = Set(runs.indices)
    for position in 0..<(parts.map(\.count).min() ?? 0) {
      let values = Set(parts.map { $0[position] })
      for objects in surroundings {
        let named = Set(
          objects.filter { key, value in
            if case .string = value { true } else { key == "seed" }
          }.compactMap(\.value.plain)
        ).intersection(values)
        guard !named.isEmpty else { continue }
        chosen = chosen.filter { named.contains(parts[$0][position]) }
        break
      }
    }
    return chosen.sorted().map { runs[$0] }
  }

  /// Names and ids, in the order of the names.
  static func inputs(of record: ConfigValue) -> [(name: String, id: String)] {
    guard case .object(let inputs)? = record["inputs"] else { return [] }
    return inputs.sorted { $0.key < $1.key }.compactMap { name, id in
      id.plain.map { (name, $0) }
    }
  }

  /// Whether the id is the digest of the settings and inputs that stand beside it.
  private static func check(_ record: ConfigValue) -> String {
    guard case .integer(let version)? = record["stageVersion"],
      let stage = record["stage"]?.plain, let parameters = record["parameters"]
    else { return "not checked: the record has no settings" }
    let configuration = StageConfiguration(
      stage: stage, version: version, parameters: parameters,
      inputs: Dictionary(
        inputs(of: record).map { ($0.name, .init(id: $0.id, path: "")) },
        uniquingKeysWith: { first, _ in first }))
    return configuration.id == record["id"]?.plain
      ? "is the digest of these settings and inputs, version \(version)"
      : "IS NOT the digest of these settings and inputs (\(configuration.id))"
  }

  private static func leaves(_ value: ConfigValue, path: String = "") -> [String: String] {
    guard case .object(let members) = value else { return [path: value.canonicalJSON] }
    var result: [String: String] = [:]
    for (key, member) in members {
      result.merge(leaves(member, path: path.isEmpty ? key : "\(path).\(key)")) { first, _ in first
      }
    }
    return result
  }
}
