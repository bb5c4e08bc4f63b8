import NGrams
import Support
import Testing

private func gcd(_ a: Int, _ b: Int) -> Int { b == 0 ? a : gcd(b, a % b) }

private func layout(
  _ v: Int, _ n: Int, _ k: Int, _ m: Int, width: Int = 240,
  _ moduli: OverEncodingLayout.Moduli = .coprime, orders: [Int]? = nil, columns: Int? = nil
) throws -> OverEncodingLayout {
  try OverEncodingLayout(
    vocabulary: v, order: n, slices: k, rows: m, width: width, moduli: moduli, orders: orders,
    columns: columns)
}

@Suite struct OverEncodingLayoutTests {
  /// OLMoE-1.3B with n = 3, k = 2: four tables of 12.8 M rows and 256 columns, 13.1 G parameters.
  @Test func paperSizes() throws {
    let tables = try layout(50280, 3, 2, 12_800_000, width: 1024, .paper)
    #expect(tables.embedders.map(\.modulus) == [12_800_000, 12_800_002, 12_800_004, 12_800_006])
    #expect(tables.embedders.map(\.order) == [2, 2, 3, 3])
    #expect(tables.embedders.map(\.slice) == [0, 1, 0, 1])
    #expect(tables.embedders.allSatisfy { $0.width == 256 })
    #expect(tables.tableParameterCount == 4 * 256 * (12_800_000 + 3))
    #expect(tables.projectionParameterCount == 1024 * 1024)
    #expect(tables.parameterCount == 4 * 256 * 12_800_003 + 1024 * 1024)
    // OLMoE-7B: n = 3, k = 4, width 2048: eight tables of width 256.
    let large = try layout(50280, 3, 4, 12_800_000, width: 2048, .paper)
    #expect(large.tableParameterCount == 8 * 256 * (12_800_000 + 7))
  }

  @Test func countsFollowTheClosedForms() throws {
    for (order, slices) in [(2, 1), (2, 3), (3, 2), (5, 1), (4, 5)] {
      for rows in [1, 7, 1000] {
        let count = slices * (order - 1)
        let tables = try layout(11, order, slices, rows, width: 6 * count, .paper)
        #expect(tables.embedders.count == count)
        #expect(tables.tableParameterCount == count * 6 * (rows + count - 1))
        #expect(tables.projectionParameterCount == 36 * count * count)
        let sum = tables.embedders.reduce(0) { $0 + $1.modulus * $1.width + $1.width * 6 * count }
        #expect(tables.parameterCount == sum)
      }
    }
  }

  @Test func coprimeModuliAreTheNearestThatKeepTheRule() throws {
    for vocabulary in [2, 3, 4, 6, 7, 30, 64, 97, 257, 512, 4096] {
      for rows in [1, 2, 5, 64, 97, 4095, 4096, 64 * vocabulary, 100_000] {
        let moduli = try layout(vocabulary, 3, 2, rows, .coprime).embedders.map(\.modulus)
        var expected: [Int] = []
        var candidate = rows
        while expected.count < 4 {
          let distance = (1...candidate / vocabulary + 1).reduce(Int.max) {
            min($0, abs(candidate - $1 * vocabulary))
          }
          if candidate % 2 == 1 && gcd(candidate, vocabulary) == 1
            && distance >= max(1, vocabulary / 16)
          {
            expected.append(candidate)
          }
          candidate += 1
        }
        #expect(moduli == expected, "V \(vocabulary), m \(rows)")
      }
    }
  }

  @Test func ordersAndWidthsOfTheAblations() throws {
    let third = try layout(50, 3, 4, 999, orders: [3])
    #expect(third.embedders.map(\.order) == [3, 3, 3, 3])
    #expect(third.embedders.allSatisfy { $0.width == 60 })
    let half = try layout(50, 2, 1, 999, .equal, columns: 120)
    #expect(half.embedders.map(\.width) == [120])
    #expect(half.embedders.map(\.modulus) == [999])
    #expect(half.parameterCount == 999 * 120 + 120 * 240)
    #expect(try layout(50, 3, 1, 640, .equal).embedders.map(\.modulus) == [640, 640])
  }

  @Test(
    arguments: [
      (1, 3, 2, 10, 240, "base vocabulary V: expected 2 to 2147483647, found 1"),
      (9, 1, 2, 10, 240, "order n of the over-encoding: expected 2 to 64, found 1"),
      (9, 3, 0, 10, 240, "slices k of the over-encoding: expected 1 to 1024, found 0"),
      (9, 3, 2, 0, 240, "rows m of an over-encoding table: expected 1 to 2147483647, found 0"),
      (
        9, 3, 2, 10, 242,
        "columns of the over-encoding tables: not to be shared equally: "
          + "expected a multiple of k · orders = 2 · 2 = 4, found 242. "
          + "Set the width to 244 or change slices."
      ),
      (
        9, 3, 2, Int(Int32.max), 240,
        "rows of the last over-encoding table: expected at most 2147483647, found 2147483653. "
          + "Lower rows."
      ),
    ])
  func badNumbers(v: Int, n: Int, k: Int, m: Int, width: Int, message: String) {
    let error = #expect(throws: UserError.self) { try layout(v, n, k, m, width: width, .paper) }
    #expect(error?.description == message)
  }

  @Test func twoTablesOfTheSameOrderAndModulus() {
    let error = #expect(throws: UserError.self) { try layout(9, 3, 2, 10, .equal) }
    #expect(
      error?.description
        == "two over-encoding tables of the same order and modulus: expected different rows for "
        + "the 2 slices of an order, found (2, 10) 2 times. "
        + "Choose moduli 'coprime' or 'paper', or one slice.")
  }

  @Test(arguments: [[], [2], [1, 3], [3, 2], [2, 2, 3], [2, 4]])
  func badOrders(orders: [Int]) {
    let error = #expect(throws: UserError.self) { try layout(9, 3, 2, 10, orders: orders) }
    #expect(
      error?.description
        == "orders of the over-encoding: expected ascending, from 2 or more up to n = 3, "
        + "found \(orders)")
  }

  @Test func readsItsMembersAndLeavesTheOthers() throws {
    let value: ConfigValue = [
      "order": 3, "slices": 2, "rows": 1000, "moduli": "paper", "deviation": 0.02,
    ]
    var reader = try ConfigReader(value, source: "test")
    let read = try OverEncodingLayout(reader: &reader, vocabulary: 77, width: 240)
    #expect(read == (try layout(77, 3, 2, 1000, .paper)))
    #expect(throws: UserError.self) { try reader.finish() }
    _ = try reader.double("deviation")
    try reader.finish()
    var brief = try ConfigReader(
      ["order": 3, "slices": 1, "rows": 10, "orders": [3], "columns": 0.25], source: "test")
    let found = try OverEncodingLayout(reader: &brief, vocabulary: 77, width: 240)
    #expect(found.moduli == .coprime)
    #expect(found.embedders.map(\.width) == [60])
    #expect(found.embedders.map(\.order) == [3])
  }
}
