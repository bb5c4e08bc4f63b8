import Support

extension OverEncodingLayout {
  /// Reads the members order, slices, rows, moduli (default `coprime`) and, where they are given,
  /// orders ([] for all) and columns (of all tables together, as a share of the width) from a
  /// configuration object; other members are left to the caller.
  ///
  /// - Parameter width: C of the model.
  /// - Throws: `UserError` for a member that is missing or wrong, and as `init(vocabulary:…)`.
  package init(reader: inout ConfigReader, vocabulary: Int, width: Int) throws {
    let orders = try reader.ints("orders", default: [])
    let share = try reader.double("columns", default: 1, in: 0...1)
    guard let columns = Int(exactly: Double(width) * share), columns > 0 else {
      throw reader.fault(
        "columns", expected: "a share that gives whole columns of a width of \(width)",
        found: "\(share)")
    }
    try self.init(
      vocabulary: vocabulary, order: reader.int("order", in: 2...64),
      slices: reader.int("slices", in: 1...1024),
      rows: reader.int("rows", in: 1...Self.largestModulus), width: width,
      moduli: reader.choice("moduli", Moduli.self, default: .coprime),
      orders: orders.isEmpty ? nil : orders, columns: columns)
  }

  /// The same where only rows matter and no model is there: any other member but `columns` is left to
  /// the caller, and every table has one column.
  package init(rowsOf reader: inout ConfigReader, vocabulary: Int) throws {
    let order = try reader.int("order", in: 2...64)
    let slices = try reader.int("slices", in: 1...1024)
    let given = try reader.ints("orders", default: [])
    let orders = given.isEmpty ? nil : given
    try self.init(
      vocabulary: vocabulary, order: order, slices: slices,
      rows: reader.int("rows", in: 1...Self.largestModulus),
      width: slices * max(1, orders?.count ?? order - 1),
      moduli: reader.choice("moduli", Moduli.self, default: .coprime), orders: orders)
  }

  /// Whether the tables have the same rows: the same vocabulary, orders and moduli, whatever widths.
  package func hasSameRows(as other: OverEncodingLayout) -> Bool {
    vocabulary == other.vocabulary
      && embedders.map { [$0.order, $0.slice, $0.modulus] }
        == other.embedders.map { [$0.order, $0.slice, $0.modulus] }
  }
}
