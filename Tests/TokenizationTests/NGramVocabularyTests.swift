import Support
import Testing
import Tokenization

@Suite struct NGramVocabularyTests {
  @Test(arguments: [(3, 1, 5), (3, 2, 14), (3, 3, 41), (1, 4, 6), (255, 2, 2 + 255 + 65025)])
  func sizeIsTwoPlusAllPowers(alphabet: Int, order: Int, size: Int) throws {
    #expect(try NGramVocabulary(alphabet: alphabet, order: order).size == size)
  }

  /// Ids counted out by hand: marks, 1-grams, then every longer gram in lexicographic order.
  @Test(arguments: [(1, 3), (2, 4), (3, 3), (5, 2)])
  func idsAreInOrder(alphabet: Int, order: Int) throws {
    let vocabulary = try NGramVocabulary(alphabet: alphabet, order: order)
    var grams: [[Int]] = [[]]
    var next = 2
    for length in 1...order {
      grams = grams.flatMap { gram in (0..<alphabet).map { gram + [$0] } }
      for gram in grams {
        #expect(vocabulary.id(of: gram) == next)
        #expect(vocabulary.digits(of: next) == gram)
        #expect(vocabulary.length(of: next) == length)
        #expect(vocabulary.firstDigit(of: next) == gram[0])
        #expect(vocabulary.block(startingWith: gram[0], length: length).contains(next))
        next += 1
      }
    }
    #expect(next == vocabulary.size)
    for mark in [NGramVocabulary.bos, NGramVocabulary.eos] {
      #expect(vocabulary.length(of: mark) == 0)
      #expect(vocabulary.digits(of: mark).isEmpty)
      #expect(vocabulary.firstDigit(of: mark) == nil)
    }
  }

  @Test func blocksCoverEachGramOnce() throws {
    let vocabulary = try NGramVocabulary(alphabet: 3, order: 3)
    var seen = [Int](repeating: 0, count: vocabulary.size)
    for digit in 0..<3 {
      for length in 1...3 {
        for id in vocabulary.block(startingWith: digit, length: length) { seen[id] += 1 }
      }
    }
    #expect(seen[2...].allSatisfy { $0 == 1 } && seen[0] == 0 && seen[1] == 0)
  }

  @Test func names() throws {
    let alphabet = try Alphabet([1, 2, 3])
    let vocabulary = try NGramVocabulary(alphabet: 3, order: 3)
    #expect(vocabulary.name(of: 0, in: alphabet) == "<bos>")
    #expect(vocabulary.name(of: 1, in: alphabet) == "<eos>")
    #expect(vocabulary.name(of: 2, in: alphabet) == "1")
    #expect(vocabulary.name(of: 5, in: alphabet) == "11")
    #expect(vocabulary.name(of: 40, in: alphabet) == "333")
    let wide = try Alphabet([7, 10, 200])
    #expect(vocabulary.name(of: 15, in: wide) == "7.7.10")
  }

  @Test func refusesZeroAndOverflow() {
    #expect(throws: UserError.self) { try NGramVocabulary(alphabet: 3, order: 0) }
    #expect(throws: UserError.self) { try NGramVocabulary(alphabet: 3, order: -1) }
    #expect(throws: UserError.self) { try NGramVocabulary(alphabet: 0, order: 1) }
    #expect(throws: UserError.self) { try NGramVocabulary(alphabet: 255, order: 5) }
    #expect(throws: UserError.self) { try NGramVocabulary(alphabet: 2, order: 63) }
    #expect(throws: UserError.self) { try NGramVocabulary(alphabet: 3, order: 4000) }
    #expect(throws: Never.self) { try NGramVocabulary(alphabet: 3, order: 19) }
    #expect(throws: UserError.self) { try NGramVocabulary(alphabet: 3, order: 20) }
  }

  @Test func idTypesAtTheirEdges() throws {
    #expect(try IDType.narrowest(for: 0, of: "x") == .u8)
    #expect(try IDType.narrowest(for: 256, of: "x") == .u8)
    #expect(try IDType.narrowest(for: 257, of: "x") == .u16)
    #expect(try IDType.narrowest(for: 65536, of: "x") == .u16)
    #expect(try IDType.narrowest(for: 65537, of: "x") == .u32)
    #expect(try IDType.narrowest(for: 1 << 32, of: "x") == .u32)
    #expect(throws: UserError.self) { try IDType.narrowest(for: (1 << 32) + 1, of: "x") }
  }

  @Test func alphabetRefusesDisorder() {
    #expect(throws: UserError.self) { try Alphabet([]) }
    #expect(throws: UserError.self) { try Alphabet([1, 1]) }
    #expect(throws: UserError.self) { try Alphabet([2, 1]) }
    #expect(throws: UserError.self) { try Alphabet((0...255).map { UInt8($0) }) }
  }
}
