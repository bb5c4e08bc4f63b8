import Engine
import Grammar
import NGrams
import Support
import Training

/// Sentences of token ids, x₀ … x_T each: T predicted positions, input x_t and label x_{t+1}.
///
/// The file that both sides of a comparison read: 32-bit little-endian integers, the number of
/// sentences, the number of ids of each, then all ids.
package struct Sentences: Sendable, Equatable {
  package let ids: [Int32]
  /// First id of each sentence, and the number of ids.
  package let offsets: [Int]

  package var count: Int { offsets.count - 1 }

  package init(_ sentences: [[Int32]]) {
    ids = sentences.flatMap { $0 }
    offsets = sentences.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1.count) }
  }

  /// Predicted positions of a sentence.
  package func rows(_ sentence: Int) -> Int { offsets[sentence + 1] - offsets[sentence] - 1 }

  package var longest: Int { (0..<count).map(rows).max() ?? 0 }

  /// Mean place of a predicted position in its sentence, from 1.
  package var meanPosition: Double {
    let lengths = (0..<count).map { Double(rows($0)) }
    let sum = lengths.reduce(0, +)
    return sum == 0 ? 0 : lengths.reduce(0) { $0 + $1 * ($1 + 1) / 2 } / sum
  }

  // MARK: - Making

  /// `count` sentences of `length` + 1 ids below V = `vocabulary` that a model can learn to predict:
  /// three times in four x_{t+1} = (5·x_t + 3) mod V, else a uniform draw.
  package static func random(count: Int, length: Int, vocabulary: Int, seed: UInt64) -> Sentences {
    let stream = RandomStream(seed: seed, name: "benchmark")
    return Sentences(
      (0..<count).map { index in
        var random = stream.at(index: UInt64(index))
        var id = 0
        return (0...length).map { _ in
          id =
            random.below(4) > 0
            ? (5 * id + 3) % vocabulary : Int(random.below(UInt32(vocabulary)))
          return Int32(id)
        }
      })
  }

  /// The first `count` sentences of a grammar as character tokens: 0 begins, 1 ends, and the
  /// terminals follow in the order of their values.
  package static func sampled(_ grammar: Grammar, count: Int, seed: UInt64) -> Sentences {
    let sampler = SentenceSampler(grammar, seed: seed, stream: "benchmark")
    var code = [Int32](repeating: 0, count: 256)
    for (index, terminal) in grammar.levels[0].sorted().enumerated() {
      code[terminal] = Int32(2 + index)
    }
    return Sentences(
      (0..<count).map { index in
        var symbols: [UInt8] = []
        sampler.appendSentence(UInt64(index), to: &symbols)
        return [0] + symbols.map { code[Int($0)] } + [1]
      })
  }

  // MARK: - Files

  package init(path: String) throws {
    let bytes = try FileBytes.read(path)
    let broken = UserError(
      path, expected: "32-bit integers: sentences, ids of each, all ids",
      found: "\(bytes.count) bytes that are not", remedy: "Write it with ott-bench tokens.")
    guard bytes.count % 4 == 0, bytes.count >= 4 else { throw broken }
    let words = bytes.withUnsafeBytes { raw in
      (0..<raw.count / 4).map {
        Int32(littleEndian: raw.loadUnaligned(fromByteOffset: 4 * $0, as: Int32.self))
      }
    }
    let count = Int(words[0])
    guard count >= 0, words.count > count, words[1..<1 + count].allSatisfy({ $0 >= 2 }) else {
      throw broken
    }
    offsets = words[1..<1 + count].reduce(into: [0]) { $0.append($0[$0.count - 1] + Int($1)) }
    ids = Array(words[(1 + count)...])
    guard ids.count == offsets[count] else { throw broken }
  }

  package func write(to path: String) throws {
    let lengths = (0..<count).map { Int32(offsets[$0 + 1] - offsets[$0]) }
    let words = [Int32(count)] + lengths + ids
    try AtomicFile.write(
      words.flatMap { word in withUnsafeBytes(of: word.littleEndian) { Array($0) } }, to: path)
  }

  // MARK: - Batches

  /// The sentences `first ..< first + batch`, counted round and round, cut into lanes as the trainer
  /// cuts them; with the rows of over-encoding tables behind the token where there is a `mapper`, and
  /// labels of further heads so many tokens `ahead`.
  package func lanes(
    from first: Int, batch: Int, lanes count: Int, mapper: OverEncodingMapper? = nil,
    ahead: [Int] = []
  ) -> [PackedLane] {
    let members = (0..<batch).map { (first + $0) % self.count }
    var assignment = LaneAssignment(lanes: count, batchSequences: batch)
    assignment.assign(lengths: members.map(rows))
    let embedders = mapper?.layout.embedders.count ?? 0
    return assignment.sentences.map { places in
      var lane = PackedLane(tables: 1 + embedders, ahead: ahead)
      for place in places {
        let span = offsets[members[place]]..<offsets[members[place] + 1]
        let columns = mapper.map { tableRows(ids[span], $0) } ?? []
        for (t, id) in ids[span].dropLast().enumerated() {
          lane.appendRow(label: ids[span.lowerBound + t + 1]) { $0 == 0 ? id : columns[$0 - 1][t] }
        }
        lane.endSegment()
      }
      return lane
    }
  }

  /// The rows of a sentence in each table.
  private func tableRows(_ sentence: ArraySlice<Int32>, _ mapper: OverEncodingMapper) -> [[Int32]] {
    let tokens = sentence.map { UInt32(bitPattern: $0) }
    var sums = [UInt64](repeating: 0, count: tokens.count)
    return mapper.layout.embedders.indices.map { embedder in
      var rows = [UInt32](repeating: 0, count: tokens.count)
      var target = rows.mutableSpan
      var scratch = sums.mutableSpan
      mapper.mapRows(embedder: embedder, tokens: tokens.span, sums: &scratch, into: &target)
      return rows.map { Int32(bitPattern: $0) }
    }
  }
}
