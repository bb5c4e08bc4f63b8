import Support
import Testing
import Tokenization

@Suite struct NGramTokenizerTests {
  /// "12312" by hand: 1-grams 2 3 4 2 3; 2-grams 12 31 | 2; 3-grams 123 | 12.
  @Test func byHand() throws {
    let alphabet = try Alphabet([1, 2, 3])
    let document: [UInt8] = [1, 2, 3, 1, 2]
    #expect(
      try NGramTokenizer(alphabet: alphabet, order: 1).encode(document) == [0, 2, 3, 4, 2, 3, 1])
    #expect(try NGramTokenizer(alphabet: alphabet, order: 2).encode(document) == [0, 6, 11, 3, 1])
    #expect(try NGramTokenizer(alphabet: alphabet, order: 3).encode(document) == [0, 19, 6, 1])
  }

  /// Slow twin: split into grams, look each up by its digits.
  @Test(arguments: [1, 2, 3, 4])
  func matchesTheSlowTwin(order: Int) throws {
    let alphabet = try Alphabet([4, 5, 9])
    let tokenizer = try NGramTokenizer(alphabet: alphabet, order: order)
    for length in 0..<40 {
      var stream = RandomStream(seed: 5, name: "documents", index: UInt64(length))
      let document = (0..<length).map { _ in alphabet.values[Int(stream.below(3))] }
      var expected: [UInt32] = [0]
      var s = 0
      while s < length {
        let gram = document[s..<min(s + order, length)].map {
          alphabet.values.firstIndex(of: $0) ?? -1
        }
        expected.append(UInt32(tokenizer.vocabulary.id(of: gram)))
        s += order
      }
      expected.append(1)
      let tokens = try tokenizer.encode(document)
      #expect(tokens == expected)
      #expect(tokens.count == tokenizer.tokenCount(symbols: length))
      #expect(try tokenizer.decode(tokens) == document)
    }
  }

  @Test func narrowIdsAgreeWithWideOnes() throws {
    let tokenizer = try NGramTokenizer(alphabet: Alphabet([1, 2, 3]), order: 3)
    let document: [UInt8] = [3, 3, 3, 1, 2, 2, 1]
    var narrow = [UInt8](repeating: 7, count: 9)
    var span = narrow.mutableSpan
    let count = try tokenizer.encode(document.span, into: &span)
    #expect(try tokenizer.encode(document) == narrow[..<count].map { UInt32($0) })
    #expect(narrow[count...].allSatisfy { $0 == 7 })
  }

  @Test(arguments: [0, 4, 255])
  func refusesSymbolsOutOfRange(symbol: UInt8) throws {
    for order in 1...3 {
      let tokenizer = try NGramTokenizer(alphabet: Alphabet([1, 2, 3]), order: order)
      for position in 0..<5 {
        var document: [UInt8] = [1, 2, 3, 1, 2]
        document[position] = symbol
        let error = #expect(throws: UserError.self) { try tokenizer.encode(document) }
        #expect(error?.description.contains("symbol \(position)") == true)
      }
    }
  }

  /// Tokens of "123 12": every way to spoil them is refused.
  @Test(arguments: [
    [], [0], [1], [0, 19, 6], [19, 6, 1], [0, 6, 19, 1], [0, 19, 6, 6, 1], [0, 19, 0, 1],
    [0, 1, 1], [0, 41, 1],
  ])
  func decodeRefuses(tokens: [UInt32]) throws {
    let tokenizer = try NGramTokenizer(alphabet: Alphabet([1, 2, 3]), order: 3)
    #expect(throws: UserError.self) { try tokenizer.decode(tokens) }
  }

  @Test func emptyDocument() throws {
    let tokenizer = try NGramTokenizer(alphabet: Alphabet([1, 2, 3]), order: 3)
    #expect(try tokenizer.encode([]) == [0, 1])
    #expect(try tokenizer.decode([0, 1]) == [])
  }
}
