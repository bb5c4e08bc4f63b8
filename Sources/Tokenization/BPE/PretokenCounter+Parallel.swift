import Parallel

extension PretokenCounter {
  private struct Crew: @unchecked Sendable { let counters: [PretokenCounter] }

  /// Counts of all documents, one counter a worker.
  package static func count(
    _ documents: DocumentViews, pattern: PretokenPattern, into counters: [PretokenCounter],
    pool: WorkerPool
  ) {
    let crew = Crew(counters: counters)
    pool.forEach(0..<documents.count) { worker, task in crew.counters[worker].add(documents[task]) }
  }

  /// Counts of all documents of a reader; memory is its block and the distinct pretokens.
  package static func count(
    _ reader: CorpusReader, pattern: PretokenPattern, pool: WorkerPool
  ) throws -> PretokenCounter {
    let counters = (0..<pool.threads).map { _ in PretokenCounter(pattern) }
    while let block = try reader.next() {
      block.withViews { count($0, pattern: pattern, into: counters, pool: pool) }
    }
    for counter in counters.dropFirst() { counters[0].merge(counter) }
    return counters[0]
  }
}
