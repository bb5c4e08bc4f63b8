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
}
