import Engine
import Support

/// The integers of a batch on the device: all lanes laid end to end.
package struct DeviceBatch {
  /// By space, the positions first.
  private let spaces: [DeviceRows]
  /// (positions) for each column of labels.
  let labels: [DeviceTensor]
  /// Rows of each lane.
  let lanes: [Int]
  let links: [DeviceLink]

  /// - Throws: `UserError` where the device has no room.
  init(_ lanes: [PackedLane], _ plan: Plan, _ library: TorchLibrary) throws {
    self.lanes = lanes.map(\.rows)
    let tables = lanes.first?.tables ?? 1
    let positions = try DeviceRows(
      lanes.map { ($0.rows, $0.inputs, $0.segmentOffsets) }, tables: tables, library)
    spaces =
      try [positions]
      + plan.spaces.indices.map { space in
        try DeviceRows(
          lanes.map {
            ($0.spaces[space].rows, $0.spaces[space].inputs, $0.spaces[space].segmentOffsets)
          },
          tables: lanes.first?.spaces[space].tables ?? 0, library)
      }
    let columns = 1 + plan.operations.reduce(0) { max($0, $1.countedLabels ?? 0) }
    labels = try (0..<columns).map { number in
      let values = lanes.flatMap { number == 0 ? $0.labels : $0.furtherLabels[number - 1] }
      return try .copy(ofNumbers: values.map(Int64.init), [values.count], library)
    }
    let counts = spaces.map(\.lanes)
    links = try plan.links.map { link in
      try DeviceLink(lanes.map { $0.links[link.id] }, to: counts[link.to.id], library)
    }
  }

  /// New rows behind those of sequences.
  ///
  /// - Parameters:
  ///   - inputs: (rows, `tables`) row ids.
  ///   - positions: the place of each row in its sequence.
  init(inputs: [Int32], tables: Int, positions: [Int], _ library: TorchLibrary) throws {
    lanes = [positions.count]
    spaces = [try DeviceRows(inputs: inputs, tables: tables, positions: positions, library)]
    (labels, links) = ([], [])
  }

  subscript(_ space: RowSpace) -> DeviceRows { spaces[space.id] }
  var positions: DeviceRows { spaces[0] }
}

/// The rows of one space.
struct DeviceRows {
  let count: Int
  /// Rows of each lane.
  let lanes: [Int]
  /// (count) each: the row ids in each input table.
  let inputs: [DeviceTensor]
  /// (count): the place of each row in its sentence.
  let places: DeviceTensor
  private let packed: DeviceSentences?

  var sentences: DeviceSentences {
    guard let packed else { preconditionFailure("rows of no sentences") }
    return packed
  }

  init(inputs ids: [Int32], tables: Int, positions: [Int], _ library: TorchLibrary) throws {
    count = positions.count
    lanes = [count]
    inputs = try (0..<tables).map { table in
      let column = stride(from: table, to: ids.count, by: tables).map { Int64(ids[$0]) }
      return try .copy(ofNumbers: column, [column.count], library)
    }
    places = try .copy(ofNumbers: positions.map(Int64.init), [count], library)
    packed = nil
  }

  /// - Parameter lanes: of each lane its rows, their ids (rows, `tables`) and the offsets of its sentences.
  init(
    _ lanes: [(rows: Int, inputs: [Int32], offsets: [Int])], tables: Int, _ library: TorchLibrary
  ) throws {
    self.lanes = lanes.map(\.rows)
    let count = lanes.reduce(0) { $0 + $1.rows }
    self.count = count
    inputs = try (0..<tables).map { table in
      var values: [Int64] = []
      values.reserveCapacity(count)
      for lane in lanes {
        for row in 0..<lane.rows { values.append(Int64(lane.inputs[row * tables + table])) }
      }
      return try .copy(ofNumbers: values, [count], library)
    }
    var (places, offsets): ([Int64], [Int]) = ([], [0])
    places.reserveCapacity(count)
    for lane in lanes {
      for (first, end) in zip(lane.offsets, lane.offsets.dropFirst()) {
        places.append(contentsOf: 0..<Int64(end - first))
        offsets.append(offsets[offsets.count - 1] + end - first)
      }
    }
    self.places = try .copy(ofNumbers: places, [count], library)
    packed = try DeviceSentences(offsets: offsets, library)
  }
}

