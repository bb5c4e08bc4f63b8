import ArgumentParser
import Contracts
import Foundation
import Stages
import Support
import Testing

@Suite struct RunStageTests {
  /// A directory with a configuration file, removed with its owner.
  final class Room: Sendable {
    let path = FileManager.default.temporaryDirectory.path + "/ott-stage-" + UUID().uuidString
    var output: String { path + "/out/a" }

    init(_ configuration: String = "{stage: map, version: 1, parameters: {n: 3}}") throws {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
      try AtomicFile.write(configuration, to: path + "/config.yaml")
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func options(_ more: [String] = []) throws -> StageOptions {
      try StageOptions.parse(["--config", path + "/config.yaml", "--output", output] + more)
    }

    func run(_ body: (StageContext) throws -> Void) throws {
      try runStage(.map, options: options(["--threads", "3", "--quiet"]), body: body)
    }

    func writeIndex(_ context: StageContext) throws {
      try StageIndex.write(
        to: context.output, configuration: context.configuration, content: ["metadata": ["k": 1]])
    }

    var files: [String] {
      get throws { try FileManager.default.contentsOfDirectory(atPath: output).sorted() }
    }
  }

  @Test func writesIndexAndEvidence() throws {
    let room = try Room()
    try room.run { context in
      #expect(context.threads == 3)
      #expect(context.configuration.parameters == ["n": 3])
      context.evidence["rate"] = 2.5
      try room.writeIndex(context)
    }
    #expect(try room.files == ["evidence.json", "index.json"])
    let index = try StageIndex(directory: room.output)
    #expect(index.id == StageConfiguration(stage: "map", version: 1, parameters: ["n": 3]).id)
    #expect(index.metadata == ["k": 1])
    let evidence = try ConfigValue.load(path: room.output + "/evidence.json")
    #expect(evidence["facts"] == ["rate": 2.5])
    #expect(evidence["threads"] == 3)
    #expect(evidence["id"] == .string(index.id))
  }

  @Test func aFinishedOutputIsLeftAsItIs() throws {
    let room = try Room()
    try room.run(room.writeIndex)
    try room.run { _ in Issue.record("the work was done again") }
    #expect(try room.files == ["evidence.json", "index.json"])
    #expect(try FileManager.default.contentsOfDirectory(atPath: room.path + "/out") == ["a"])
  }

  /// What a reader would refuse is made again.
  @Test(arguments: ["index.json", "evidence.json"])
  func anAlteredOutputIsMadeAgain(file: String) throws {
    let room = try Room()
    try room.run(room.writeIndex)
    let first = try FileBytes.read(room.output + "/index.json")
    for bytes in [[], Array("{}".utf8), try FileBytes.read(room.output + "/" + file) + [32]] {
      try AtomicFile.write(bytes, to: room.output + "/" + file)
      var wasRun = false
      try room.run { context in
        #expect(try room.files == ["evidence.json"])
        wasRun = true
        try room.writeIndex(context)
      }
      // Evidence is compared by its value: a space changes none.
      #expect(wasRun || (file == "evidence.json" && bytes.count > 2))
      #expect(try FileBytes.read(room.output + "/index.json") == first)
    }
  }

  /// A kill between the two leaves no output without its environment.
  @Test func theEvidenceIsThereBeforeTheIndex() throws {
    let room = try Room()
    try room.run { context in
      let early = try EvidenceFile(directory: room.output, id: context.configuration.id)
      #expect(early["finished"] == nil && early["environment"] != nil)
      try room.writeIndex(context)
    }
    #expect(try EvidenceFile(directory: room.output)["finished"] != nil)
  }

