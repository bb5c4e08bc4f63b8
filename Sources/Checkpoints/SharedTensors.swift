import Engine
import Parallel

/// Tensors of which each rank has a part, by way of rank 0, which alone has the file. In the file all lies in
/// the order of the whole, so that any other number of ranks can read it; no rank ever has more of it than its
/// own part and some megabytes.
///
/// Every rank makes the same calls. What each rank has whole, rank 0 writes, and gives to the others when it
/// is read.
struct SharedTensors {
  let ranks: any Communicator

  /// Bytes of the whole that are under way at a time.
  static let pieceBytes = 1 << 23

  typealias Append = (UnsafeRawBufferPointer) throws -> Void

  // MARK: - Rows

  /// Hands rank 0 the rows of a table.
  ///
  /// - Parameters:
  ///   - rows: of the whole table, each of so many bytes.
  ///   - own: the bytes of some of this rank's rows, as it counts them; until the next call.
  func collect(
    rows: Int, of rowBytes: Int, _ share: RankShare, _ append: Append,
    own: (Range<Int>) throws -> UnsafeRawBufferPointer
  ) throws {
    let piece = piece(rows, rowBytes, share)
    let (whole, arrived) = (room(piece * rowBytes), room((piece / share.size + 1) * rowBytes))
    defer {
      whole.deallocate()
      arrived.deallocate()
    }
    for range in pieces(rows, rowBytes, share) {
      let mine = try own(share.rows(of: range.lowerBound)..<share.rows(of: range.upperBound))
      for owner in share.all {
        let held = owner.rows(of: range.lowerBound)..<owner.rows(of: range.upperBound)
        let come = part(arrived, 0..<held.count * rowBytes)
        try ranks.send(mine, from: owner.rank, to: 0, into: come)
        guard ranks.decides else { continue }
        for (i, row) in held.enumerated() {
          let place = (owner.place(of: row) - range.lowerBound) * rowBytes
          part(whole, place..<place + rowBytes).copyMemory(
            from: UnsafeRawBufferPointer(part(come, i * rowBytes..<(i + 1) * rowBytes)))
        }
      }
      if ranks.decides {
        try append(UnsafeRawBufferPointer(part(whole, 0..<range.count * rowBytes)))
      }
    }
  }

  /// Gives each rank its rows of a table.
  ///
  /// - Parameters:
  ///   - read: on rank 0, fills the bytes of the whole from an offset on.
  ///   - own: the memory of all rows of this rank.
  func scatter(
    rows: Int, of rowBytes: Int, _ share: RankShare,
    into own: UnsafeMutableRawBufferPointer,
    _ read: (_ offset: Int, _ bytes: UnsafeMutableRawBufferPointer) throws -> Void
  ) throws {
    let piece = piece(rows, rowBytes, share)
    let (whole, arrived) = (room(piece * rowBytes), room((piece / share.size + 1) * rowBytes))
    defer {
      whole.deallocate()
      arrived.deallocate()
    }
    for range in pieces(rows, rowBytes, share) {
      if ranks.decides {
        try read(range.lowerBound * rowBytes, part(whole, 0..<range.count * rowBytes))
      }
      for owner in share.all {
        let held = owner.rows(of: range.lowerBound)..<owner.rows(of: range.upperBound)
        let come = part(arrived, 0..<held.count * rowBytes)
        if ranks.decides {
          for (i, row) in held.enumerated() {
            let place = (owner.place(of: row) - range.lowerBound) * rowBytes
            part(come, i * rowBytes..<(i + 1) * rowBytes).copyMemory(
              from: UnsafeRawBufferPointer(part(whole, place..<place + rowBytes)))
          }
        }
        let bytes = held.lowerBound * rowBytes..<held.upperBound * rowBytes
        let target =
          owner.rank == ranks.rank
          ? UnsafeMutableRawBufferPointer(rebasing: own[bytes])
          : UnsafeMutableRawBufferPointer(start: nil, count: 0)
        try ranks.send(UnsafeRawBufferPointer(come), from: 0, to: owner.rank, into: target)
      }
    }
  }

  /// Rows that are under way at a time.
  private func piece(_ rows: Int, _ rowBytes: Int, _ share: RankShare) -> Int {
    max(1, min(rows, max(share.size, Self.pieceBytes / max(rowBytes, 1))))
  }

