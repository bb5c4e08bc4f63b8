/// A parameter as operations hold it: where it lies in every flat array of the store.
package struct Parameter: Hashable, Sendable {
  package let id: Int
  let offset: Int
  package let count: Int
}

/// How a parameter starts.
package enum Initializer: Sendable, Equatable {
  case zeros
  case ones
  case constant(Double)
  /// Independent normal draws of mean 0 and this standard deviation, from a stream named after the
  /// parameter: adding a layer changes no other draw.
  case normal(Double)
}

/// A named array in the store.
package struct ParameterSlot: Sendable, Equatable {
  /// The name that Hugging Face's GPT-2 gives it, where it has one.
  package let name: String
  package let shape: [Int]
  /// First float in the flat arrays; a multiple of 16.
  package let offset: Int
  package let count: Int
  /// Whether AdamW decays it: matrices and tables do, biases and norms do not.
  package let decay: Bool
  package let initializer: Initializer

  package var range: Range<Int> { offset..<offset + count }
}

/// Names, shapes and places of all parameters of a model.
package struct ParameterLayout: Sendable, Equatable {
  package private(set) var slots: [ParameterSlot] = []
  /// Tables outside of the flat arrays, in the order of their columns of ids.
  package private(set) var tables: [TableSlot] = []
  /// Floats of a flat array, alignment gaps included.
  package private(set) var count = 0
  /// The place of each slot among `slots`.
  private var numbers: [String: Int] = [:]

  package init() {}

  /// Number of parameters, without gaps, tables included.
  package var parameterCount: Int {
    slots.reduce(0) { $0 + $1.count } + tables.reduce(0) { $0 + $1.count }
  }

  package func slot(named name: String) -> ParameterSlot? { numbers[name].map { slots[$0] } }

  /// The slot of that name as operations hold it.
  func parameter(named name: String) -> Parameter? {
    slots.firstIndex { $0.name == name }.map {
      Parameter(id: $0, offset: slots[$0].offset, count: slots[$0].count)
    }
  }

  /// Whether all slots and tables of `other` are among these: a store of this layout serves a model
  /// of that one.
  package func has(_ other: ParameterLayout) -> Bool {
    other.slots.allSatisfy { slot(named: $0.name)?.shape == $0.shape }
      && other.tables.allSatisfy { table in
        tables.contains { $0.name == table.name && $0.shape == table.shape }
      }
  }

  /// First float in arrays of this layout of each slot of `other`, which it has.
  func offsets(of other: ParameterLayout) -> [Int] {
    other.slots.map { slot in
      guard let own = self.slot(named: slot.name) else {
        preconditionFailure("no parameter \(slot.name) in the store")
      }
      return own.offset
    }
  }

  mutating func add(_ name: String, _ shape: [Int], _ initializer: Initializer, decay: Bool)
    -> Parameter
  {
    precondition(slot(named: name) == nil, "parameter \(name) is declared twice")
    let size = shape.reduce(1, *)
    let slot = ParameterSlot(
      name: name, shape: shape, offset: count, count: size, decay: decay, initializer: initializer)
    numbers[name] = slots.count
    slots.append(slot)
    count += (size + 15) & ~15
    return Parameter(id: slots.count - 1, offset: slot.offset, count: size)
  }

  mutating func addTable(_ slot: TableSlot) -> Table {
    precondition(
      self.slot(named: slot.name) == nil && !tables.contains { $0.name == slot.name },
      "table \(slot.name) is declared twice")
    tables.append(slot)
    return Table(id: tables.count - 1, width: slot.width)
  }
}
