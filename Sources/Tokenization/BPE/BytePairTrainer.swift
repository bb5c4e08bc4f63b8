import Support

/// What byte-pair training is asked for.
package struct BytePairTraining: Sendable {
  package var vocabularySize: Int
  package var pattern: PretokenPattern
  /// Get the first ids, in this order.
  package var specialTokens: [String]
  /// Pairs that occur less often are not merged.
  package var minimumCount: Int64

  package init(
    vocabularySize: Int, pattern: PretokenPattern, specialTokens: [String] = [],
    minimumCount: Int64 = 1
  ) {
    self.vocabularySize = vocabularySize
    self.pattern = pattern
    self.specialTokens = specialTokens
    self.minimumCount = minimumCount
  }

  /// Throws when the vocabulary has no room for the 256 bytes and the special tokens, of which those
  /// that are single bytes count once.
  package func validate() throws {
    let others = specialTokens.count { ByteAlphabet.bytes(of: $0)?.count != 1 }
    let least = 256 + others
    if vocabularySize < least {
      throw UserError(
        "the vocabulary is smaller than its alphabet",
        expected: "at least \(least) (256 bytes, \(others) other special tokens)",
        found: "\(vocabularySize)", remedy: "Ask for a larger vocabulary.")
    }
    if vocabularySize > 1 << 24 {
      throw UserError("a vocabulary of \(vocabularySize) tokens", expected: "at most \(1 << 24)")
    }
    if Set(specialTokens.map { Array($0.utf8) }).count < specialTokens.count
      || specialTokens.contains("")
    {
      throw UserError("special tokens must differ and not be empty")
    }
  }
}

