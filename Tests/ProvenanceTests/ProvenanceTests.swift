import Contracts
import Foundation
import NGrams
import Provenance
import Shards
import Stages
import Stores
import Support
import Testing

/// A cache with one shard set and one listed file, and results published from it.
final class TemporaryCache {
  let directory = NSTemporaryDirectory() + "provenance-" + UUID().uuidString
  let map: String
  let report: String

  init() throws {
    func run(
      _ stage: Stage, inputs: [String: StageConfiguration.Input], parameters: ConfigValue,
      in directory: String, _ body: (StageContext) throws -> Void
    ) throws -> String {
      let configuration = StageConfiguration(
        stage: stage.rawValue, version: stage.version, parameters: parameters, inputs: inputs)
      let path = "\(directory)/\(stage.rawValue).json"
      try AtomicFile.makeDirectory(directory)
      try AtomicFile.write(configuration.file.prettyJSON, to: path)
      let output = "\(directory)/data/\(stage.rawValue)/\(configuration.id)"
      let options = try StageOptions.parse(["--config", path, "--output", output, "--quiet"])
      try runStage(stage, options: options, libraries: ["zstd": "1"], body: body)
      return output
    }
    let map = try run(.map, inputs: [:], parameters: ["seed": 5], in: directory) { context in
      let writer = try ShardSetWriter(
        directory: context.output, element: .u8, columns: [Column("a", cardinality: 9)],
        configuration: context.configuration)
      try writer.writeShard(0) { try $0.append(document: [1, 2, 3] as [UInt8]) }
      try writer.finish(metadata: [:])
    }
    let input = StageConfiguration.Input(id: String(map.suffix(12)), path: map)
    report = try run(
      .report, inputs: ["1-gram/large/1": input],
      parameters: ["figure": "figure2", "preset": "tiny", "seeds": [1]], in: directory
    ) { context in
      let json: ConfigValue = ["claims": [["model": "1-gram", "effect": 0.25]]]
      try AtomicFile.write(json.prettyJSON, to: context.output + "/figure2.json")
      try AtomicFile.write(
        "model,size,seed,loss\n1-gram,large,1,0.5\n", to: context.output + "/figure2.csv")
      try StageIndex.write(
        to: context.output, configuration: context.configuration,
        content: [
          "files": try StageIndex.describe(
            files: ["figure2.json", "figure2.csv"], in: context.output)
        ])
    }
    self.map = map
    let results = directory + "/results/tiny"
    try AtomicFile.makeDirectory(results)
    for name in ["figure2.json", "figure2.csv"] {
      try AtomicFile.write(FileBytes.read("\(report)/\(name)"), to: "\(results)/\(name)")
    }
    try AtomicFile.write(
      FileBytes.read("\(report)/evidence.json"), to: "\(results)/figure2.evidence.json")
  }

  deinit { try? FileManager.default.removeItem(atPath: directory) }

  var verification: Verification {
    get throws {
      var verification = Verification(threads: 2)
      try verification.check(cache: directory + "/data")
      try verification.check(results: directory + "/results")
      return verification
    }
  }
}

@Suite struct VerificationTests {
  let cache: TemporaryCache

  init() throws { cache = try TemporaryCache() }

  @Test func wholeOutputsAreOk() throws {
    try AtomicFile.write("x", to: cache.directory + "/results/tiny/other.csv")
    let verification = try cache.verification
    #expect(verification.faults.isEmpty, "\(verification.faults)")
    #expect(verification.outputs == 3)
    #expect(verification.files == 5)
    #expect(verification.unchecked == [cache.directory + "/results/tiny/other.csv"])
    var nothing = Verification(threads: 1)
    try nothing.check(cache: cache.directory + "/nowhere")
    #expect(nothing.outputs == 0)
  }

  @Test(arguments: [
    "map/00000.shard", "map/index.json", "map/evidence.json", "report/figure2.csv",
    "report/index.json", "results/figure2.json", "results/figure2.evidence.json",
  ])
  func everyAlteredFileIsNamed(name: String) throws {
    let parts = name.split(separator: "/").map(String.init)
    let folders = [
      "map": cache.map, "report": cache.report, "results": cache.directory + "/results/tiny",
    ]
    let path = "\(try #require(folders[parts[0]]))/\(parts[1])"
    let whole = try FileBytes.read(path)
    for position in stride(from: 1, to: whole.count, by: max(1, whole.count / 23)) {
      var bytes = whole
      bytes[position] ^= 1
      try AtomicFile.write(bytes, to: path)
      let faults = try cache.verification.faults
      #expect(faults.contains { $0.contains(path) }, "byte \(position): \(faults)")
    }
    unlink(path)
    if parts[1] != "index.json", parts[0] != "results" {
      #expect(try cache.verification.faults.contains { $0.contains(path) })
    }
  }

  /// Stores are checked by the digests of their headers and contents.
  @Test func storesAreOutputsToo() throws {
    let set = FGramSet(vocabulary: 3, levels: [([1, 2 << 32], [1, 1])], longest: 2)
    let configuration = StageConfiguration(
      stage: "map", version: 1, parameters: ["store": true], inputs: [:])
    let path = cache.directory + "/store.json"
    try AtomicFile.write(configuration.file.prettyJSON, to: path)
    let output = "\(cache.directory)/data/map/\(configuration.id)"
    let options = try StageOptions.parse(["--config", path, "--output", output, "--quiet"])
    try runStage(.map, options: options) { context in
      let store = try FGramStore.write(
        set,
        description: StoreDescription(
          vocabulary: 3, longest: 2, count: 2, width: 3, precision: .float32, model: "a",
          fGrams: "b"), to: context.output
      ) { try $0.append(zeroRows: 2) }
      try StageIndex.write(
        to: context.output, configuration: context.configuration, content: ["store": store])
    }
    #expect(try cache.verification.faults.isEmpty)
    #expect(try cache.verification.files == 7)
    for file in ["keys", "rows"] {
      let whole = try FileBytes.read("\(output)/\(file)")
      try AtomicFile.write(whole.dropLast() + [1], to: "\(output)/\(file)")
      #expect(try cache.verification.faults.contains { $0.contains("\(output)/\(file)") })
      try AtomicFile.write(whole, to: "\(output)/\(file)")
    }
  }

