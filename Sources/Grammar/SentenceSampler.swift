import Support

/// Draws sentences: sentence *i* is a function of (grammar, seed, stream, i) alone, so any number of
/// threads and shards gives the same bytes.
///
/// Every production is chosen exactly uniformly. To spend few draws, levels are taken several at a
/// time: for a symbol X and a lower level, an *expansion table* lists X's derivations down to that
/// level, each as often as its probability says (a symbol's table has a · lcm of its alternatives'
/// table sizes entries, a being their number), so that one uniform draw below the table's size
/// chooses a whole subtree with its exact probability. cfg3f takes its six levels two at a time, in
/// tables of 144 to 1,296 entries: 44 draws for a sentence on average.
///
/// The draws of sentence i are those of `RandomStream(seed, stream)` at index i, one `below` for each
/// symbol of the sentential form, form after form, left to right. The bytes therefore depend on
/// `tableEntries`, which is part of the format of a sample.
package struct SentenceSampler: Sendable {
  /// A step from a form of symbols of one level to a form some levels below.
  private struct Step: Sendable {
    /// Bytes of an entry: symbols of the lower level, padding, and in the last byte their number.
    let stride: Int
    /// For every symbol of the upper level, number of entries and offset of the first, in bytes.
    let tables: [(entries: UInt32, offset: Int)]
    let bytes: [UInt8]
  }

  /// The most entries that the tables of one step may have together.
  static let tableEntries = 8_192

  package let grammar: Grammar
  /// The longest sentence.
  package let maximalLength: Int
  private let stream: RandomStream
  private let steps: [Step]

  /// The sampler of the stream named `stream` of `seed`.
  package init(_ grammar: Grammar, seed: UInt64, stream: String) {
    self.grammar = grammar
    self.stream = RandomStream(seed: seed, name: "sentences/" + stream)
    maximalLength = grammar.lengthRange.upperBound
    var steps: [Step] = []
    var bottom = 0
    while bottom < grammar.depth {
      var top = bottom + 1
      while top < grammar.depth,
        let entries = Expansions.count(grammar, from: top + 1, to: bottom),
        entries <= SentenceSampler.tableEntries,
        Expansions.longest(grammar, from: top + 1, to: bottom) <= 255
      {
        top += 1
      }
      steps.append(SentenceSampler.step(grammar, from: top, to: bottom))
      bottom = top
    }
    self.steps = steps.reversed()
  }

  /// Appends sentence `index` to `bytes`.
  package func appendSentence(_ index: UInt64, to bytes: inout [UInt8]) {
    var lengths: [Int] = []
    appendSentences(index..<index + 1, to: &bytes, lengths: &lengths)
  }

  /// Appends the sentences `indices`, end to end, to `bytes` and their lengths to `lengths`.
  package func appendSentences(
    _ indices: Range<UInt64>, to bytes: inout [UInt8], lengths: inout [Int]
  ) {
    let capacity = maximalLength + SentenceSampler.slack
    var form = [UInt8](repeating: 0, count: capacity)
    var next = [UInt8](repeating: 0, count: capacity)
    for index in indices {
      var random = stream.at(index: index)
      var count = 1
      form[0] = 0
      for step in steps {
        count = SentenceSampler.expand(form, count, by: step, into: &next, &random)
        swap(&form, &next)
      }
      bytes += form[..<count]
      lengths.append(count)
    }
  }

  /// Bytes that a step may write past the last symbol: one entry.
  private static let slack = 256

  /// Replaces every symbol of `form` by an entry of its table, drawn uniformly. Returns the new
  /// form's length.
  private static func expand(
    _ form: [UInt8], _ count: Int, by step: Step, into next: inout [UInt8],
    _ random: inout RandomStream
  ) -> Int {
    let entries = step.bytes.span.bytes
    var output = next.mutableSpan
    var bytes = output.mutableBytes
    var position = 0
    for i in 0..<count {
      let table = step.tables[Int(form[i])]
      let entry = table.offset + Int(random.below(table.entries)) * step.stride
      for chunk in Swift.stride(from: 0, to: step.stride, by: 16) {
        let block = entries.unsafeLoadUnaligned(
          fromByteOffset: entry + chunk, as: SIMD16<UInt8>.self)
        bytes.storeBytes(of: block, toByteOffset: position + chunk, as: SIMD16<UInt8>.self)
      }
      position += Int(entries.unsafeLoad(fromByteOffset: entry + step.stride - 1, as: UInt8.self))
    }
    return position
  }

  /// The tables of the symbols of level `top` over the symbols of level `bottom`; terminals are
  /// written as their values, others as local indices.
  private static func step(_ grammar: Grammar, from top: Int, to bottom: Int) -> Step {
    let codes = Dictionary(
      uniqueKeysWithValues: grammar.levels[bottom].enumerated().map {
        ($1, UInt8(bottom == 0 ? $1 : $0))
      })
    let longest = Expansions.longest(grammar, from: top, to: bottom)
    let stride = (longest + 1 + 15) / 16 * 16
    var tables: [(entries: UInt32, offset: Int)] = []
    var bytes: [UInt8] = []
    for id in grammar.levels[top] {
      let expansions = Expansions(grammar, of: id, codes: codes)
      tables.append((UInt32(expansions.strings.count), bytes.count))
      for string in expansions.strings {
        bytes += string
        bytes += [UInt8](repeating: 0, count: stride - 1 - string.count)
        bytes.append(UInt8(string.count))
      }
    }
    return Step(stride: stride, tables: tables, bytes: bytes)
  }
}

