extension ShardSet {
  /// Calls `body` with the pieces of the set that together are documents `range`, in order: a decoded
  /// shard and the documents of it that belong to the range. One shard is in memory at a time, so a
  /// stage that writes shards of as many documents as its input has reads each input shard once.
  package func forEachPiece(
    ofDocuments range: Range<Int>, _ body: (LoadedColumns, Range<Int>) throws -> Void
  ) throws {
    precondition(range.lowerBound >= 0 && range.upperBound <= documents, "documents out of range")
    var first = 0
    for (i, record) in shards.enumerated() {
      let piece = range.clamped(to: first..<first + record.documents)
      if !piece.isEmpty {
        try body(try load(shard: i), piece.lowerBound - first..<piece.upperBound - first)
      }
      first += record.documents
    }
  }

  /// The documents of output shard `i` when each holds `documentsPerShard` of them.
  package func documents(ofShard i: Int, documentsPerShard: Int) -> Range<Int> {
    min(documents, i * documentsPerShard)..<min(documents, (i + 1) * documentsPerShard)
  }
}