/// Learns merges from pretoken counts: the same merges in the same order as the trainer of Hugging
/// Face `tokenizers` with the 256 bytes as its initial alphabet.
///
/// The most frequent pair is merged next, ties going to the lower left id, then the lower right id.
/// Kept as there: a pair whose joined bytes are a token already merges into that token; each time a
/// pair gains occurrences it is queued again together with the words of these alone; and the count
/// of a merged pair is not cleared. A special token that the byte alphabet can spell is also the token
/// of these bytes: training does not make it a second time. Unlike there, occurrences are addressed by place, not by word:
/// the work is in proportion to the occurrences merged. Counts are 64 bits wide.
package struct BytePairTrainer {
  private static let separator = UInt32.max
  private static let dead = UInt32.max - 1

  private let training: BytePairTraining
  /// Symbols of all distinct pretokens, separators between them; a symbol's span is in `lengths`
  /// at its first and last place, and the rest of the span is dead.
  private var symbols: [UInt32] = [separator]
  private var lengths: [UInt32] = [1]
  private var wordOfPlace: [UInt32] = [0]
  private var wordStarts: [UInt32] = []
  private var wordCounts: [Int64] = []
  private var pairs = PairCounts()
  private var queue = PairQueue()
  /// Places of pair occurrences; a queue entry owns a range of them.
  private var places: [UInt32] = []
  private var gained: [(pair: Int32, place: UInt32)] = []
  private var touched: [Int32] = []
  private var tokens: [[UInt8]]
  private var ids: [[UInt8]: UInt32] = [:]
  private var merges: [(left: UInt32, right: UInt32)] = []

  private init(_ training: BytePairTraining) throws {
    try training.validate()
    self.training = training
    tokens = training.specialTokens.map { Array($0.utf8) }
    for (id, special) in training.specialTokens.enumerated() {
      guard let bytes = ByteAlphabet.bytes(of: special) else { continue }
      tokens[id] = bytes
      ids[bytes] = UInt32(id)
    }
    // Hugging Face sorts the alphabet by the characters that stand for the bytes.
    for byte in (0...255).sorted(by: {
      ByteAlphabet.scalarOfByte[$0].value < ByteAlphabet.scalarOfByte[$1].value
    }) where ids[[UInt8(byte)]] == nil {
      ids[[UInt8(byte)]] = UInt32(tokens.count)
      tokens.append([UInt8(byte)])
    }
  }

  /// Trains on counted pretokens. `progress` is told the number of tokens now and then.
  package static func train(
    _ training: BytePairTraining, on counts: PretokenCounter, progress: (Int) -> Void = { _ in }
  ) throws -> TrainedTokenizer {
    var trainer = try BytePairTrainer(training)
    try trainer.layOut(counts)
    trainer.countPairs()
    while trainer.tokens.count < training.vocabularySize, trainer.mergeNext() {
      if trainer.merges.count % 1024 == 0 { progress(trainer.tokens.count) }
    }
    return TrainedTokenizer(
      training: training, tokens: trainer.tokens, merges: trainer.merges)
  }

  private mutating func layOut(_ counts: PretokenCounter) throws {
    let first = UInt32(training.specialTokens.count)
    let byteIds = (0...255).map { ids[[UInt8($0)]] ?? first }
    var total = 1
    counts.forEach { bytes, _ in total += bytes.count + 1 }
    if total >= Int(Self.dead) {
      throw UserError(
        "the distinct pretokens have \(total) bytes", expected: "fewer than \(Self.dead)",
        remedy: "Use a pre-tokenizer pattern or a smaller corpus.")
    }
    symbols.reserveCapacity(total)
    wordOfPlace.reserveCapacity(total)
    counts.forEach { bytes, count in
      let word = UInt32(wordCounts.count)
      wordStarts.append(UInt32(symbols.count))
      wordCounts.append(Int64(count))
      for byte in bytes {
        symbols.append(byteIds[Int(byte)])
        wordOfPlace.append(word)
      }
      symbols.append(Self.separator)
      wordOfPlace.append(word)
    }
    lengths = [UInt32](repeating: 1, count: symbols.count)
  }

  private mutating func countPairs() {
    for place in 1..<max(1, symbols.count - 1)
    where symbols[place] != Self.separator && symbols[place + 1] != Self.separator {
      gain(
        pairs.find(symbols[place], symbols[place + 1]), place, wordCounts[Int(wordOfPlace[place])])
    }
    enqueueGained()
  }

  @inline(__always)
  private mutating func gain(_ pair: Int, _ place: Int, _ count: Int64) {
    pairs.entries[pair].count &+= count
    if pairs.entries[pair].gained == 0 { touched.append(Int32(pair)) }
    pairs.entries[pair].gained &+= 1
    gained.append((Int32(truncatingIfNeeded: pair), UInt32(truncatingIfNeeded: place)))
  }

  /// Queues the pairs that gained occurrences, each with the places of these in order.
  private mutating func enqueueGained() {
    var next = places.count
    for pair in touched {
      pairs.entries[Int(pair)].next = next
      next += Int(pairs.entries[Int(pair)].gained)
    }
    places.append(contentsOf: repeatElement(0, count: next - places.count))
    for item in gained {
      let at = pairs.entries[Int(item.pair)].next
      places[at] = item.place
      pairs.entries[Int(item.pair)].next = at + 1
    }
    for pair in touched {
      let entry = pairs.entries[Int(pair)]
      pairs.entries[Int(pair)].gained = 0
      pairs.entries[Int(pair)].queued &+= 1
      if entry.count > 0 {
        queue.push(
          PairQueue.Entry(
            count: entry.count, pair: entry.key, index: pair, start: entry.next - Int(entry.gained),
            number: Int(entry.gained)))
      }
    }
    gained.removeAll(keepingCapacity: true)
    touched.removeAll(keepingCapacity: true)
  }

  /// Makes the next merge; false when no pair is left that occurs often enough.
  private mutating func mergeNext() -> Bool {
    while var top = queue.pop() {
      let now = pairs.entries[Int(top.index)]
      if top.count != now.count {
        top.count = now.count
        queue.push(top)
        continue
      }
      if top.count < max(1, training.minimumCount) { return false }
      let (left, right) = (UInt32(top.pair >> 32), UInt32(truncatingIfNeeded: top.pair))
      let joined = tokens[Int(left)] + tokens[Int(right)]
      let merged = ids[joined] ?? UInt32(tokens.count)
      if merged == tokens.count {
        tokens.append(joined)
        ids[joined] = merged
      }
      merges.append((left, right))
      if now.queued > 1 {
        mergeWords(top, left, right, merged)
      } else {
        for index in top.start..<top.start + top.number {
          merge(at: Int(places[index]), left, right, merged)
        }
      }
      enqueueGained()
      return true
    }
    return false
  }

  /// Merges every occurrence in the words of a queue entry: for a pair that gained occurrences more
  /// than once, the entry's own places need not be all of them.
  private mutating func mergeWords(
    _ entry: PairQueue.Entry, _ left: UInt32, _ right: UInt32, _ merged: UInt32
  ) {
    var previous = UInt32.max
    for index in entry.start..<entry.start + entry.number {
      let word = wordOfPlace[Int(places[index])]
      if word == previous { continue }
      previous = word
      var place = Int(wordStarts[Int(word)])
      while symbols[place] != Self.separator {
        merge(at: place, left, right, merged)
        place += Int(lengths[place])
      }
    }
  }

  @inline(__always)
  private mutating func merge(
    at place: Int, _ left: UInt32, _ right: UInt32, _ merged: UInt32
  ) {
    if symbols[place] != left { return }
    let second = place + Int(lengths[place])
    if symbols[second] != right { return }
    let count = wordCounts[Int(wordOfPlace[place])]
    let after = second + Int(lengths[second])
    let before = place - Int(lengths[place - 1])
    symbols[place] = merged
    symbols[second] = Self.dead
    let span = UInt32(after - place)
    lengths[place] = span
    lengths[after - 1] = span
    if symbols[before] != Self.separator {
      pairs.entries[pairs.find(symbols[before], left)].count &-= count
      gain(pairs.find(symbols[before], merged), before, count)
    }
    if symbols[after] != Self.separator {
      pairs.entries[pairs.find(right, symbols[after])].count &-= count
      gain(pairs.find(merged, symbols[after]), place, count)
    }
  }
}
