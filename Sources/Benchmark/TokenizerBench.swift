import Parallel
import Support
import Tokenization

/// Times the tokenizer on documents held in memory, as its peers are timed.
package struct TokenizerBench {
  private let bytes: [UInt8]
  private let offsets: [Int]
  private let pool: WorkerPool

  /// - Parameter documents: zero-terminated texts; empty ones are no documents.
  package init(documents: [UInt8], threads: Int) {
    var bytes: [UInt8] = []
    var offsets = [0]
    bytes.reserveCapacity(documents.count)
    for document in documents.split(separator: 0) {
      bytes.append(contentsOf: document)
      offsets.append(bytes.count)
    }
    self.bytes = bytes
    self.offsets = offsets
    pool = WorkerPool(threads: threads)
  }

  package struct EncodingPass {
    package let seconds: Double
    /// How many ids, and bytes of the encoder's cache afterwards.
    package let ids, cacheBytes: Int
  }

  /// The ids of the last pass, and how many each document has.
  package struct Encoded {
    package fileprivate(set) var ids: [UInt32] = []
    package fileprivate(set) var counts: [UInt64] = []
  }

  /// Encodes the documents `passes` times with one encoder; only the first pass is cold.
  ///
  /// - Parameter report: called after each pass.
  package func encode(
    _ model: BytePairModel, passes: Int, findsSpecialTokens: Bool,
    report: (_ pass: Int, EncodingPass) throws -> Void
  ) rethrows -> Encoded {
    let encoder = BatchEncoder(model, pool: pool, findsSpecialTokens: findsSpecialTokens)
    return try bytes.withUnsafeBufferPointer { bytes in
      let views = DocumentViews(bytes, offsets: offsets)
      var groups: [BatchEncoder.Group] = []
      for pass in 0..<passes {
        groups = []
        let seconds = Self.seconds { groups = encoder.encode(views) }
        try report(
          pass,
          EncodingPass(
            seconds: seconds, ids: groups.reduce(0) { $0 + $1.buffer.count },
            cacheBytes: encoder.cacheBytes))
      }
      var encoded = Encoded()
      for group in groups {
        encoded.ids += UnsafeBufferPointer(start: group.buffer.base, count: group.buffer.count)
        encoded.counts += group.counts.map { UInt64($0) }
      }
      return encoded
    }
  }

  package struct TrainingRun {
    /// Of the whole run, and of counting pretokens.
    package let seconds, countingSeconds: Double
    package let pretokens: Int
    package let trained: TrainedTokenizer
  }

  /// Trains once.
  package func train(_ training: BytePairTraining) throws -> TrainingRun {
    try bytes.withUnsafeBufferPointer { bytes in
      let views = DocumentViews(bytes, offsets: offsets)
      let start = Host.monotonicSeconds
      let counters = (0..<pool.threads).map { _ in PretokenCounter(training.pattern) }
      let counting = Self.seconds {
        PretokenCounter.count(views, pattern: training.pattern, into: counters, pool: pool)
        for counter in counters.dropFirst() { counters[0].merge(counter) }
      }
      let trained = try BytePairTrainer.train(training, on: counters[0])
      return TrainingRun(
        seconds: Host.monotonicSeconds - start, countingSeconds: counting,
        pretokens: counters[0].distinct, trained: trained)
    }
  }

  package struct Reading {
    /// Of CPU.
    package let seconds: Double
    /// Of the part that was read.
    package let documents: Int
    package let bytes: Int
  }

  /// Reads a corpus from its files, once.
  package static func read(_ corpus: Corpus, split: Bool) throws -> Reading {
    let start = Host.threadSeconds
    let reader = CorpusReader(corpus, split: split ? CorpusSplit(validation: 0.01) : nil)
    var (documents, bytes) = (0, 0)
    while let block = try reader.next() {
      documents += block.count
      bytes += block.bytes.count
    }
    return Reading(
      seconds: Host.threadSeconds - start, documents: documents, bytes: bytes)
  }

  private static func seconds(_ body: () throws -> Void) rethrows -> Double {
    let start = Host.monotonicSeconds
    try body()
    return Host.monotonicSeconds - start
  }
}
