import ArgumentParser
import Foundation
import Stages
import Support
import Testing

@Suite struct RunStageTests {
  /// A directory with a configuration file, removed with its owner.
  final class Room {
    let path = FileManager.default.temporaryDirectory.path + "/ott-stage-" + UUID().uuidString
    var output: String { path + "/out/a" }

    init(_ configuration: String = "{stage: map, version: 2, parameters: {n: 3}}") throws {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
      try AtomicFile.write(configuration, to: path + "/config.yaml")
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func options(_ more: [String] = []) throws -> StageOptions {
      try StageOptions.parse(["--config", path + "/config.yaml", "--output", output] + more)
    }

    func run(_ body: (StageContext) throws -> Void) throws {
      try runStage("map", version: 2, options: options(["--threads", "3", "--quiet"]), body: body)
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
    #expect(index.id == StageConfiguration(stage: "map", version: 2, parameters: ["n": 3]).id)
    #expect(index.metadata == ["k": 1])
    let evidence = try ConfigValue.load(path: room.output + "/evidence.json")
    #expect(evidence["facts"] == ["rate": 2.5])
    #expect(evidence["threads"] == 3)
    #expect(evidence["id"] == .string(index.id))
  }

  @Test func aRerunGivesTheSameIndex() throws {
    let room = try Room()
    try room.run(room.writeIndex)
    let first = try FileBytes.read(room.output + "/index.json")
    try room.run { context in
      #expect(try room.files == ["evidence.json"])
      try room.writeIndex(context)
    }
    #expect(try FileBytes.read(room.output + "/index.json") == first)
  }

  @Test func aFailedRunLeavesNoIndexAndNoTemporaries() throws {
    let room = try Room()
    try room.run(room.writeIndex)
    #expect(throws: UserError("broken")) {
      try room.run { context in
        let temporary = AtomicFile.temporaryPath(for: context.output + "/x")
        var writer = try FileWriter(creating: temporary)
        try writer.append([1, 2, 3])
        throw UserError("broken")
      }
    }
    #expect(try room.files == ["evidence.json"])
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
      "{stage: map, version: 2, parameters: {n: 4}}", to: room.path + "/config.yaml")
    let error = #expect(throws: UserError.self) { try room.run(room.writeIndex) }
    #expect(error?.description.contains("holds another finished output") == true)
    #expect(try StageIndex(directory: room.output).parameters == ["n": 3])
  }

  @Test(arguments: [
    ("{stage: sample, version: 2}", "stage: expected 'map', found 'sample'"),
    ("{stage: map, version: 1}", "version: expected 2 (of this ott-map), found 1"),
    ("{stage: map, version: 2, paramters: {}}", "Did you mean 'parameters'?"),
    ("{stage: map, version: 2, inputs: {a: {id: x, path: y}}}", "inputs.a.id"),
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
