import Grammar
import Testing

@Suite struct SentenceTextTests {
  @Test func linesRoundTrip() throws {
    let digits = SentenceText(try Fixtures.grammar("cfg3f"))
    #expect(digits.line([3, 1, 2]) == "312")
    #expect(digits.symbols("312") == [3, 1, 2])
    #expect(digits.symbols(" 3 1\t2\r") == [3, 1, 2])
    #expect(digits.symbols("") == [])
    #expect(digits.symbols("34a-²٣1") == [3, 0, 0, 0, 0, 0, 1])
    #expect(digits.symbols("1\u{301}2\r\n3") == [1, 0, 2, 3])
    let wide = try Grammar(
      name: "wide", root: 100, terminalCount: 12, rules: [100: [Array(1...12), [12, 1]]])
    let numbers = SentenceText(wide)
    #expect(numbers.line([12, 1, 2]) == "12 1 2")
    #expect(numbers.symbols("12 1  2") == [12, 1, 2])
    #expect(numbers.symbols("121 13 300 x 1") == [0, 0, 0, 0, 1])
  }

  @Test func parseTablesAnswerEveryLine() throws {
    var table = ParseTable(SentenceText(try Fixtures.grammar("cfg3f")))
    #expect(ParseTable.header == "length,member,derivations,log2_probability")
    #expect(table.row(GoldenSentence.all[1].digits) == "353,yes,6,-367.688738")
    #expect(table.row("1" + GoldenSentence.all[0].digits.dropFirst()) == "305,no,0,-inf")
    #expect(table.row("") == "0,no,0,-inf")
    #expect(table.row("what?") == "5,no,0,-inf")
    var chain = ParseTable(SentenceText(try Fixtures.chain(levels: 70)))
    #expect(chain.row("1") == "1,yes,>=18446744073709551615,0.000000")
  }

  @Test func prefixTablesEndWhereTheProbabilityDoes() throws {
    var table = PrefixTable(SentenceText(try Fixtures.grammar("cfg3f", root: 9)))
    #expect(table.header == "string,prefix_length,log2_prefix_probability,p1,p2,p3,p_end")
    let first = "1,0,0.000000,0.666666667,0.000000000,0.333333333,0.000000000"
    #expect(table.rows("2", number: 1) == [first])
    let rows = table.rows("113", number: 1)
    #expect(rows.count == 3)
    #expect(rows.last == "1,2,-1.584963,0.000000000,0.000000000,0.000000000,1.000000000")
  }

  @Test func descriptionsHaveTheKnownNumbers() throws {
    let lines = GrammarDescription(try Fixtures.grammar("cfg3f"), samples: 50, seed: 1).lines
    #expect(lines.contains { $0.hasPrefix("length ") && $0.hasSuffix("64...729 symbols") })
    #expect(lines.contains { $0.contains("249.8603, standard deviation 69.38") })
    #expect(lines.contains { $0.hasSuffix("132, 248, 404") })
    #expect(lines.contains { $0.contains("268.6606 bits (exact)") })
  }
}
