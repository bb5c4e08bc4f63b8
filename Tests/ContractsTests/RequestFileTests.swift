import Contracts
import Foundation
import Support
import Testing

/// Files of requests, and which of their questions are scored.
@Suite struct RequestFileTests {
  private static func row(
    _ document: Int, _ choice: Int, label: String = "1", context: String = "Q:",
    continuation: String = " an answer", more: String = ""
  ) -> String {
    "{\"doc_id\": \(document), \"idx\": \(choice), \"label\": \(label), "
      + "\"request\": {\"context\": \"\(context)\", \"continuation\": \"\(continuation)\"}\(more)}\n"
  }

  private static func read(_ text: String) throws -> RequestFile {
    try RequestFile(Array(text.utf8), source: "t.jsonl")
  }

  private static let good = row(3, 0) + row(3, 1) + row(4, 0, label: "0") + row(4, 1, label: "0")

  @Test func rowsBecomeDocuments() throws {
    let file = try Self.read(
      Self.row(
        7, 0, context: "Où?", continuation: " là-bas",
        more: ", \"doc\": {\"gold\": 5}, \"native_id\": null, \"request_type\": \"loglikelihood\"")
        + Self.row(7, 1, context: "Qui?") + Self.row(1_000_000, 0, continuation: "")
        + Self.row(2, 0, label: "2", more: ", \"question\": 9")
        + Self.row(2, 1, label: "2", more: ", \"question\": 9")
        + Self.row(2, 2, label: "2", more: ", \"question\": 9"))
    #expect(file.documents.map(\.id) == [7, 2])
    #expect(file.documents.map(\.question) == [7, 9])
    #expect(file.documents.map(\.gold) == [1, 2])
    let first = file.documents[0].choices
    #expect(first.map { String(decoding: $0.context, as: UTF8.self) } == ["Où?", "Qui?"])
    #expect(first[0].characters == 7 && first[0].continuation.count == 8)
  }

  /// Files, and what is said of them.
  private static let refused: [(text: String, message: String)] = {
    var cases: [(String, String)] = []
    func refuse(_ rows: [String], _ message: String) { cases.append((rows.joined(), message)) }
    refuse([], "expected requests, one a line, with a line break behind the last, found an empty")
    refuse([String(good.dropLast())], "behind the last, found none (cut short?)")
    refuse([good, String(row(5, 0).dropLast(9)), "\n"], "t.jsonl: line 5")
    refuse([row(3, 0), "[]\n"], "t.jsonl: line 2: expected an object")
    refuse(
      [row(3, 0), row(3, 2)], "line 2: idx: expected 1, the next choice of document 3, found 2")
    refuse([row(3, 1), row(3, 0)], "line 1: idx: expected 0")
    refuse([row(3, 0), row(4, 0)], "line 1: document 3: expected two or more choices, found one")
    refuse([good, row(9, 0)], "line 5: document 9: expected two or more choices, found one")
    let gold = "line 1: label: expected the number of the right choice"
    refuse([row(3, 0, label: "null"), row(3, 1)], gold)
    refuse([row(3, 0, label: "-1"), row(3, 1)], gold)
    refuse([row(3, 0, label: "\"B\""), row(3, 1)], "Name a split whose answers are known.")
    refuse(
      [row(3, 0, label: "2"), row(3, 1, label: "2")],
      "line 2: document 3: label: expected one of its 2 choices, the same in each row, found 2, 2")
    refuse([row(3, 0), row(3, 1, label: "0")], "the same in each row, found 1, 0")
    refuse([row(3, 0, context: "")], "request.context: expected a text in front of the answer")
    let answer = "continuation: expected a space and an answer behind it, found "
    refuse([row(3, 0, continuation: "")], answer + "''")
    refuse([row(3, 0, continuation: " ")], answer + "' '")
    refuse([row(3, 0, continuation: "B")], answer + "'B'")
    refuse(
      [row(3, 0, more: ", \"request_type\": \"generate_until\"")],
      "line 1: request_type: expected loglikelihood: answers to choose from, found generate_until")
    refuse(["{\"text\": \"a corpus\"}\n"], "line 1: doc_id: expected an integer")
    refuse(
      [row(1_000_000, 0), row(1_000_000, 1)], "expected a document below 1000000, found none")
    refuse([good, row(3, 0), row(3, 1)], "the choices of a document one behind the other")
    return cases
  }()

  @Test(arguments: refused)
  func whatIsRefused(text: String, message: String) throws {
    let error = #expect(throws: UserError.self) { _ = try Self.read(text) }
    let found = try #require(error).description
    #expect(found.contains(message), "\(found)")
    #expect(!found.contains("\n"))
  }

  @Test func otherBytesAreRefused() throws {
    let path = NSTemporaryDirectory() + "requests-\(UUID().uuidString).jsonl"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try AtomicFile.write(Self.good, to: path)
    let id = String(SHA256.hex(of: Array(Self.good.utf8)).prefix(12))
    #expect(try RequestFile(.init(id: id, path: path)).documents.count == 2)
    let error = #expect(throws: UserError.self) {
      _ = try RequestFile(.init(id: "0123456789ab", path: path))
    }
    #expect(error?.description.contains("expected digest 0123456789ab, found \(id)") == true)
  }

  // MARK: - Sample

  private static let many = try? read(
    (0..<60).map { d in
      row(d, 0, more: ", \"question\": \(d / 3)") + row(d, 1, more: ", \"question\": \(d / 3)")
    }.joined())

  @Test func questionsAreDrawnWhole() throws {
    let file = try #require(Self.many)
    #expect(file.sample(0, seed: 0, task: "a") == file.documents)
    #expect(file.sample(20, seed: 0, task: "a") == file.documents)
    #expect(file.sample(500, seed: 0, task: "a") == file.documents)
    var before: Set<Int> = []
    for count in 1...19 {
      let sample = file.sample(count, seed: 0, task: "a")
      #expect(sample.count == 3 * count && sample.map(\.id) == sample.map(\.id).sorted())
      let questions = Set(sample.map(\.question))
      #expect(questions.count == count && before.isSubset(of: questions))
      before = questions
    }
  }

  /// The rule, and what it gives: another seed or task, other questions.
  @Test func theDraw() throws {
    let file = try #require(Self.many)
    func drawn(_ seed: UInt64, _ task: String) -> [Int] {
      file.sample(5, seed: seed, task: task).map(\.question).filter { _ in true }
    }
    func expected(_ seed: UInt64, _ task: String) -> [Int] {
      let numbers = (0..<20).map { question in
        var stream = RandomStream(seed: seed, name: "downstream/\(task)", index: UInt64(question))
        return (stream.next64(), question)
      }
      let taken = numbers.sorted { $0.0 < $1.0 }.prefix(5).map(\.1).sorted()
      return taken.flatMap { [$0, $0, $0] }
    }
    for (seed, task) in [(0, "piqa"), (1, "piqa"), (0, "copa")] as [(UInt64, String)] {
      #expect(drawn(seed, task) == expected(seed, task))
    }
    #expect(drawn(0, "piqa") != drawn(1, "piqa") && drawn(0, "piqa") != drawn(0, "copa"))
  }
}
