import NGrams
import Parallel
import Shards
import Support
import Synchronization

/// How a token set would share the rows of over-encoding tables, without writing any.
package struct RowSharing {
  /// One table of one layout.
  private struct Entry {
    let rows: Int
    let embedder: OverEncodingLayout.Embedder
    let statistics: RowStatistics
  }

  private let source: TextTokens
  private let slices: Int
  private let moduli: OverEncodingLayout.Moduli
  private let entries: [Entry]

  /// Counts the n-grams of a token set of kind bpe in the rows of the tables of each size.
  package init(
    tokens directory: String, order: Int, slices: Int, rows: [Int],
    moduli: OverEncodingLayout.Moduli, threads: Int
  ) throws {
    source = try TextTokens(ShardSet(directory: directory))
    self.slices = slices
    self.moduli = moduli
    let vocabulary = source.vocabulary
    let layouts = try rows.map { rows in
      try OverEncodingLayout(
        vocabulary: vocabulary, order: order, slices: slices, rows: rows,
        width: slices * (order - 1), moduli: moduli)
    }
    let pool = WorkerPool(threads: threads)
    var entries: [Entry] = []
    for (order, grams) in try Self.sortedGrams(source, order: order, pool).enumerated() {
      let tables = layouts.flatMap { layout in
        layout.embedders.filter { $0.order == order + 2 }.map { (layout.rows, $0) }
      }
      let found = Mutex([Entry?](repeating: nil, count: tables.count))
      pool.forEach(0..<tables.count) { _, i in
        let (rows, embedder) = tables[i]
        let entry = Entry(
          rows: rows, embedder: embedder,
          statistics: RowStatistics(sortedGrams: grams, modulus: Modulus(embedder.modulus)))
        found.withLock { $0[i] = entry }
      }
      entries += found.withLock { $0.compactMap { $0 } }
    }
    self.entries = entries
  }

  /// For each order from 2 the exact ids of all positions, ascending.
  private static func sortedGrams(
    _ source: TextTokens, order: Int, _ pool: WorkerPool
  ) throws -> [[UInt64]] {
    let exact = try ExactGrams(vocabulary: source.vocabulary, order: order)
    let loaded = try source.set.load(pool: pool)
    var grams = [[UInt64]](repeating: [], count: order - 1)
    for document in 0..<loaded.documents {
      let tokens = loaded.integers(column: 0, rows: loaded.rows(ofDocument: document))
        .map(UInt32.init)
      var shorter = tokens.dropLast().map(UInt64.init)
      for o in 2...order {
        var ids = [UInt64](repeating: 0, count: shorter.count)
        var span = ids.mutableSpan
        exact.extend(to: o, tokens: tokens.span, shorter: shorter.span, into: &span)
        grams[o - 2] += ids
        shorter = ids
      }
    }
    let unsorted = grams
    let sorted = Mutex(grams)
    pool.forEach(0..<unsorted.count) { _, i in
      let part = unsorted[i].sorted()
      sorted.withLock { $0[i] = part }
    }
    return sorted.withLock { $0 }
  }

  /// All numbers.
  package var value: ConfigValue {
    [
      "tokens": .string(source.set.id), "vocabulary": .integer(source.vocabulary),
      "moduli": .string(moduli.rawValue), "slices": .integer(slices),
      "tables": .array(entries.map(Self.value)),
    ]
  }

  private static func value(_ entry: Entry) -> ConfigValue {
    let s = entry.statistics
    return [
      "rows": .integer(entry.rows), "order": .integer(entry.embedder.order),
      "slice": .integer(entry.embedder.slice), "modulus": .integer(entry.embedder.modulus),
      "positions": .integer(s.positions), "distinctGrams": .integer(s.distinctGrams),
      "rowsUsed": .integer(s.rowsUsed), "collidingGrams": .integer(s.collidingGrams),
      "collidingPositions": .integer(s.collidingPositions),
      "minorityPositions": .integer(s.minorityPositions),
      "updatesPerUsedRow": .array(s.updatesPerUsedRow.map(ConfigValue.integer)),
      "updatesPerPosition": .array(s.updatesPerPosition.map(ConfigValue.integer)),
    ]
  }

  /// A line a table, for people.
  package var table: String {
    var lines = [
      ["order", "slice", "modulus", "distinct", "used", "colliding", "minority", "per row"]
        + ["per position"]
    ]
    for entry in entries {
      let s = entry.statistics
      func share(_ count: Int) -> String {
        let tenths = s.positions == 0 ? 0 : count * 1000 / s.positions
        return "\(tenths / 10).\(tenths % 10) %"
      }
      lines.append([
        "\(entry.embedder.order)", "\(entry.embedder.slice)", "\(entry.embedder.modulus)",
        "\(s.distinctGrams)", "\(s.rowsUsed)", share(s.collidingPositions),
        share(s.minorityPositions),
        s.updatesPerUsedRow.dropFirst().dropLast().map(String.init).joined(separator: "/"),
        s.updatesPerPosition.dropFirst().dropLast().map(String.init).joined(separator: "/"),
      ])
    }
    let widths = lines[0].indices.map { c in lines.reduce(0) { max($0, $1[c].count) } }
    return lines.map { line in
      zip(line, widths).map { String(repeating: " ", count: $1 - $0.count) + $0 }
        .joined(separator: "  ")
    }.joined(separator: "\n")
  }
}
