import Shards
import Support
import Testing

@Suite struct ShardTextTests {
  @Test(
    arguments: [
      ("7", 7..<8), ("0..<5", 0..<5), ("0...4", 0..<5), ("3..<3", 3..<3), ("4...3", 4..<4),
      ("5..<3", nil), ("-1", nil), ("a", nil), ("0...", nil), ("..<4", nil), ("", nil),
      ("9223372036854775807", nil), ("0..<9223372036854775807", nil),
    ] as [(String, Range<Int>?)])
  func documentsAsPeopleWriteThem(text: String, range: Range<Int>?) {
    #expect(DocumentRange(text)?.range == range)
  }

  private func lines(_ set: ShardSet, column: String? = nil, _ documents: Range<Int>? = nil) throws
    -> [String]
  {
    var lines: [String] = []
    try ShardText(set, column: column, documents: documents).forEachDocument { lines.append($0) }
    return lines
  }

  @Test func oneLineADocumentOrAColumn() throws {
    let (first, second, third) = (
      try TemporaryDirectory(), try TemporaryDirectory(), try TemporaryDirectory()
    )
    let set = try write([[1, 2], [], [3]], to: first.path, perShard: 2)
    #expect(try lines(set) == ["1 2\n", "\n", "3\n"])
    #expect(try lines(set, 1..<3) == ["\n", "3\n"])
    #expect(try lines(set, 2..<2) == [])
    let two = try write(
      [[1, 2, 3, 2], [], [3, 1]], to: second.path,
      columns: [Column("a", cardinality: 4), Column("b")], perShard: 2)
    #expect(try lines(two) == ["a: 1 2\nb: 3 2\n", "a: \nb: \n", "a: 3\nb: 1\n"])
    #expect(try lines(two, column: "b") == ["3 2\n", "\n", "1\n"])
    #expect(throws: UserError.self) { try lines(two, column: "c") }
    #expect(throws: UserError.self) { try lines(two, 0..<4) }
    #expect(try lines(write([], to: third.path)) == [])
  }

  @Test func descriptionsSayWhatThereIs() throws {
    let directory = try TemporaryDirectory()
    try write([[1, 2, 3], [1]], to: directory.path, perShard: 1)
    let set = try ShardDescription.lines(of: directory.path)
    #expect(set.contains("column     symbol: u8 of 4 ids"))
    #expect(set.contains("elements   4 in 2 documents"))
    #expect(set.contains("length     mean 2.000, longest 3"))
    #expect(set.contains("input      tokens 0123456789ab"))
    #expect(set.contains("parameters {\"seed\":1}"))
    let shard = try ShardDescription.lines(of: directory.path + "/00001.shard")
    #expect(shard.contains("elements   1 in 1 documents"))
    #expect(shard.contains("longest    1"))
  }
}