/// What rows of one space stand for in another.
struct DeviceLink {
  /// Rows of the space that is linked to.
  let count: Int
  /// The row that each row stands for: of none, row 0.
  let rows: DeviceTensor
  /// The same: of none, the row behind the last.
  let rowsOrEnd: DeviceTensor
  /// (rows, 1): 1 where a row stands for one, else 0; and the other way round.
  let mask, rest: DeviceTensor

  /// - Parameter target: rows of each lane in the space that is linked to.
  init(_ lanes: [[Int32]], to target: [Int], _ library: TorchLibrary) throws {
    var (rows, first): ([Int64], Int) = ([], 0)
    for (lane, count) in zip(lanes, target) {
      rows += lane.map { $0 == RowLink.none ? -1 : Int64(first) + Int64($0) }
      first += count
    }
    let end = Int64(first)
    count = first
    self.rows = try .copy(ofNumbers: rows.map { max($0, 0) }, [rows.count], library)
    rowsOrEnd = try .copy(ofNumbers: rows.map { $0 < 0 ? end : $0 }, [rows.count], library)
    mask = try .copy(of: rows.map { $0 < 0 ? 0 : 1 }, [rows.count, 1], library)
    rest = try .copy(of: rows.map { $0 < 0 ? 1 : 0 }, [rows.count, 1], library)
  }
}

/// The sentences of a space as attention reads them.
struct DeviceSentences {
  /// Sentences of about one length, side by side.
  struct Group {
    /// S and T.
    let count, length: Int
    /// (S·T): the row of each place; behind the end of a sentence its first row again.
    let rows: DeviceTensor
    /// (S·T, 1): 0 behind the end of a sentence, else 1; nil where no sentence is shorter.
    let mask: DeviceTensor?
  }

  /// First row of each sentence, then the number of rows.
  let offsets: [Int]
  /// Longest first. In each no sentence is shorter than seven eighths of the longest.
  let groups: [Group]
  /// (N): each row's place among those of all groups, one behind the other.
  let places: DeviceTensor
  /// Whether the places are the rows as they lie: all sentences are of one length.
  let areInPlace: Bool
  /// (sentences + 1) in 32 bits.
  let starts: DeviceTensor

  var longest: Int { groups.first?.length ?? 0 }

  init(offsets: [Int], _ library: TorchLibrary) throws {
    self.offsets = offsets
    let lengths = zip(offsets.dropFirst(), offsets).map { $0 - $1 }
    let order = lengths.indices.sorted { (lengths[$1], $0) < (lengths[$0], $1) }
    var (groups, places): ([Group], [Int64]) = ([], Array(repeating: 0, count: offsets.last ?? 0))
    var (first, start) = (0, 0)
    while first < order.count {
      let T = lengths[order[first]]
      let members = order[first...].prefix { 8 * lengths[$0] >= 7 * T }
      var (rows, mask): ([Int64], [Float]) = ([], [])
      for sentence in members {
        for place in 0..<T {
          let isInside = place < lengths[sentence]
          if isInside { places[offsets[sentence] + place] = Int64(start + rows.count) }
          rows.append(Int64(offsets[sentence] + (isInside ? place : 0)))
          mask.append(isInside ? 1 : 0)
        }
      }
      groups.append(
        Group(
          count: members.count, length: T,
          rows: try DeviceTensor.copy(ofNumbers: rows, [rows.count], library),
          mask: mask.contains(0) ? try DeviceTensor.copy(of: mask, [mask.count, 1], library) : nil))
      start += rows.count
      first += members.count
    }
    self.groups = groups
    self.places = try DeviceTensor.copy(ofNumbers: places, [places.count], library)
    areInPlace = groups.count == 1 && groups[0].mask == nil
    starts = try DeviceTensor.copy(ofNumbers: offsets.map(Int64.init), [offsets.count], library)
      .cast(to: .int32)
  }
}