/// The derivations of a symbol down to a lower level, each as often as its probability says.
private struct Expansions {
  /// One string of codes for each entry; every entry is equally likely.
  let strings: [[UInt8]]

  /// The derivations of `id` down to the symbols that have `codes`.
  init(_ grammar: Grammar, of id: Int, codes: [Int: UInt8]) {
    if let code = codes[id] {
      strings = [[code]]
      return
    }
    let alternatives: [[[UInt8]]] = (grammar.symbol(id)?.alternatives ?? []).map { alternative in
      alternative.reduce([[]]) { heads, child in
        let tails = Expansions(grammar, of: child, codes: codes).strings
        return heads.flatMap { head in tails.map { head + $0 } }
      }
    }
    let size = alternatives.reduce(1) { leastCommonMultiple($0, $1.count) }
    strings = alternatives.flatMap { list in
      list.flatMap { [[UInt8]](repeating: $0, count: size / list.count) }
    }
  }

  /// Entries of the tables of all symbols of level `top` over level `bottom`; nil if not even an
  /// `Int32` holds the number.
  static func count(_ grammar: Grammar, from top: Int, to bottom: Int) -> Int? {
    var counts = Dictionary(uniqueKeysWithValues: grammar.levels[bottom].map { ($0, 1) })
    for level in (bottom + 1)...top {
      for id in grammar.levels[level] {
        let alternatives = grammar.symbol(id)?.alternatives ?? []
        var size = 1
        for alternative in alternatives {
          var product = 1
          for child in alternative {
            product *= counts[child] ?? 1
            if product > Int(Int32.max) { return nil }
          }
          size = leastCommonMultiple(size, product)
          if size > Int(Int32.max) { return nil }
        }
        size *= alternatives.count
        if size > Int(Int32.max) { return nil }
        counts[id] = size
      }
    }
    return grammar.levels[top].reduce(0) { $0 + (counts[$1] ?? 0) }
  }

  /// The most symbols of level `bottom` that a symbol of level `top` derives.
  static func longest(_ grammar: Grammar, from top: Int, to bottom: Int) -> Int {
    var longest = Dictionary(uniqueKeysWithValues: grammar.levels[bottom].map { ($0, 1) })
    for level in (bottom + 1)...top {
      for id in grammar.levels[level] {
        longest[id] = (grammar.symbol(id)?.alternatives ?? []).map { alternative in
          alternative.reduce(0) { $0 + (longest[$1] ?? 0) }
        }.max()
      }
    }
    return grammar.levels[top].reduce(0) { max($0, longest[$1] ?? 0) }
  }
}

private func leastCommonMultiple(_ a: Int, _ b: Int) -> Int {
  var (x, y) = (a, b)
  while y != 0 { (x, y) = (y, x % y) }
  return a / x * b
}
