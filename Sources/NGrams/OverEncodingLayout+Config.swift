import Support

extension OverEncodingLayout {
  /// Reads the members order, slices, rows, moduli (default `coprime`) and, where they are given,
  /// orders and embedderWidth from a configuration object; other members are left to the caller.
  ///
  /// - Throws: `UserError` for a member that is missing or wrong, and as `init(vocabulary:…)`.
  package init(reader: inout ConfigReader, vocabulary: Int, width: Int) throws {
    let hasOrders = reader.has("orders")
    try self.init(
      vocabulary: vocabulary, order: reader.int("order"), slices: reader.int("slices"),
      rows: reader.int("rows"), width: width,
      moduli: reader.choice("moduli", Moduli.self, default: .coprime),
      orders: hasOrders ? reader.ints("orders") : nil,
      embedderWidth: reader.optionalInt("embedderWidth"))
  }
}
