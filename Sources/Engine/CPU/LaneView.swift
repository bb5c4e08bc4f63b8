/// The integers of a lane in one space of rows.
struct RowsView {
  /// Rows, and the rows that the places of buffers are multiplied by.
  var rows: Int
  var stride: Int
  /// First float of the space's part of the arena.
  var start: Int
  /// (rows, tables).
  var inputs: UnsafeBufferPointer<Int32>
  var tables: Int
  /// (rows), counted from 0 in each segment.
  var positions: UnsafeBufferPointer<Int32>
  /// First row of each segment, and the number of rows; empty when decoding.
  var offsets: UnsafeBufferPointer<Int>
}

/// What a lane has beside its rows, and where results go.
struct LaneView {
  /// The table lookups, where the model has tables.
  var tableView: TableView?
  /// Labels of the positions: the first column, or empty.
  var labels = UnsafeBufferPointer<Int32>(start: nil, count: 0)
  /// The other columns, (columns − 1, rows).
  var furtherLabels = UnsafeBufferPointer<Int32>(start: nil, count: 0)
  /// Of each link, first element and number of rows.
  var links = UnsafePointer<UnsafeBufferPointer<Int32>>(bitPattern: 0)
  /// (rows), the cache slot of each row when decoding.
  var slots = UnsafeBufferPointer<Int32>(start: nil, count: 0)
  /// Attention caches of all layers, `cacheStride` floats each, when decoding.
  var caches = UnsafeMutableBufferPointer<Float>(start: nil, count: 0)
  var cacheStride = 0
  /// (rows), or empty: log-probability of each label.
  var labelLogProbabilities = UnsafeMutableBufferPointer<Float>(start: nil, count: 0)
  /// (rows, V), or empty: all log-probabilities.
  var logProbabilities = UnsafeMutableBufferPointer<Float>(start: nil, count: 0)
  /// (rows, columns) each: what `LentRows` reads.
  var lent = (
    UnsafeBufferPointer<Float>(start: nil, count: 0),
    UnsafeBufferPointer<Float>(start: nil, count: 0)
  )
  /// (rows, columns), or empty: what `TakenRows` leaves.
  var taken = UnsafeMutableBufferPointer<Float>(start: nil, count: 0)
}

/// Where the gradients of parameters go.
struct GradientPlace {
  var base: UnsafeMutablePointer<Float>
  /// First float of each parameter.
  var offsets: UnsafePointer<Int>
}
