import Foundation
import Support
import Testing

/// Corpora and tokenizers as people bring them, from the outside.
@Suite struct ForeignFilesTests {
  private let directory = NSTemporaryDirectory() + "foreign-" + UUID().uuidString

  init() throws { try AtomicFile.makeDirectory(directory) }

  private func write(_ text: String, to name: String) throws {
    try AtomicFile.write(text, to: "\(directory)/\(name)")
  }

  private func run(_ arguments: String...) throws -> Program.Result {
    try Program.run("ott-tokenize", arguments, in: directory)
  }

  /// What a shell makes of a line; $T is ott-tokenize, $S ott-sample.
  private func shell(_ line: String) throws -> Program.Result {
    let names = "T='\(Program.directory)/ott-tokenize'; S='\(Program.directory)/ott-sample'; "
    return try Program.start("/bin/sh", ["-c", names + line], in: directory).wait()
  }

  private func lines(_ count: Int = 300) -> String {
    (0..<count).map { "{\"text\": \"The \($0 % 7) cats | sat on \($0) mats\"}\n" }.joined()
  }

  @Test func specialTokensThatTextHasToo() throws {
    try write(lines(), to: "c.jsonl")
    let trained = try run(
      "train", "--vocabulary", "280", "--special", "|", "--special", "a", "--output", "t", "c.jsonl"
    )
    #expect(trained.status == 0, "\(trained.all)")
    let ids = try shell("printf '|a' | \"$T\" encode --tokenizer t --print")
    #expect(ids.output == "0 1\n", "\(ids.all)")
    let text = try shell("echo '0\r\n1' | \"$T\" decode --tokenizer t/vocab.json")
    #expect(text.output == "|a", "\(text.all)")
  }

  @Test func patternsAreUsedOrRefused() throws {
    try write(lines(), to: "c.jsonl")
    let trained = try run(
      "train", "--vocabulary", "280", "--pattern", "qwen2", "--output", "t", "c.jsonl")
    #expect(trained.output.contains("give --pattern qwen2"), "\(trained.all)")
    let encode = { (options: String) in
      try shell("printf '12 cats' | \"$T\" encode --print --tokenizer \(options)")
    }
    let right = try encode("t")
    #expect(try encode("t/vocab.json --pattern qwen2").output == right.output)
    #expect(try encode("t/tokenizer.tiktoken --pattern qwen2").output == right.output)
    let other = try encode("t --pattern gpt2")
    #expect(other.status == 1 && other.errors.contains("its own"), "\(other.all)")
    let both = try encode("t --offsets")
    #expect(both.status == 2, "\(both.all)")
    // A stage takes the pattern from its configuration.
    for (options, status) in [("", Int32(1)), ("--pattern qwen2", 0)] {
      let configured = try shell(
        "\"$T\" configure --tokenizer t/tokenizer.tiktoken \(options) --output config c.jsonl")
      #expect(configured.status == status, "\(configured.all)")
      if status != 0 { continue }
      let id = configured.output.prefix(12)
      let staged = try run("--config", "config/\(id).json", "--output", "out", "--quiet")
      #expect(staged.status == 0, "\(staged.all)")
    }
  }

  @Test func aStageKnowsTheMergesBesideAVocabulary() throws {
    try write(lines(), to: "c.jsonl")
    _ = try run("train", "--vocabulary", "280", "--output", "t", "c.jsonl")
    let configured = try run(
      "configure", "--tokenizer", "t/vocab.json", "--output", "config", "c.jsonl")
    #expect(configured.status == 0, "\(configured.all)")
    let merges = String(
      decoding: try FileBytes.read(directory + "/t/merges.txt"), as: UTF8.self)
    try write(merges.replacingOccurrences(of: "\n", with: "\r\n"), to: "t/merges.txt")
    let again = try run("configure", "--tokenizer", "t/vocab.json", "--output", "config", "c.jsonl")
    #expect(again.status == 0 && again.output != configured.output, "\(again.all)")
    let id = configured.output.prefix(12)
    let staged = try run("--config", "config/\(id).json", "--output", "out", "--quiet")
    #expect(staged.status == 1 && staged.errors.contains("another tokenizer"), "\(staged.all)")
  }

