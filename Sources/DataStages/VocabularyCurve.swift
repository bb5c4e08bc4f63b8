import Parallel
import Support
import Tokenization

/// How a vocabulary meets a corpus as it grows, as a CSV of `VocabularyStatistics`.
package enum VocabularyCurve {
  /// Encodes a corpus and counts n-grams of tokens up to `orders`.
  ///
  /// - Parameter tokenizer: what the first column says.
  package static func csv(
    of corpus: Corpus, _ model: BytePairModel, tokenizer: String, orders: Int, threads: Int
  ) throws -> String {
    let encoder = BatchEncoder(
      model, pool: WorkerPool(threads: threads), findsSpecialTokens: false)
    let reader = CorpusReader(corpus)
    var statistics = VocabularyStatistics(orders: orders)
    while let block = try reader.next() {
      block.withViews { views in
        for group in encoder.encode(views) {
          var start = 0
          for (document, count) in zip(group.documents, group.counts) {
            statistics.add(
              UnsafeBufferPointer(start: group.buffer.base + start, count: count),
              bytes: views[document].count)
            start += count
          }
        }
      }
    }
    let name = field(tokenizer)
    let lines = statistics.finish().map {
      "\(name),\($0.measure),\($0.order),\($0.tokens),\($0.value)\n"
    }
    return "tokenizer,measure,order,tokens,value\n" + lines.joined()
  }

  /// A text as a field of a CSV: in quotes, doubled inside, where it would end the field.
  static func field(_ text: String) -> String {
    let special = Array(",\"\n\r".utf8)
    guard text.utf8.contains(where: special.contains) else { return text }
    var quoted: [UInt8] = [UInt8(ascii: "\"")]
    for byte in text.utf8 {
      if byte == UInt8(ascii: "\"") { quoted.append(byte) }
      quoted.append(byte)
    }
    return String(decoding: quoted + [UInt8(ascii: "\"")], as: UTF8.self)
  }
}
