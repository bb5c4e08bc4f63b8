import Engine
import Models
import Stores
import Support

/// What scores lanes of text: a model, with or without the rows of its f-grams from a store.
package protocol LaneScoring {
  /// log p(label) in nats for every row of every lane.
  func labelLogProbabilities(_ lanes: [PackedLane]) throws -> [[Float]]
}

extension ScoringEngine: LaneScoring {}

/// Scores lanes of a model with f-grams by the rows of a store, without its f-gram model.
///
/// The rows of all f-grams of a call are asked of the store together, each once, before the first lane runs:
/// from a disk they come side by side. With numbers in single precision the scores have the bits of the
/// model's own.
final class StoredScoring: LaneScoring {
  private let store: FGramStore
  private let engine: ScoringEngine
  private let parameters: ParameterStore
  private let capacity: Int

  /// - Parameters:
  ///   - model: with its weights loaded.
  ///   - laneCapacity: rows that a lane may have.
  ///   - lanes: that a call may have.
  init(
    _ model: EngineModel, store: FGramStore, laneCapacity: Int, lanes: Int, threads: Int
  ) {
    self.store = store
    // A position has one f-gram at most.
    capacity = max(1, min(store.set.count, laneCapacity * lanes))
    let stored = model.withStoredRows(capacity)
    parameters = stored.parameters
    engine = ScoringEngine(
      stored.configuration, parameters: parameters, laneCapacity: laneCapacity, threads: threads)
  }

  func labelLogProbabilities(_ lanes: [PackedLane]) -> [[Float]] {
    var ids: [Int] = []
    var rows: [Int: Int] = [:]
    let looking = lanes.map { lane in
      lane.lookingUp { tokens in
        guard let id = store.set.id(of: tokens.lazy.map { UInt32(bitPattern: $0) }) else {
          preconditionFailure("an f-gram that was mapped is none of the store")
        }
        if let row = rows[id] { return row }
        rows[id] = ids.count
        ids.append(id)
        return ids.count - 1
      }
    }
    precondition(ids.count <= capacity, "\(ids.count) f-grams for \(capacity) rows")
    let width = store.description.width
    var target = UnsafeMutableBufferPointer(
      rebasing: parameters.tables[0].weights[..<(ids.count * width)]
    ).mutableSpan
    store.gather(ids.span, into: &target)
    return engine.labelLogProbabilities(looking)
  }
}

extension PackedLane {
  /// The same sentences as a model with stored rows reads them: in place of the length of the f-gram 1 + its
  /// row, or 0 where there is none.
  fileprivate func lookingUp(_ row: (ArraySlice<Int32>) -> Int) -> PackedLane {
    let runs = spaces[0]
    // Of the last row of each segment.
    var found: [Int32: Int32] = [:]
    for segment in 0..<runs.segmentOffsets.count - 1 {
      let range = runs.segmentOffsets[segment]..<runs.segmentOffsets[segment + 1]
      found[Int32(range.upperBound - 1)] = Int32(row(runs.inputs[range])) + 1
    }
    var lane = PackedLane(tables: tables, capacity: rows)
    for segment in 0..<segments {
      for position in segmentOffsets[segment]..<segmentOffsets[segment + 1] {
        let id = found[links[0][position]] ?? 0
        lane.appendRow(label: labels[position]) {
          $0 == 1 ? id : inputs[position * tables + $0]
        }
      }
      lane.endSegment()
    }
    return lane
  }
}
