import Kernels
import Support

/// A set of rows that tensors are made of: the lane's positions, the distinct f-grams of a batch,
/// routed (token, expert) slots. Tensors of one operation may lie in different spaces; their numbers
/// of rows are known only when a lane comes.
package struct RowSpace: Hashable, Sendable {
  package let id: Int

  /// The lane's positions, which labels and losses belong to.
  package static let positions = RowSpace(id: 0)
}

/// How many rows a space has.
package enum RowCount: Sendable, Equatable {
  /// As many as the lane brings: see `PackedLane.spaces`.
  case given
  /// So many for each row of another space.
  case multiple(of: RowSpace, Int)
}

/// For every row of space `from` the row of space `to` that it stands for, or none; the lane brings
/// them: see `PackedLane.links`.
package struct RowLink: Hashable, Sendable {
  package let id: Int
  package let from: RowSpace
  package let to: RowSpace

  /// A row that stands for no row of the other space.
  package static let none: Int32 = -1
}

/// An activation: (rows of its space, columns) floats.
package struct Tensor: Hashable, Sendable {
  package let id: Int
  package let columns: Int
  package let space: RowSpace
}

/// What a graph is traced for.
package enum GraphMode: Sendable, Equatable {
  /// Packed sentences, losses and gradients.
  case training
  /// Packed sentences, log-probabilities only.
  case scoring
  /// One row per live sequence, attention over caches of `context` positions.
  case decoding(context: Int)

  package var isDecoding: Bool {
    if case .decoding = self { true } else { false }
  }
}

/// A per-row loss that training minimises, weighted: Σ over losses of weight · (mean over the rows
/// that count). The first one is the next-token loss, which is reported alone.
package struct Loss: Hashable, Sendable {
  /// What metrics, checkpoints and reports call it.
  package let name: String
  /// (rows, 1) in nats, 0 on rows that do not count.
  package let tensor: Tensor
  package let weight: Double
}

/// The bounds that scratch and buffers are laid out for.
package struct Limits: Sendable, Equatable {
  /// Rows of a space.
  package struct Rows: Sendable, Equatable {
    package var rows: Int
    /// Rows of its longest segment.
    package var segment: Int
    /// Columns of its ids; the lane's own for the positions.
    package var tables: Int

    package init(rows: Int, segment: Int, tables: Int = 0) {
      (self.rows, self.segment, self.tables) = (rows, segment, tables)
    }
  }

  /// Rows of a lane.
  package var rows: Int
  /// Rows of its longest sentence.
  package var segment: Int
  /// Of the matrix products.
  package var precision: Precision
  /// Of the spaces whose rows the lane brings, in the order of their declaration.
  package var given: [Rows]

  package init(
    rows: Int, segment: Int, precision: Precision = .float32, given: [Rows] = []
  ) {
    (self.rows, self.segment, self.precision, self.given) = (rows, segment, precision, given)
  }
}