  @Test func evidenceOfAnotherFormatIsNamed() throws {
    let path = cache.directory + "/results/tiny/figure2.evidence.json"
    let text = String(decoding: try FileBytes.read(path), as: UTF8.self)
    try AtomicFile.write(
      text.replacingOccurrences(of: "\"formatVersion\": 2", with: "\"formatVersion\": 1"), to: path)
    let faults = try cache.verification.faults
    #expect(faults.count == 1 && faults[0].contains("format 2"), "\(faults)")
  }
}

@Suite struct ExplanationTests {
  let cache: TemporaryCache

  init() throws { cache = try TemporaryCache() }

  private func address(_ place: String) throws -> NumberAddress {
    try NumberAddress("\(cache.directory)/results/tiny/\(place)", preset: "tiny")
  }

  @Test(arguments: [
    ("figure2.json:claims/0/effect", ConfigValue.double(0.25)),
    ("figure2.csv:2/loss", .double(0.5)), ("figure2.csv:2/seed", .integer(1)),
    ("figure2.csv:2/model", .string("1-gram")),
  ])
  func numbersAreFound(place: String, value: ConfigValue) throws {
    #expect(try address(place).resolve().value == value)
  }

  @Test(arguments: [
    ("figure2.json", "one of claims"), ("figure2.json:clams/0", "Did you mean 'claims'?"),
    ("figure2.json:claims/1/effect", "one of 0...0"), ("figure2.json:claims/0", "effect, model"),
    ("figure2.json:claims/0/effect/x", "expected the end"), ("figure2.csv:1/loss", "2...2"),
    ("figure2.csv:3/loss", "2...2"), ("figure2.csv:2/los", "Did you mean 'loss'?"),
    ("figure2.csv", "one of model, size, seed, loss"), ("figure2.csv:x/loss", "2...2"),
  ])
  func otherPlacesSayWhatThereIs(place: String, words: String) throws {
    let error = #expect(throws: UserError.self) { try address(place).resolve() }
    #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
  }

  @Test func missingFilesAreNamed() {
    for text in ["", ":", "none.json:a", "results:x"] {
      #expect(throws: UserError.self) {
        try NumberAddress(text, preset: "tiny").resolve()
      }
    }
  }

  @Test func theWayBackIsComplete() throws {
    let text = try Explanation(address("figure2.csv:2/loss")).lines.joined(separator: "\n")
    let index = try StageIndex(directory: cache.map)
    let set = try ShardSet(directory: cache.map)
    for word in [
      "figure2.csv:2/loss = 0.5", "made of 1 of the 1 runs", #"{"seed":5}"#, index.digest,
      set.shards[0].rawDigest, "(1-gram/large/1)", "is the digest of these settings",
      "environment 1", "cpu  \(Host.cpuModel)", "code  ", "libraries  ", "executable  ",
    ] {
      #expect(text.contains(word), "\(word) in \(text)")
    }
    #expect(!text.contains("IS NOT"))
  }

  /// Runs of twelve machines: the tenth follows the ninth.
  @Test func environmentsComeInTheOrderOfTheirNumbers() throws {
    let results = cache.directory + "/results/tiny"
    let path = results + "/figure2.evidence.json"
    let evidence = try EvidenceFile(path: path, remedy: "")
    guard case .object(let own)? = evidence.environments.values.first else {
      Issue.record("no environment")
      return
    }
    var members = evidence.members
    var environments = evidence.environments
    var inputs: [String: ConfigValue] = [:]
    var history: [ConfigValue] = []
    for seed in 1...11 {
      let environment = ConfigValue.object(own.merging(["host": .string("host \(seed)")]) { $1 })
      let key = EvidenceFile.key(of: environment)
      environments[key] = environment
      inputs["1-gram/large/\(seed)"] = .string("\(seed)")
      history.append([
        "stage": "map", "id": .string("\(seed)"), "inputs": [:], "environment": .string(key),
      ])
    }
    members["inputs"] = .object(inputs)
    members["history"] = .array(history)
    members["environments"] = .object(environments)
    try EvidenceFile.write(members, to: results)
    try AtomicFile.write(FileBytes.read(results + "/evidence.json"), to: path)
    let lines = try Explanation(address("figure2.json:claims/0/effect")).lines
    let headings = lines.filter { $0.hasPrefix("environment ") }
    #expect(headings == (1...12).map { "environment \($0)" })
  }

  @Test func aFileThatNobodyVouchesForIsRefused() throws {
    let path = cache.directory + "/results/tiny/figure2.csv"
    try AtomicFile.write("model,size,seed,loss\n1-gram,large,1,0.25\n", to: path)
    let error = #expect(throws: UserError.self) { try Explanation(address("figure2.csv:2/loss")) }
    #expect(error?.description.contains("figure2.csv") == true)
    unlink(cache.directory + "/results/tiny/figure2.evidence.json")
    #expect(throws: UserError.self) { try Explanation(address("figure2.csv:2/loss")) }
  }
}