  @Test func namesThatAreNotUTF8() throws {
    let made = try shell(
      "mkdir c; printf 'some words, some words\\n' > \"$(printf 'c/caf\\351.txt')\"; "
        + "printf 'more words' > c/b.txt; ls c | wc -l")
    #expect(made.output.trimmingCharacters(in: .whitespacesAndNewlines) == "2", "\(made.all)")
    let train = "\"$T\" train --vocabulary 256 --validation 0 --output t "
    for corpus in ["c", "c/*.txt", "'c/*.txt'", "c/b.txt \"$(printf 'c/caf\\351.txt')\""] {
      let trained = try shell(train + corpus)
      #expect(trained.output.contains("on 33 bytes"), "\(corpus): \(trained.all)")
    }
    let configured = try shell(
      "\"$T\" configure --tokenizer t --output config \"$(printf 'c/caf\\351.txt')\"")
    #expect(configured.status == 1 && configured.errors.contains("UTF-8"), "\(configured.all)")
    let missing = try shell(train + "\"$(printf 'th\\351.txt')\"")
    #expect(missing.status == 1 && missing.errors.contains("no such file"), "\(missing.all)")
  }

  @Test func whatIsLeftOutIsSaid() throws {
    for name in ["c/.cache", "c/page.md"] { try AtomicFile.makeDirectory("\(directory)/\(name)") }
    for name in ["c/.cache/x.txt", "c/page.md/a.txt", "c/b.txt", "c/._b.txt"] {
      try write("words", to: name)
    }
    let trained = try run(
      "train", "--vocabulary", "256", "--validation", "0", "--output", "t", "c")
    #expect(trained.output.contains("on 10 bytes"), "\(trained.all)")
    #expect(trained.errors.contains("note: left out hidden files and folders"), "\(trained.all)")
  }

  @Test func oneDocumentIsNoSplit() throws {
    try write("The cats sat on the mats.", to: "a.txt")
    let trained = try run("train", "--vocabulary", "256", "--output", "t", "a.txt")
    #expect(trained.status == 1, "\(trained.all)")
    #expect(trained.errors.contains("no document falls into the part validation"))
    #expect(
      try run("train", "--vocabulary", "256", "--validation", "0", "--output", "t", "a.txt").status
        == 0)
    let configured = try run(
      "configure", "--tokenizer", "t", "--part", "validation", "--output", "config", "a.txt")
    let id = configured.output.prefix(12)
    let staged = try run("--config", "config/\(id).json", "--output", "out", "--quiet")
    #expect(staged.status == 1 && staged.errors.contains("validation"), "\(staged.all)")
  }

  @Test func stringsWithWindowsLineEnds() throws {
    let grammar = "# two\r\nroot: 5\r\nterminals: 1..2\r\n5 -> 1 2 | 2 1\r\n"
    try write("\u{FEFF}" + grammar, to: "g.grammar")
    let parsed = try shell("printf '12\\r\\n21\\r\\n11' | \"$S\" parse --grammar g.grammar")
    #expect(parsed.status == 0)
    let rows = parsed.output.split(separator: "\n").dropFirst().map { $0.prefix(5) }
    #expect(rows == ["2,yes", "2,yes", "2,no,"], "\(parsed.all)")
    let ignored = try shell("\"$S\" --config x.json --output y --seed 3")
    #expect(ignored.status == 2 && ignored.errors.contains("--seed"), "\(ignored.all)")
  }
}

/// Token files: out by `ott-shards export`, and back as the text that they were made of.
@Suite struct TokenFileCommandTests {
  private let directory = NSTemporaryDirectory() + "token-file-commands-" + UUID().uuidString

  init() throws { try AtomicFile.makeDirectory(directory) }

  private func run(_ program: String, _ arguments: String...) throws -> Program.Result {
    try Program.run(program, arguments, in: directory)
  }

