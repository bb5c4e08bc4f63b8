import Foundation
import Grammar
import Support
import Testing

@Suite struct GrammarFileTests {
  @Test func linesEndAtLineFeeds() throws {
    let text = "# caf\u{E9}\u{2028} 1\nroot: 5\nterminals: 1..2\n\n5 -> 1 2 | 2 1\n"
    let grammar = try Grammar(bytes: Array(text.utf8), source: "x.grammar")
    let windows = "\u{FEFF}" + text.replacingOccurrences(of: "\n", with: "\r\n")
    #expect(try Grammar(bytes: Array(windows.utf8), source: "x.grammar") == grammar)
    let error = #expect(throws: UserError.self) {
      try Grammar(bytes: Array((windows + "5 >- 1\r\n").utf8), source: "x.grammar")
    }
    #expect(error?.description.contains("x.grammar:6: rule") == true)
    #expect(error?.description.contains("`5 >- 1`") == true)
  }

  @Test func readsTheNineGrammars() throws {
    // name, productions, depth, min, max, mean, derivation entropy; the known table of the grammars.
    let known: [(String, Int, Int, ClosedRange<Int>, Double, Double)] = [
      ("cfg3b", 32, 6, 138...432, 275.63, 169.250),
      ("cfg3i", 32, 6, 114...564, 308.09, 186.938),
      ("cfg3h", 39, 6, 97...459, 236.38, 204.778),
      ("cfg3g", 48, 6, 80...729, 252.43, 269.920),
      ("cfg3f", 54, 6, 64...729, 249.86, 268.661),
      ("cfg3k", 68, 7, 132...1458, 516.31, 608.333),
    ]
    for (name, productions, depth, lengths, mean, entropy) in known {
      let grammar = try Fixtures.grammar(name)
      #expect(grammar.name == name)
      #expect(grammar.productionCount == productions)
      #expect(grammar.depth == depth)
      #expect(grammar.lengthRange == lengths)
      #expect(abs(grammar.meanLength - mean) < 0.0051)
      #expect(abs(grammar.derivationEntropyBits - entropy) < 0.00051)
    }
    #expect(try Fixtures.grammar("cfg3j").productionCount == 57)
    #expect(try Fixtures.grammar("cfg3e1").terminalCount == 9)
    #expect(try Fixtures.grammar("cfg3e1").levels.map(\.count) == [9, 27, 72, 24, 8, 3, 1])
    #expect(try Fixtures.grammar("cfg3e2").levels.map(\.count) == [4, 9, 27, 27, 9, 3, 1])
    #expect(try Fixtures.grammar("cfg3e2").productionCount == 228)
  }

  @Test func textRoundTrips() throws {
    for grammar in try Fixtures.small() {
      #expect(try Grammar(parsing: grammar.text, source: grammar.name) == grammar)
    }
    let cfg3f = try Fixtures.grammar("cfg3f")
    #expect(try Grammar(parsing: cfg3f.text, source: "x", name: "cfg3f") == cfg3f)
    let crlf = cfg3f.text.replacingOccurrences(of: "\n", with: " # comment\r\n")
    #expect(try Grammar(parsing: crlf, source: "cfg3f") == cfg3f)
  }

  @Test func subGrammarsDropWhatTheirRootDoesNotReach() throws {
    let grammar = try Fixtures.grammar("cfg3f", root: 15)
    #expect(grammar.symbols.map(\.id) == [7, 8, 9, 10, 11, 12, 15])
    #expect(grammar.lengthRange == 12...27)
    #expect(abs(grammar.meanLength - 18.409_72) < 1e-5)
    let leaf = try Fixtures.grammar("cfg3f", root: 9)
    #expect(leaf.levels == [[1, 2, 3], [9]])
    #expect(leaf.terminalCount == 3)
    let error = #expect(throws: UserError.self) { try Fixtures.grammar("cfg3f", root: 3) }
    #expect(error?.found == "3")
  }

  @Test func badGrammarsGetOneMessage() throws {
    let head = "root: 9\nterminals: 1..2\n"
    let cases: [(text: String, message: String)] = [
      ("", "no `root:`"),
      ("root: 9\n", "no `terminals:`"),
      ("root: 9\nroot: 9\n", "bad:2: root:"),
      ("root 9\n", "bad:1: rule"),
      ("root: nine\n", "bad:1: symbol"),
      ("root: 9\nterminals: 2\n", "bad:2: terminals"),
      ("root: 9\nterminals: 1..0\n9 -> 1", "terminals"),
      ("root: 9\nterminals: 1..256\n900 -> 1", "1...255"),
      ("9 -> 1\n" + head, "before the first rule"),
      (head + "9 1 2", "bad:3: rule"),
      (head + "9 -> 1 02", "`02`"),
      (head + "9 -> 1 -2", "`-2`"),
      (head + "9 ->", "empty alternative 1 of symbol 9"),
      (head + "9 -> 1 2 |", "empty alternative 2 of symbol 9"),
      (head + "9 -> 1 | | 2", "empty alternative 2 of symbol 9"),
      (head + "9 -> 1 2 | 2 | 1 2", "duplicate rule 9 -> 1 2"),
      (head + "9 -> 1 2\n9 -> 2", "bad:4: duplicate rule for symbol 9"),
      (head + "9 -> 1 3", "terminal out of range in 9 -> 1 3: expected 1..2, found 3"),
      (head + "9 -> 1 0", "terminal out of range in 9 -> 1 0"),
      (head + "9 -> 5 6\n5 -> 1 2", "undefined symbol 6 in 9 -> 5 6"),
      (head + "2 -> 1\n9 -> 1 2", "symbol 2"),
      (head + "5 -> 1 2", "bad: root"),
      (head + "9 -> 5\n5 -> 1 2\n6 -> 1", "unreachable symbol 6"),
      (head + "9 -> 1 1", "unreachable terminal 2"),
      (head + "9 -> 5 5\n5 -> 6\n6 -> 5", "cycle 5 -> 6 -> 5"),
      (head + "9 -> 9", "cycle 9 -> 9"),
      (head + "9 -> 5 1\n5 -> 1 2", "level violation in 9 -> 5 1"),
      (head + "9 -> 5 | 1\n5 -> 1 2", "level violation in 9 -> 1"),
    ]
    for (text, message) in cases {
      let error = #expect(throws: UserError.self) { try Grammar(parsing: text, source: "bad") }
      let description = error?.description ?? ""
      #expect(description.contains(message), "\(text)")
      #expect(description.hasPrefix("bad:"), "\(text)")
    }
    #expect(throws: UserError.self) { try Grammar(contentsOfFile: "/nonexistent/cfg.grammar") }
    #expect(throws: UserError.self) { try Grammar(contentsOfFile: "/") }
  }

  @Test func limitsAreErrors() throws {
    let wide = (0..<257).map { "\(1_000 + $0) -> 1\n" }.joined()
    let line = (0..<257).map { "\(1_000 + $0)" }
    let text =
      "root: 9\nterminals: 1..1\n9 -> " + line.joined(separator: " | ") + "\n" + wide
    let error = #expect(throws: UserError.self) { try Grammar(parsing: text, source: "wide") }
    #expect(error?.description.contains("256") == true)
    var deep = "root: 30\nterminals: 1..1\n10 -> 1 1\n"
    for level in 11...30 { deep += "\(level) -> \(level - 1) \(level - 1)\n" }
    let long = #expect(throws: UserError.self) { try Grammar(parsing: deep, source: "long") }
    #expect(long?.description.contains("65535") == true)
  }
}

