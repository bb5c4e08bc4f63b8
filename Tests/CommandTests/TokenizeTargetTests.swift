import Foundation
import Shards
import Support
import Testing
import Tokenization

/// `make tokenize` from the outside: any corpus, whatever it is called.
@Suite(.serialized) struct TokenizeTargetTests {
  private let place: Workplace

  init() throws { place = try Workplace() }

  private func corpus(_ path: String, _ word: String) throws {
    try AtomicFile.makeDirectory(AtomicFile.parent(of: place.directory + "/" + path))
    let lines = (0..<200).map {
      "{\"text\": \"The \(word) number \($0) sat on \($0 % 7) mats.\"}\n"
    }
    try place.write(lines.joined(), to: path)
  }

  private func tokenize(_ corpus: String, _ goals: String...) throws -> Program.Result {
    try place.make(
      goals.isEmpty ? ["tokenize"] : goals, ["CORPUS=\(corpus)", "VOCAB=300", "HELD_OUT=0.2"])
  }

  /// Directories of the token sets that make has named last.
  private func outputs(_ result: Program.Result) -> [String] {
    result.output.split(separator: "\n").compactMap { line in
      line.firstRange(of: " tokens are in ").map { String(line[$0.upperBound...]) }
    }
  }

  @Test func theWholeWay() throws {
    try corpus("my texts/a.jsonl", "cat")
    let plan = try tokenize("my texts", "plan-tokenize")
    #expect(plan.status == 0 && plan.output.contains("To run: 3 of 3 stage runs."), "\(plan.all)")
    #expect(!place.exists("data/plan") && !place.exists("data/config"))
    let first = try tokenize("my texts")
    #expect(first.status == 0, "\(first.all)")
    let sets = outputs(first)
    try #require(sets.count == 2)
    let documents = try sets.map { try ShardSet(directory: "\(place.directory)/\($0)").documents }
    #expect(documents.reduce(0, +) == 200 && documents[0] > documents[1] && documents[1] > 10)
    #expect(place.existsAny(below: "data/vocabulary", named: "tokenizer.json"))

    let second = try tokenize("my texts")
    #expect(second.status == 0 && outputs(second) == sets, "\(second.all)")
    #expect(!second.output.contains("--config"), "\(second.all)")
    let done = try tokenize("my texts", "plan-tokenize")
    #expect(done.output.contains("Nothing to run"), "\(done.all)")

    // A set that is gone comes back by its own name, as messages about damaged sets advise.
    let index = sets[0] + "/index.json"
    let bytes = try FileBytes.read(place.directory + "/" + index)
    try FileManager.default.removeItem(atPath: place.directory + "/" + sets[0])
    let back = try place.make([index], [])
    #expect(back.status == 0, "\(back.all)")
    #expect(try FileBytes.read(place.directory + "/" + index) == bytes)

    // Another text of the same name is another corpus.
    try corpus("my texts/a.jsonl", "dog")
    let changed = try tokenize("my texts")
    #expect(changed.status == 0 && Set(outputs(changed)).isDisjoint(with: sets), "\(changed.all)")
  }

  /// These once shared `data/tokenizer/a-b…`, or ended make or the shell.
  @Test func namesThatLookAlikeOrMeanSomething() throws {
    let names = [
      "a-b", "a/b", "it's", "say \"a\"", "(a), b", "$HOME $(HOME)", "a;b&c|d", "a#b", "%", "`x`",
      "*",
      "-n",
    ]
    var seen: Set<String> = []
    for (number, name) in names.enumerated() {
      try corpus("\(name)/text\(number).jsonl", "rat")
      let result = try tokenize(name)
      #expect(result.status == 0, "\(name): \(result.all)")
      let sets = outputs(result)
      #expect(sets.count == 2 && seen.isDisjoint(with: sets), "\(name): \(result.all)")
      seen.formUnion(sets)
    }
  }

  @Test func curvesHaveSafeNames() throws {
    try corpus("(my), \"texts\"/a.jsonl", "bat")
    let result = try tokenize("(my), \"texts\"", "vocabulary-statistics")
    #expect(result.status == 0, "\(result.all)")
    let folder = place.directory + "/results/vocabulary"
    let names = try FileManager.default.contentsOfDirectory(atPath: folder)
    let name = try #require(names.first)
    #expect(names.count == 1 && name.hasPrefix("statistics-my-texts-gpt2-300-0.2-0-"), "\(names)")
    let text = String(decoding: try FileBytes.read("\(folder)/\(name)"), as: UTF8.self)
    for line in text.split(separator: "\n") { #expect(line.split(separator: ",").count == 5) }
  }

  @Test func refusals() throws {
    try corpus("a.jsonl", "rat")
    for (arguments, words) in [
      (["CORPUS=none"], "none: no such file"), (["CORPUS="], "--corpus"),
      (["CORPUS=a.jsonl", "VOCAB=200"], "alphabet"),
      (["CORPUS=a.jsonl", "HELD_OUT=1"], "below 1"),
      (["CORPUS=data/corpus/default/train/x.jsonl"], "Run: make data/corpus/default/digest"),
    ] {
      let result = try place.make(["tokenize"], arguments)
      #expect(result.status != 0 && result.errors.contains(words), "\(result.all)")
      #expect(result.errors.contains("no plan, nothing was run"), "\(result.all)")
      #expect(!place.exists("data/plan"))
    }
  }
}
