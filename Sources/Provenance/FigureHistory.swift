import Support

/// What all numbers of a published figure were made of: each record once, and of any number the runs that
/// it is of. For pages, which show the way back from many numbers.
package struct FigureHistory: Sendable {
  /// Id of the report.
  package let report: String
  /// By id, the report's too.
  package let records: [String: Record]
  package let environments: [[String]]
  private let root: ConfigValue

  package struct Record: Sendable {
    package let title: String
    /// What it says, a line a part.
    package let lines: [String]
    /// Ids that it was made from.
    package let inputs: [String]
  }

  package init(_ evidence: EvidenceFile) {
    root = .object(evidence.members)
    report = root["id"]?.plain ?? "unknown"
    var source = LineageRecords(evidence, inFull: true)
    var records: [String: Record] = [:]
    func add(_ record: ConfigValue, id: String, inputs: String?) {
      records[id] = Record(
        title: LineageRecords.title(of: record), lines: source.lines(of: record, inputs: inputs),
        inputs: LineageRecords.inputs(of: record).map(\.id))
    }
    add(root, id: report, inputs: "its runs")
    for id in source.order(from: LineageRecords.inputs(of: root).map(\.id)) {
      if let record = source[id] { add(record, id: id, inputs: nil) }
    }
    self.records = records
    environments = source.environments
  }

  /// Names and ids of the runs behind a number of a result file.
  ///
  /// - Throws: as `NumberAddress.resolve`.
  package func runs(behind address: NumberAddress) throws -> [(name: String, id: String)] {
    LineageRecords.runs(of: root, behind: try address.resolve())
  }
}