  @Test func textComesBackFromEveryLayout() throws {
    let lines = (0..<200).map {
      "{\"text\":\"The \($0 % 7) cats — Ünï \\\"on\\\"\\n\($0) mats\"}\n"
    }.joined()
    try AtomicFile.write(lines, to: "\(directory)/c.jsonl")
    let trained = try run(
      "ott-tokenize", "train", "--vocabulary", "300", "--special", "<|endoftext|>", "--validation",
      "0",
      "--output", "t", "c.jsonl")
    #expect(trained.status == 0, "\(trained.all)")
    let configured = try run(
      "ott-tokenize", "configure", "--tokenizer", "t/tokenizer.json", "--end-of-text",
      "<|endoftext|>",
      "--validation", "0", "--output", "config", "c.jsonl")
    #expect(configured.status == 0, "\(configured.all)")
    let id = String(configured.output.prefix(12))
    let staged = try run(
      "ott-tokenize", "--config", "config/\(id).json", "--output", "shards", "--quiet")
    #expect(staged.status == 0, "\(staged.all)")
    for layout in ["nanogpt", "llmc", "megatron"] {
      let exported = try run("ott-shards", "export", "--to", layout, "-o", "file", "shards")
      #expect(exported.status == 0, "\(exported.all)")
      for (name, from) in [(layout, layout)] + (layout == "nanogpt" ? [("olmo", "olmo")] : []) {
        let imported = try run(
          "ott-tokenize", "import", "--from", from, "--tokenizer", "t", "--output", "\(name).jsonl",
          "file")
        #expect(imported.status == 0, "\(imported.all)")
        #expect(imported.output.hasPrefix("\(name).jsonl: 200 documents, "), "\(imported.all)")
        #expect(try FileBytes.read("\(directory)/\(name).jsonl") == Array(lines.utf8), "\(name)")
      }
    }
  }

  @Test func whatDoesNotFitIsOneMessage() throws {
    try AtomicFile.write("some words, some words", to: "\(directory)/c.txt")
    let trained = try run(
      "ott-tokenize", "train", "--vocabulary", "256", "--validation", "0", "--output", "t", "c.txt")
    #expect(trained.status == 0, "\(trained.all)")
    try AtomicFile.write([1, 0, 0, 1] as [UInt8], to: "\(directory)/ids.bin")
    // Of a vocabulary of bytes: the first of two bytes of a letter, and A.
    try AtomicFile.write([127, 0, 32, 0] as [UInt8], to: "\(directory)/cut.bin")
    let call = { (more: [String]) in
      try Program.run(
        "ott-tokenize", ["import", "--tokenizer", "t", "--output", "o.jsonl"] + more, in: directory)
    }
    for (arguments, status, words) in [
      (["--from", "nanogpt", "ids.bin"], Int32(1), "found 256"),
      (["--from", "llmc", "ids.bin"], 1, "an llm.c header"),
      (["--from", "megatron", "ids.bin"], 1, "ids.idx"),
      (["--from", "olmo", "none.bin"], 1, "none.bin"),
      (["--from", "nanogpt", "--end-of-text", "<|x|>", "ids.bin"], 1, "special token"),
      (["--from", "nanogpt", "--width", "4", "ids.bin"], 2, "only the layout olmo"),
      (["--from", "olmo", "--width", "3", "ids.bin"], 2, "expected 2 or 4"),
    ] {
      let result = try call(arguments)
      #expect(
        result.status == status && result.errors.contains(words), "\(arguments): \(result.all)")
      #expect(!FileBytes.exists("\(directory)/o.jsonl"))
    }
    let cut = try call(["--from", "nanogpt", "cut.bin"])
    #expect(
      cut.status == 0 && cut.output.contains("1 documents with bytes that are no UTF-8"),
      "\(cut.all)")
    for (name, words) in [
      ("t.parquet", "read_parquet"), ("t.arrow", "read_feather"), ("t.bin", "ott-tokenize import"),
    ] {
      try AtomicFile.write("x", to: "\(directory)/\(name)")
      let refused = try run("ott-tokenize", "train", "--vocabulary", "256", "--output", "u", name)
      #expect(refused.status == 1 && refused.errors.contains(words), "\(refused.all)")
    }
  }
}
