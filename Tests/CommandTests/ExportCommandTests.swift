import Foundation
import Support
import Testing

/// ott-export, and what ott-import makes of its directories, from the outside. What transformers makes of them
/// is compared by `make conformance-exchange`.
@Suite struct ExportCommandTests {
  private let exchange: ExchangeStages

  init() throws { exchange = try ExchangeStages() }

  private var directory: String { exchange.directory }

  /// The import scores as the run, and its export has the same weights.
  @Test(
    arguments: [
      ("gpt2", [:], "GPT2LMHeadModel"),
      ("olmo2", ["tied": true], "Olmo2ForCausalLM"),
      ("olmoe", ["experts": 5, "topK": 2], "OlmoeForCausalLM"),
      ("olmo2", ["overEncoding": ExchangeStages.encoding], "OvertokenForCausalLM"),
      ("gpt2", ["mtp": ["heads": 2, "weights": [0.5]]], "GPT2LMHeadModel"),
    ] as [(String, [String: ConfigValue], String)])
  func anExportComesBack(
    architecture: String, more: [String: ConfigValue], headClass: String
  ) throws {
    let run = try exchange.run(ExchangeStages.model(architecture, more), name: "run")
    let exported = try exchange.export(run, to: "out", "--shard-bytes", "9000")
    #expect(exported.status == 0 && exported.output.contains(headClass), "\(exported.all)")
    let files = try exchange.content("out")
    #expect(files.keys.contains("model-00001-of-\(Self.count(files)).safetensors"))
    #expect(files["tokenizer.json"] == (try FileBytes.read(exchange.tokenizer.path)))
    #expect(files.keys.contains("modeling_overtoken.py") == headClass.hasPrefix("Overtoken"))
    #expect(try exchange.read(json: "out/config.json")["architectures"] == [.string(headClass)])
    let origin = try exchange.read(json: "out/overtoken.json")
    guard case .object(let digests)? = origin["files"] else {
      Issue.record("no files in overtoken.json")
      return
    }
    #expect(
      digests
        == files.filter { $0.key != "overtoken.json" }.mapValues { .string(SHA256.hex(of: $0)) })
    let (imported, back) = try exchange.imported(
      "out", to: "back", "--tokenizer", exchange.tokenizer.path)
    #expect(imported.status == 0, "\(imported.all)")
    #expect(
      try exchange.scores(of: back, name: "ours") == [
        exchange.scores(of: run, name: "theirs").last
      ])
    #expect(try exchange.export(back, to: "again", "--shard-bytes", "9000").status == 0)
    let again = try exchange.content("again")
    for (name, bytes) in files where name.hasSuffix(".safetensors") {
      #expect(again[name] == bytes, "\(name)")
    }
    // An import is a function of what is read.
    let (_, twice) = try exchange.imported(
      "out", to: "twice", "--tokenizer", exchange.tokenizer.path)
    #expect(try exchange.content("twice")["index.json"] == exchange.content("back")["index.json"])
    #expect(twice.id == back.id)
  }

  private static func count(_ files: [String: [UInt8]]) -> String {
    let count = files.keys.count { $0.hasSuffix(".safetensors") }
    #expect(count > 3)
    return String(("00000" + "\(count)").suffix(5))
  }

  @Test func snapshotsAndCards() throws {
    let run = try exchange.run(ExchangeStages.model("gpt2"), name: "run")
    let index = try StageIndex(directory: run.path)
    guard case .array(let snapshots)? = index.content["snapshots"],
      case .integer(let first)? = snapshots[0]["step"]
    else {
      Issue.record("no snapshots")
      return
    }
    #expect(try exchange.export(run, to: "first", "--snapshot", "\(first)").status == 0)
    #expect(try exchange.export(run, to: "last").status == 0)
    let (a, b) = (try exchange.content("first"), try exchange.content("last"))
    #expect(a["model.safetensors"] != b["model.safetensors"])
    #expect(a["config.json"] == b["config.json"])
    let card = String(decoding: b["README.md"] ?? [], as: UTF8.self)
    for part in [
      "# Run \(run.id)\n", "| next | ", "ott-train --config run.json", "\"learningRate\": 0.005",
      "library_name: transformers", "SHA-256 `", "| tokenize | \(exchange.tokens.id) |",
    ] { #expect(card.contains(part), "\(part)") }
    #expect(String(decoding: a["README.md"] ?? [], as: UTF8.self).contains(", step \(first)\n"))
    // An untouched export is replaced, another directory is not.
    #expect(try exchange.export(run, to: "last", "--snapshot", "\(first)").status == 0)
    #expect(try exchange.content("last") == a)
    try AtomicFile.write("mine", to: "\(directory)/last/notes.txt")
    let refused = try exchange.export(run, to: "last")
    #expect(refused.status == 1 && refused.errors.contains("notes.txt: would be overwritten"))
    unlink("\(directory)/last/notes.txt")
    try AtomicFile.write("{}", to: "\(directory)/last/config.json")
    let changed = try exchange.export(run, to: "last")
    #expect(changed.status == 1 && changed.errors.contains("other bytes"), "\(changed.all)")
    #expect(try exchange.temporaries().isEmpty)
  }

  @Test func oneMessage() throws {
    let run = try exchange.run(ExchangeStages.model("gpt2"), name: "run")
    try AtomicFile.makeDirectory(directory + "/full")
    try AtomicFile.write("x", to: directory + "/full/x")
    try AtomicFile.write("x", to: directory + "/file")
    let other = try exchange.stages.tokenizer(280, name: "other")
    for (to, more, message) in [
      ("full", [], "full: would be overwritten: expected nothing, or an export of ours"),
      ("file", [], "file: expected a directory, found something else"),
      ("run/out", [], "run/out: cannot be the output: expected a place apart from what is read"),
      ("run", [], "run: cannot be the output"),
      (".", [], "cannot be the output: expected a place apart from what is read"),
      ("out", ["--snapshot", "1"], "--snapshot: expected one of "),
      ("out", ["--tokenizer", other.path], "another tokenizer than the configuration's"),
      ("out", ["--tokenizer", directory + "/nothing"], "nothing"),
    ] {
      let result = try Program.run(
        "ott-export", ["--run", run.path, "--to", "\(directory)/\(to)"] + more, in: directory)
      #expect(result.status == 1 && result.errors.contains(message), "\(to): \(result.all)")
      #expect(result.errors.split(separator: "\n").count == 1)
      #expect(!FileBytes.exists(directory + "/out"))
    }
    let usage = try exchange.export(run, to: "out", "--shard-bytes", "0")
    #expect(usage.status == 2, "\(usage.all)")
    let map = try Program.run(
      "ott-export", ["--run", exchange.map.path, "--to", directory + "/out"])
    #expect(map.status == 1 && map.errors.contains("expected stage 'train' or stage 'import'"))
    // Weights that were altered.
    let index = try StageIndex(directory: run.path)
    guard case .array(let snapshots)? = index.content["snapshots"],
      case .string(let file)? = snapshots.last?["file"]
    else {
      Issue.record("no snapshots")
      return
    }
    var bytes = try FileBytes.read("\(run.path)/\(file)")
    bytes[bytes.count - 1] ^= 1
    try AtomicFile.write(bytes, to: "\(run.path)/\(file)")
    let altered = try exchange.export(run, to: "out")
    #expect(altered.status == 1 && altered.errors.contains("expected SHA-256"), "\(altered.all)")
    #expect(try !FileBytes.exists(directory + "/out") && exchange.temporaries().isEmpty)
  }

  /// The same of a model with f-grams, whose keys are in the weights.
  @Test(arguments: ["gpt2", "olmo2"])
  func fGramsComeBack(architecture: String) throws {
    func discovered(_ count: Int) throws -> StageConfiguration.Input {
      try exchange.stages.run(
        "discover", ["longest": 3, "minimumCount": .integer(count)], ["tokens": exchange.tokens],
        name: "found\(count)"
      ).input
    }
    let found = try discovered(5)
    let map = try exchange.stages.run(
      "map",
      ["kind": "text", "content": "fGrams", "longest": 3, "size": 40, "documentsPerShard": 13],
      ["tokens": exchange.tokens, "tokenizer": exchange.tokenizer, "fgrams": found], name: "grams"
    ).input
    let model = ExchangeStages.model(
      architecture, ["fGrams": ["longest": 3, "layers": 1, "output": "norm"]])
    let (trained, run) = try exchange.stages.run(
      "train", ExchangeStages.training(model), ["data": map], name: "scone")
    #expect(trained.status == 0, "\(trained.all)")
    for (more, message) in [
      ([], "data/discover/\(found.id), found nothing there. Give its place by --fgrams."),
      (["--fgrams", try discovered(6).path], "expected \(found.id), those of the run's data"),
    ] {
      let result = try Program.run(
        "ott-export", ["--run", run.path, "--to", directory + "/out"] + more, in: directory)
      #expect(result.status == 1 && result.errors.contains(message), "\(result.all)")
    }
    let result = try exchange.export(
      run, to: "out", "--fgrams", found.path, "--shard-bytes", "9000")
    #expect(result.status == 0 && result.output.contains("OvertokenForCausalLM"), "\(result.all)")
    #expect(
      try exchange.read(json: "out/config.json")["fgrams"]?["set"] == .string(found.id))
    let (imported, back) = try exchange.imported(
      "out", to: "back", "--tokenizer", exchange.tokenizer.path)
    #expect(imported.status == 0, "\(imported.all)")
    #expect(
      try exchange.scores(of: back, on: map, name: "ours") == [
        exchange.scores(of: run, on: map, name: "theirs").last
      ])
    let again = try exchange.export(
      back, to: "again", "--fgrams", found.path, "--shard-bytes", "9000")
    #expect(again.status == 0, "\(again.all)")
    let (files, others) = (try exchange.content("out"), try exchange.content("again"))
    for (name, bytes) in files where name.hasSuffix(".safetensors") {
      #expect(others[name] == bytes, "\(name)")
    }
    // A run without f-grams.
    let plain = try exchange.export(
      try exchange.run(ExchangeStages.model("gpt2"), name: "plain"), to: "plain-out", "--fgrams",
      found.path)
    #expect(plain.status == 1 && plain.errors.contains("the run has none"), "\(plain.all)")
  }

  /// A kill at any change of a file leaves the directory whole, as it was or not there; the same command
  /// then ends as an undisturbed one, and leaves nothing behind.
  @Test(.enabled(if: FaultLayer.library != nil, "no C compiler"), arguments: [false, true])
  func killsLeaveNothingHalf(replacing: Bool) throws {
    let run = try exchange.run(ExchangeStages.model("gpt2"), name: "run")
    let index = try StageIndex(directory: run.path)
    guard case .array(let snapshots)? = index.content["snapshots"],
      case .integer(let first)? = snapshots[0]["step"]
    else {
      Issue.record("no snapshots")
      return
    }
    let place = directory + "/made"
    try AtomicFile.makeDirectory(place)
    func older() throws {
      try? FileManager.default.removeItem(atPath: place + "/out")
      guard replacing else { return }
      #expect(try exchange.export(run, to: "made/out", "--snapshot", "\(first)").status == 0)
    }
    func command(
      _ fault: FaultLayer.Fault? = nil, at call: Int = 0
    ) throws -> (result: Program.Result, calls: [FaultLayer.Call]) {
      try FaultLayer.run(
        "ott-export", ["--run", run.path, "--to", place + "/out"], in: directory, root: place,
        fault: fault, at: call)
    }
    try older()
    let before = replacing ? try exchange.content("made/out") : nil
    let (whole, calls) = try command()
    #expect(whole.status == 0 && calls.count > 20, "\(whole.all)")
    let reference = try exchange.content("made/out")
    #expect(before != reference)
    for call in stride(from: 1, through: calls.count, by: 3) {
      try older()
      let killed = try command(.kill, at: call).result
      #expect(killed.status != 0, "call \(call)")
      if FileBytes.exists(place + "/out") {
        let found = try exchange.content("made/out")
        #expect(found == before || found == reference, "call \(call)")
      } else {
        #expect(!replacing)
      }
      #expect(try command().result.status == 0)
      #expect(try exchange.content("made/out") == reference, "call \(call)")
      #expect(try AtomicFile.names(in: place) == ["out"], "call \(call)")
    }
  }
}