  @Test func evidenceKnowsWhatTheOutputWasMadeFrom() throws {
    let room = try Room()
    try room.run(room.writeIndex)
    let map = try StageIndex(directory: room.output)
    func runNext(_ stage: Stage, _ input: StageIndex) throws -> StageIndex {
      let output = "\(room.path)/out/\(stage.rawValue)"
      try AtomicFile.write(
        "{stage: \(stage.rawValue), version: 1, inputs: {data: {id: \(input.id), path: '\(input.directory)'}}}",
        to: room.path + "/next.yaml")
      let options = try StageOptions.parse(
        ["--config", room.path + "/next.yaml", "--output", output, "--quiet"])
      try runStage(stage, options: options, libraries: ["blas": "x"]) { context in
        try StageIndex.write(to: context.output, configuration: context.configuration, content: [:])
      }
      return try StageIndex(directory: output)
    }
    let train = try runNext(.train, map)
    let evaluate = try runNext(.evaluate, train)
    let evidence = try EvidenceFile(directory: evaluate.directory, id: evaluate.id)
    let ids = evidence.history.compactMap { $0["id"] }
    #expect(ids == [map.id, train.id].sorted().map(ConfigValue.string))
    let record = try #require(evidence.history.first { $0["id"] == .string(train.id) })
    #expect(record["content"] == .string(train.digest))
    let environment = try evidence.environment(of: record, remedy: "")
    #expect(environment["libraries"]?["blas"] == "x")
    for key in EvidenceFile.environmentKeys { #expect(environment[key] != nil, "\(key)") }
    // An ancestor that was cleaned away is still known to what was made from it.
    try FileManager.default.removeItem(atPath: room.output)
    #expect(try EvidenceFile(directory: train.directory).history.count == 1)
  }

  /// Any changed bit of the value is found; white space between its parts is none.
  @Test func alteredEvidenceIsRefused() throws {
    let room = try Room()
    try room.run(room.writeIndex)
    let path = room.output + "/evidence.json"
    let whole = try FileBytes.read(path)
    let value = try ConfigValue.load(json: path)
    for position in stride(from: 0, to: whole.count, by: 7) {
      var bytes = whole
      bytes[position] ^= 1 << (position % 7)
      try Data(bytes).write(to: URL(fileURLWithPath: path))
      if (try? ConfigValue.load(json: path)) == value { continue }
      let error = #expect(throws: UserError.self) { try EvidenceFile(directory: room.output) }
      #expect(error?.description.contains(path) == true)
    }
  }

  @Test func anOutputOfAnotherIdIsRefused() throws {
    let room = try Room()
    let options = try StageOptions.parse(
      ["--config", room.path + "/config.yaml", "--output", room.path + "/0123456789ab"])
    let error = #expect(throws: UserError.self) {
      try runStage(.map, options: options) { _ in }
    }
    #expect(
      error?.description.contains("config.yaml: expected the configuration of 0123456789ab") == true
    )
  }

