import Support

extension OverEncodingLayout {
  /// Reads the members order, slices, rows, moduli (default `coprime`) and, where they are given,
  /// orders and width (columns of all tables together) from a configuration object; other members are
  /// left to the caller.
  ///
  /// - Parameter width: C of the model.
  /// - Throws: `UserError` for a member that is missing or wrong, and as `init(vocabulary:…)`.
  package init(reader: inout ConfigReader, vocabulary: Int, width: Int) throws {
    let hasOrders = reader.has("orders")
    try self.init(
      vocabulary: vocabulary, order: reader.int("order"), slices: reader.int("slices"),
      rows: reader.int("rows"), width: width,
      moduli: reader.choice("moduli", Moduli.self, default: .coprime),
      orders: hasOrders ? reader.ints("orders") : nil,
      columns: reader.optionalInt("width"))
  }

  /// The same where only rows matter and no model is there: any other member but `width` is left to
  /// the caller, and every table has one column.
  package init(rowsOf reader: inout ConfigReader, vocabulary: Int) throws {
    let hasOrders = reader.has("orders")
    let order = try reader.int("order", in: 2...64)
    let slices = try reader.int("slices", in: 1...1024)
    let orders = hasOrders ? try reader.ints("orders") : nil
    try self.init(
      vocabulary: vocabulary, order: order, slices: slices, rows: reader.int("rows"),
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