@Suite struct StatisticsTests {
  @Test func lengthsAndEntropiesAgreeWithEnumeration() throws {
    for grammar in try Fixtures.small() {
      let all = Enumeration(grammar)
      let lengths = all.strings.keys.map(\.count)
      #expect(grammar.lengthRange.lowerBound == lengths.min())
      #expect(grammar.lengthRange.upperBound == lengths.max())
      let mean = all.strings.reduce(0) { $0 + Double($1.key.count) * $1.value.probability }
      #expect(isClose(grammar.meanLength, mean))
      #expect(isClose(grammar.derivationEntropyBits, all.derivationEntropy))
      for (length, probability) in grammar.lengthDistribution.enumerated() {
        let expected = all.strings.filter { $0.key.count == length }
          .reduce(0) { $0 + $1.value.probability }
        #expect(isClose(probability, expected))
      }
      let entropy = StringEntropy(grammar, samples: 500)
      let error = max(1e-9, 5 * entropy.bits.standardError)
      #expect(abs(entropy.bits.value - all.stringEntropy) < error, "\(grammar.name)")
    }
  }

  @Test func cfg3fHasItsKnownFloor() throws {
    let grammar = try Fixtures.grammar("cfg3f")
    let lengths = grammar.lengthDistribution
    #expect(isClose(lengths.reduce(0, +), 1))
    let mean = lengths.enumerated().reduce(0) { $0 + Double($1.0) * $1.1 }
    #expect(isClose(mean, grammar.meanLength))
    #expect(abs(1 - lengths[...510].reduce(0, +) - 1e-6) < 5e-7)
    let entropy = StringEntropy(grammar, samples: 1_000)
    // Known: 268.19 ± 0.04 from 250 samples.
    #expect(abs(entropy.bits.value - 268.19) < 5 * 0.05)
    #expect(entropy.bits.standardError < 0.04)
    #expect(abs(entropy.ambiguousShare - 0.38) < 0.1)
    #expect(abs(entropy.floorPerToken - 0.7410) < 0.0006)
    #expect(abs(entropy.floorPerSymbol - 0.7440) < 0.0006)
  }

  @Test func estimateHasItsStandardError() {
    let estimate = Estimate(samples: [1, 2, 3, 4])
    #expect(estimate.value == 2.5)
    #expect(isClose(estimate.standardError, (5.0 / 3 / 4).squareRoot()))
  }
}
