import Foundation
import Reporting
import Support
import Testing

@Suite struct PictureDataTests {
  private func table(_ text: String) throws -> PublishedTable {
    try PublishedTable(Array(text.utf8), source: "a.csv")
  }

  @Test func curvesAreMeansAndBandsOverSeeds() throws {
    let table = try table(
      """
      panel,model,size,seed,accuracy,sentences
      left,1-gram,large,1,0.25,100
      left,1-gram,large,1,0.5,200
      left,1-gram,large,2,0.75,100
      left,1-gram,large,2,1.0,200
      right,1-gram,large,1,0.25,100

      """)
    let data = try #require(try PictureData.of(table))
    #expect(data.files.map(\.ending) == ["-curves.csv"])
    #expect(
      data.files[0].text == """
        panel,model,size,sentences,mean,low,high
        left,1-gram,large,100.0,0.5,0.25,0.75
        left,1-gram,large,200.0,0.75,0.5,1.0
        right,1-gram,large,100.0,0.25,0.25,0.25

        """)
  }

  /// Windows of a seed may have other numbers of tokens: a point stands at their mean.
  @Test func differencesStandAtTheMeanOfTheirTokens() throws {
    let data = try #require(
      try PictureData.of(
        table("m,seed,step,tokens,difference\n9,1,5,10,-1\n9,2,5,20,-3\n8,1,5,10,1\n")))
    #expect(
      data.files[0].text == "m,tokens,mean,low,high\n9,15.0,-2.0,-3.0,-1.0\n8,10.0,1.0,1.0,1.0\n")
  }

  @Test func aTableOfAnAblationHasNoPicture() throws {
    #expect(try PictureData.of(table("model,seed,train_loss\na,1,2.5\n")) == nil)
  }

  @Test func brokenTablesAreNamed() throws {
    func message(_ text: String) -> String {
      #expect(throws: UserError.self) { _ = try PictureData.of(table(text)) }?.description ?? ""
    }
    #expect(message("m,difference\n1\n") == "a.csv:2: expected 2 cells, found 1")
    #expect(message("m,difference\n") == "a.csv: expected a line of names and a row, found no row")
    #expect(
      message("m,step,tokens,difference\n1,2,x,4\n")
        == "a.csv:2, column tokens: expected a number, found 'x'")
    #expect(message("m,difference\n1,2\n").hasPrefix("a.csv: expected a column 'tokens'"))
    #expect(
      message(
        "m,input_vocabulary,seed,train_loss,eval_loss,other_loss\n0,1,1,1,1,1\n1,2,2,1,1,1\n"
      ).hasPrefix("a.csv: expected a run for every size and seed"))
  }

  @Test func tablesWithWindowsLineEnds() throws {
    let table = try PublishedTable(Array("a,b\r\n1,2\r\n3,4\r\n".utf8), source: "a.csv")
    #expect(table.columns == ["a", "b"])
    #expect(try table.texts("b") == ["2", "4"])
  }
}