  @Test func aFailedRunLeavesNoIndexAndNoTemporaries() throws {
    let room = try Room()
    #expect(throws: UserError("broken")) {
      try room.run { context in
        let temporary = AtomicFile.temporaryPath(for: context.output + "/x")
        var writer = try FileWriter(creating: temporary, for: temporary)
        try writer.append([1, 2, 3])
        throw UserError("broken")
      }
    }
    #expect(try room.files == ["evidence.json"])
  }

  /// A stage fills its output directory and removes what does not belong there: never an input.
  @Test(arguments: ["out/a", "out", "out/a/deep", "link"])
  func anInputIsNoPlaceForTheOutput(input: String) throws {
    let room = try Room(
      "{stage: map, version: 1, inputs: {tokens: {id: 0123456789ab, path: ROOM/\(input)}}}")
    try AtomicFile.makeDirectory("\(room.path)/out/a/deep")
    try FileManager.default.createSymbolicLink(
      atPath: room.path + "/link", withDestinationPath: "out/a")
    let text = String(decoding: try FileBytes.read(room.path + "/config.yaml"), as: UTF8.self)
    try AtomicFile.write(
      text.replacing("ROOM", with: room.path), to: room.path + "/config.yaml")
    try AtomicFile.write("mine", to: room.path + "/out/a/00000.shard")
    let error = #expect(throws: UserError.self) {
      try room.run { _ in Issue.record("the work was begun") }
    }
    #expect(error?.description.contains("cannot be the output") == true)
    #expect(try room.files == ["00000.shard", "deep"])
    #expect(try AtomicFile.names(in: room.path + "/out") == ["a"])
  }

  @Test func staleTemporariesGo() throws {
    let room = try Room()
    try AtomicFile.makeDirectory(room.output)
    // Process 2³¹ − 1 is above every pid_max.
    try AtomicFile.write("x", to: room.output + "/.a.shard.tmp-2147483647")
    try AtomicFile.write("x", to: room.output + "/.a.shard.tmp-1")
    try AtomicFile.write("x", to: room.output + "/.keep")
    try room.run(room.writeIndex)
    #expect(try room.files == [".a.shard.tmp-1", ".keep", "evidence.json", "index.json"])
  }

  @Test func anotherFinishedOutputIsNotOverwritten() throws {
    let room = try Room()
    try room.run(room.writeIndex)
    try AtomicFile.write(
      "{stage: map, version: 1, parameters: {n: 4}}", to: room.path + "/config.yaml")
    let error = #expect(throws: UserError.self) { try room.run(room.writeIndex) }
    #expect(error?.description.contains("holds another finished output") == true)
    #expect(try StageIndex(directory: room.output).parameters == ["n": 3])
  }

  @Test(arguments: [
    ("{stage: sample, version: 1}", "stage: expected 'map', found 'sample'"),
    ("{stage: map, version: 2}", "version: expected 1 (of this ott-map), found 2"),
    ("{stage: map, version: 1, paramters: {}}", "Did you mean 'parameters'?"),
    ("{stage: map, version: 1, inputs: {a: {id: x, path: y}}}", "inputs.a.id"),
    ("{stage: map}", "version: expected an integer, found no such key"),
    ("[1]", "expected an object, found an array of 1"),
  ])
  func refusesConfigurations(text: String, message: String) throws {
    let room = try Room(text)
    let error = #expect(throws: UserError.self) { try room.run(room.writeIndex) }
    #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
    #expect(!FileBytes.exists(room.output))
  }

  @Test func anOutputThatIsAFileIsOneMessage() throws {
    let room = try Room()
    try AtomicFile.write("x", to: room.path + "/out")
    let error = #expect(throws: UserError.self) { try room.run(room.writeIndex) }
    #expect(error?.description.contains("cannot create this directory") == true)
  }

  @Test(arguments: ["0", "-1", "1025", "x"])
  func refusesThreadCounts(threads: String) throws {
    let room = try Room()
    #expect(throws: (any Error).self) { try room.options(["--threads=" + threads]) }
  }

  struct Probe: Command {
    static let configuration = CommandConfiguration(
      commandName: "ott-probe", version: versionText("ott-probe", stage: 3))
    @Option var number: Int
    func run() throws {}
  }

  @Test func errorsMapToExitStatus() {
    #expect(Probe.report(UserError("a fault")) == 1)
    #expect(Probe.report(InterruptedError(signal: 2)) == 130)
    #expect(Probe.report(InterruptedError(signal: 15)) == 143)
    #expect(Probe.report(ReaderGone()) == 141)
    #expect(Probe.report(ValidationError("no")) == 2)
    for (arguments, status) in [
      (["--number", "x"], 2), ([], 2), (["--help"], 0), (["--version"], 0),
    ]
      as [([String], Int32)]
    {
      let error = #expect(throws: (any Error).self) {
        var command = try Probe.parseAsRoot(arguments)
        try command.run()
      }
      if let error { #expect(Probe.report(error) == status, "\(arguments)") }
    }
    #expect(versionText("ott-probe", stage: 3) == "ott-probe \(Product.version) stage-version 3")
  }
}

@Suite struct HostTests {
  @Test func theBuildSuitsThisCPU() throws {
    try Host.requireBuildFeatures()
    #expect(Host.threads >= 1)
    #expect(Host.memoryBytes > 0)
    #expect(!Host.cpuModel.isEmpty)
    #expect(Host.peakMemoryBytes > 0)
  }
}