  private func pieces(_ rows: Int, _ rowBytes: Int, _ share: RankShare) -> [Range<Int>] {
    let piece = piece(rows, rowBytes, share)
    return stride(from: 0, to: rows, by: piece).map { $0..<min($0 + piece, rows) }
  }

  // MARK: - Floats of a flat array

  /// Hands rank 0 the floats of one slot.
  func collect(
    _ slot: ParameterSlot, of array: ParameterArray, _ store: ParameterStore, _ append: Append
  ) throws {
    if array == .weights || store.share.isWhole {
      guard ranks.decides else { return }
      return try store.withFloats(slot, of: array) { try append(UnsafeRawBufferPointer($0)) }
    }
    let arrived = room(Self.pieceBytes)
    defer { arrived.deallocate() }
    for (owner, range) in parts(of: slot, store) {
      let come = part(arrived, 0..<4 * range.count)
      if owner == ranks.rank {
        try store.withFloats(range, of: array) {
          try ranks.send(UnsafeRawBufferPointer($0), from: owner, to: 0, into: come)
        }
      } else {
        try ranks.send(
          UnsafeRawBufferPointer(start: nil, count: 0), from: owner, to: 0, into: come)
      }
      if ranks.decides { try append(UnsafeRawBufferPointer(come)) }
    }
  }

  /// Gives each rank what it holds of the floats of one slot.
  func scatter(
    _ slot: ParameterSlot, of array: ParameterArray, _ store: ParameterStore,
    _ read: (_ offset: Int, _ bytes: UnsafeMutableRawBufferPointer) throws -> Void
  ) throws {
    if array == .weights || store.share.isWhole {
      return try store.withMutableFloats(slot, of: array) {
        let bytes = UnsafeMutableRawBufferPointer($0)
        if ranks.decides { try read(0, bytes) }
        try broadcast(bytes)
      }
    }
    let arrived = room(Self.pieceBytes)
    defer { arrived.deallocate() }
    for (owner, range) in parts(of: slot, store) {
      let come = part(arrived, 0..<4 * range.count)
      if ranks.decides { try read(4 * (range.lowerBound - slot.offset), come) }
      if owner == ranks.rank {
        try store.withMutableFloats(range, of: array) {
          try ranks.send(
            UnsafeRawBufferPointer(come), from: 0, to: owner,
            into: UnsafeMutableRawBufferPointer($0))
        }
      } else {
        try ranks.send(
          UnsafeRawBufferPointer(come), from: 0, to: owner,
          into: UnsafeMutableRawBufferPointer(start: nil, count: 0))
      }
    }
  }

  /// The owners of a slot's floats, piece by piece.
  private func parts(
    of slot: ParameterSlot, _ store: ParameterStore
  ) -> [(owner: Int, range: Range<Int>)] {
    let shares = store.share.all.map { ($0.rank, $0.part(of: store.layout.count)) }
      .sorted { $0.1.lowerBound < $1.1.lowerBound }
    return shares.flatMap { owner, part in
      let range = part.clamped(to: slot.range)
      return stride(from: range.lowerBound, to: range.upperBound, by: Self.pieceBytes / 4).map {
        (owner, $0..<min($0 + Self.pieceBytes / 4, range.upperBound))
      }
    }
  }

  /// Memory of rank 0, for the caller to deallocate.
  private func room(_ bytes: Int) -> UnsafeMutableRawBufferPointer {
    .allocate(byteCount: ranks.decides ? max(bytes, 64) : 64, alignment: 16)
  }

  /// Some bytes of such memory on rank 0, and none elsewhere.
  private func part(
    _ room: UnsafeMutableRawBufferPointer, _ bytes: Range<Int>
  ) -> UnsafeMutableRawBufferPointer {
    ranks.decides
      ? UnsafeMutableRawBufferPointer(rebasing: room[bytes])
      : UnsafeMutableRawBufferPointer(start: nil, count: 0)
  }

  /// Gives all ranks the bytes of rank 0.
  func broadcast(_ bytes: UnsafeMutableRawBufferPointer) throws {
    if ranks.size > 1 && !bytes.isEmpty { try ranks.broadcast(bytes, from: 0) }
  }
}
