import Support

/// A shard or a whole set decoded in memory: columns of one element type, and where documents begin.
// Unchecked: written only while being loaded, by workers in disjoint rows; read-only afterwards.
package final class LoadedColumns: @unchecked Sendable {
  package let element: ElementType
  package let columns: [Column]
  /// Rows: elements of each column.
  package let count: Int
  /// (documents + 1); document d has the rows `documentOffsets[d]..<documentOffsets[d + 1]`.
  package let documentOffsets: [Int]
  private let storage: [UnsafeMutableRawBufferPointer]

  package var documents: Int { documentOffsets.count - 1 }

  init(layout: ShardLayout, count: Int, documentOffsets: [Int]) {
    element = layout.element
    columns = layout.columns
    self.count = count
    self.documentOffsets = documentOffsets
    storage = layout.columns.map { _ in
      .allocate(byteCount: max(64, count * layout.element.width), alignment: 64)
    }
  }

  deinit { for column in storage { column.deallocate() } }

  /// Where `rows` belong, when there is one column, so that they can be decoded in place.
  func target(rows: Range<Int>) -> UnsafeMutableRawBufferPointer? {
    guard storage.count == 1 else { return nil }
    return UnsafeMutableRawBufferPointer(
      rebasing: storage[0][rows.lowerBound * element.width..<rows.upperBound * element.width])
  }

  /// Puts a planar piece (columns, rows) in its place.
  func place(_ raw: UnsafeRawBufferPointer, rows: Range<Int>) {
    let size = rows.count * element.width
    let start = rows.lowerBound * element.width
    for (position, column) in storage.enumerated() {
      UnsafeMutableRawBufferPointer(rebasing: column[start..<start + size]).copyMemory(
        from: UnsafeRawBufferPointer(rebasing: raw[position * size..<(position + 1) * size]))
    }
  }

  /// The rows of document `d`.
  package func rows(ofDocument d: Int) -> Range<Int> {
    documentOffsets[d]..<documentOffsets[d + 1]
  }

  /// The position of the column called `name`.
  /// - Throws: `UserError` that lists the columns there are.
  package func column(_ name: String) throws -> Int {
    guard let position = columns.firstIndex(where: { $0.name == name }) else {
      throw UserError(
        "column '\(name)'", expected: "one of \(columns.map(\.name).joined(separator: ", "))",
        found: "no such column")
    }
    return position
  }

  /// Column `c` as its own type: (count). Valid as long as this object lives.
  /// - Precondition: `T` is the set's element type.
  package func buffer<T: ShardElement>(_ c: Int, as type: T.Type) -> UnsafeBufferPointer<T> {
    precondition(T.elementType == element, "column of \(element) read as \(T.self)")
    return UnsafeRawBufferPointer(rebasing: storage[c][..<(count * element.width)])
      .bindMemory(to: T.self)
  }

  /// `rows` of column `c` as bytes; valid as long as this object lives.
  func raw(column c: Int, rows: Range<Int>) -> UnsafeRawBufferPointer {
    let width = element.width
    return UnsafeRawBufferPointer(
      rebasing: storage[c][rows.lowerBound * width..<rows.upperBound * width])
  }

  /// Copies `rows` of column `c` to `output`, widened to `T`.
  /// - Precondition: a column of integers; `output.count == rows.count`; values fit `T`.
  package func copy<T: FixedWidthInteger>(
    column c: Int, rows: Range<Int>, into output: inout MutableSpan<T>
  ) {
    precondition(output.count == rows.count, "\(rows.count) rows into \(output.count) places")
    func copy<S: ShardElement & FixedWidthInteger>(_ type: S.Type, _ output: inout MutableSpan<T>) {
      let source = buffer(c, as: type).span.extracting(rows)
      for i in 0..<source.count { output[i] = T(source[i]) }
    }
    switch element {
    case .u8: copy(UInt8.self, &output)
    case .u16: copy(UInt16.self, &output)
    case .u32: copy(UInt32.self, &output)
    case .u64: copy(UInt64.self, &output)
    case .f64: preconditionFailure("column '\(columns[c].name)' holds f64, not integers")
    }
  }

  /// `rows` of column `c` as integers.
  package func integers(column c: Int, rows: Range<Int>) -> [Int] {
    [Int](unsafeUninitializedCapacity: rows.count) { buffer, filled in
      var output = UnsafeMutableBufferPointer(rebasing: buffer[..<rows.count]).mutableSpan
      copy(column: c, rows: rows, into: &output)
      filled = rows.count
    }
  }
}
