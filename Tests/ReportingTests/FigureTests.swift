import Contracts
import Foundation
import Reporting
import Statistics
import Support
import Testing

/// A finished figure of made-up scores in a temporary directory.
final class TemporaryFigure {
  let directory = NSTemporaryDirectory() + "reporting-" + UUID().uuidString
  static let variants = ["1-gram", "3-gram input"]
  static let sizes = ["large", "small"]
  static let seeds = [1, 2, 3]

  init() throws {
    try AtomicFile.makeDirectory(directory)
    try AtomicFile.write(
      """
      set terminal svg
      set output svg
      set datafile separator ","
      plot csv using 6:10 skip 1 with points

      """, to: directory + "/figure.gnuplot")
  }

  deinit { try? FileManager.default.removeItem(atPath: directory) }

  func accuracy(_ variant: String, _ size: String, _ seed: Int, step: Int) -> Double {
    (variant == "1-gram" ? 0.25 : 0.5) * (size == "large" ? 1 : 0.5) + 0.001 * Double(seed * step)
  }

  /// Writes the index of one evaluation and returns it as an input.
  func evaluation(
    _ variant: String, _ size: String, _ seed: Int, steps: [Int] = [10, 20]
  ) throws -> StageConfiguration.Input {
    let configuration = StageConfiguration(
      stage: "evaluate", version: 1,
      parameters: [
        "kind": "grammar", "variant": .string(variant), "size": .string(size),
        "seed": .integer(seed),
      ],
      inputs: ["run": .init(id: "0123456789ab", path: "nowhere")])
    let path = directory + "/" + configuration.id
    try AtomicFile.makeDirectory(path)
    let snapshots = steps.map { step -> ConfigValue in
      let accuracy = accuracy(variant, size, seed, step: step)
      let unseen: ConfigValue = [
        "accuracy": 0.2, "accuracyLow": 0.1, "accuracyHigh": 0.3, "excessNatsPerCharacter": 0.4,
        "excessStandardError": 0.01, "heldoutShare": 0.75,
      ]
      var members: [String: ConfigValue] = [
        "step": .integer(step), "sentences": .integer(64 * step),
        "characters": .integer(1000 * step + seed), "samples": 1000,
        "accuracy": .double(accuracy), "accuracyLow": .double(accuracy - 0.01),
        "accuracyHigh": .double(accuracy + 0.01), "natsPerCharacter": .double(0.75),
        "excessNatsPerCharacter": .double(0.5 - accuracy / 4), "excessStandardError": 0.001,
      ]
      if step == steps.last { members["unseen"] = unseen }
      return .object(members)
    }
    try StageIndex.write(
      to: path, configuration: configuration,
      content: [
        "metadata": [
          "parameters": 1234, "model": ["width": 64], "snapshots": .array(snapshots),
        ]
      ])
    try writeEvidence(of: configuration, run: "0123456789ab", in: path)
    return .init(id: configuration.id, path: path)
  }

  func configuration(
    change: (inout [String: StageConfiguration.Input]) throws -> Void = { _ in }
  ) throws -> StageConfiguration {
    var inputs: [String: StageConfiguration.Input] = [:]
    for variant in Self.variants {
      for size in Self.sizes {
        for seed in Self.seeds {
          inputs[runName(variant: variant, size: size, seed: seed)] =
            try evaluation(variant, size, seed)
        }
      }
    }
    try change(&inputs)
    let script = directory + "/figure.gnuplot"
    return StageConfiguration(
      stage: "report", version: 1,
      parameters: [
        "kind": "grammar", "figure": "figure2", "preset": "test", "title": "A test",
        "drawing": .string(script),
        "drawingDigest": .string(SHA256.hex(of: try FileBytes.read(script))),
        "panels": [["name": "right", "variants": ["1-gram", "3-gram input"]]],
        "sizes": ["large", "small"], "seeds": [1, 2, 3],
        "claims": [
          [
            "panel": "right", "variant": "3-gram input", "baseline": "1-gram", "size": "large",
            "statement": "better", "row": "3-gram input 85M vs 1-gram 85M",
          ],
          [
            "panel": "right", "variant": "3-gram input", "baseline": "1-gram", "size": "small",
            "statement": "worse", "row": "made up",
          ],
        ],
      ], inputs: inputs)
  }
}

@Suite struct FigureTests {
  let files: TemporaryFigure

  init() throws { files = try TemporaryFigure() }

  @Test func csvHasOneRowAnObservation() throws {
    let figure = try Figure(files.configuration())
    let lines = figure.csv.split(separator: "\n").map(String.init)
    #expect(lines.count == 1 + 2 * 2 * 3 * 2)
    #expect(
      lines[0]
        == "panel,model,size,parameters,seed,step,characters,nats_per_char,excess_nats_per_char,"
        + "accuracy,accuracy_low,accuracy_high,sentences,excess_error,accuracy_unseen,"
        + "accuracy_unseen_low,accuracy_unseen_high,excess_unseen,excess_unseen_error,"
        + "heldout_unseen_share")
    #expect(
      lines[1] == "right,1-gram,large,1234,1,10,10001,0.75,0.435,0.26,0.25,0.27,640,0.001,,,,,,")
    #expect(lines[2].hasSuffix(",1280,0.001,0.2,0.1,0.3,0.4,0.01,0.75"))
    #expect(
      lines.allSatisfy { $0.split(separator: ",", omittingEmptySubsequences: false).count == 20 })
  }

  @Test func claimsAreJudgedAtTheEnd() throws {
    let figure = try Figure(files.configuration())
    let claims = figure.judgedClaims
    #expect(claims.map(\.verdict) == [.sameDirection, .oppositeDirection])
    #expect(abs(claims[0].accuracy.effect - 0.25) < 1e-12)
    #expect(abs(claims[1].excess.effect + 0.125 / 4) < 1e-12)
    let json = figure.json
    #expect(json["claims"] == .array(claims.map(\.value)))
    guard case .array(let values)? = json["claims"] else { Issue.record("no claims"); return }
    #expect(values[0]["verdict"] == "same direction")
    #expect(values[0]["excessNatsPerCharacter"]?["verdict"] == "same direction")
    #expect(values[0]["unseen"]?["accuracy"]?["verdict"] == "inconclusive")
    #expect(values[1]["accuracy"]?["verdict"] == "opposite direction")
    #expect(
      claims[0].summary.hasPrefix(
        "3-gram input vs 1-gram, large: accuracy +0.250 [+0.242, +0.258], paper says better: "
          + "same direction, settled; sentences for the same loss "), "\(claims[0].summary)")
  }

  /// A statement that no paper makes is called ours where it is printed and published.
  @Test func statementsOfOursAreCalledSo() throws {
    var configuration = try files.configuration()
    guard case .object(var parameters) = configuration.parameters,
      case .array(var claims)? = parameters["claims"], case .object(var first) = claims[0]
    else { Issue.record("no claims"); return }
    first["by"] = "ours"
    claims[0] = .object(first)
    parameters["claims"] = .array(claims)
    configuration = StageConfiguration(
      stage: "report", version: 1, parameters: .object(parameters), inputs: configuration.inputs)
    let judged = try Figure(configuration).judgedClaims
    #expect(judged[0].summary.contains(", we say better: "), "\(judged[0].summary)")
    #expect(judged[1].summary.contains(", paper says worse: "), "\(judged[1].summary)")
    #expect(judged.map { $0.value["by"] } == ["ours", nil])
  }

  /// The variant is below the baseline's last loss from its first snapshot on: a bound, and what the last
  /// doubling still gave is less than the gap.
  @Test func speedIsJudgedBesideTheEnd() throws {
    let claim = try Figure(files.configuration()).judgedClaims[0]
    let speed = try #require(claim.speeds[.excess])
    #expect(speed.baseline == [.at(1280), .at(1280), .at(1280)])
    #expect(speed.variant == [.before(640), .before(640), .before(640)])
    #expect(speed.ratio.atMost == 0.5 && speed.ratio.pValue == 0.1)
    #expect(claim.speedVerdict == .inconclusive)
    #expect(speed.text == "× at most 0.50")
    #expect(claim.speeds[.accuracy50]?.baseline == [.after(1280), .after(1280), .after(1280)])
    #expect(claim.speeds[.accuracy90]?.ratio.pValue == 1)
    // Ten steps more by 0.001 a step, seed and quarter: on average 0.005.
    let falls = [claim.variantFall, claim.baselineFall].compactMap { $0 }
    #expect(falls.count == 2 && falls.allSatisfy { abs($0 - 0.005) < 1e-12 })
    #expect(claim.isSettled == true)
    #expect(
      claim.value["speed"]?["excess"]?["model"] == [
        ["before": 640.0], ["before": 640.0], ["before": 640.0],
      ])
  }

  /// Everything but the origin of the runs is in the CSV.
  @Test func theCSVSaysAll() throws {
    let figure = try Figure(files.configuration())
    var origins: [String: Figure.Origin] = [:]
    for run in figure.runs {
      origins[runName(variant: run.variant, size: run.size, seed: run.seed)] = Figure.Origin(
        evaluate: run.id, train: run.trainID, model: run.model)
    }
    let csv = figure.csv
    let table = try PublishedTable(Array(csv.utf8), source: "figure2.csv")
    let again = try Figure(figure.parameters, table, origins: origins)
    #expect(again.csv == csv && again.json.prettyJSON == figure.json.prettyJSON)
    // An older CSV says less: no sampling noise of the loss, no unseen strings.
    let old = csv.split(separator: "\n").map {
      $0.split(separator: ",", omittingEmptySubsequences: false).prefix(13).joined(separator: ",")
    }.joined(separator: "\n")
    let older = try Figure(
      figure.parameters, PublishedTable(Array(old.utf8), source: "figure2.csv"), origins: origins)
    #expect(older.judgedClaims[0].excess.samplingError == 0)
    #expect(older.judgedClaims[0].unseenAccuracy == nil)
    #expect(older.judgedClaims[0].accuracy == figure.judgedClaims[0].accuracy)
  }

  @Test func theSameBytesTwice() throws {
    let configuration = try files.configuration()
    var bytes: [[[UInt8]]] = []
    for name in ["a", "b"] {
      let output = files.directory + "/" + name
      try AtomicFile.makeDirectory(output)
      #expect(try FigureReport.write(configuration, to: output).count == 2)
      bytes.append(
        try ["figure2.csv", "figure2.json", "figure2.svg", "index.json"].map {
          try FileBytes.read(output + "/" + $0)
        })
    }
    #expect(bytes[0] == bytes[1])
    #expect(bytes[0][2].count > 1000)
    #expect(try StageIndex(directory: files.directory + "/a").id == configuration.id)
  }

  func message(_ change: (inout [String: StageConfiguration.Input]) throws -> Void) throws -> String
  {
    let configuration = try files.configuration(change: change)
    return #expect(throws: UserError.self) { _ = try Figure(configuration) }?.description ?? ""
  }

  @Test func missingAndForeignRunsAreRefused() throws {
    let name = "3-gram input/small/2"
    #expect(
      try message { $0[name] = nil }
        == "run '\(name)': expected an evaluated run among the inputs, found none. "
        + "Make the figure again: every make writes its configuration anew.")
    let other = try message {
      $0[name] = try files.evaluation("3-gram input", "small", 2, steps: [10, 30])
    }
    #expect(other.hasPrefix("run '\(name)': expected snapshots at steps [10, 20]"))
    let foreign = try message {
      $0[name] = .init(id: "0123456789ab", path: try files.evaluation("1-gram", "large", 1).path)
    }
    #expect(foreign.contains("expected stage evaluate, id 0123456789ab, found stage evaluate"))
    let absent = try message { $0[name] = .init(id: "0123456789ab", path: "nowhere") }
    #expect(absent.hasPrefix("nowhere/index.json: expected the index of a finished stage"))
  }

  /// A number whose machine and code nobody knows is no result.
  @Test func aRunWithoutItsEnvironmentIsRefused() throws {
    let configuration = try files.configuration()
    let output = files.directory + "/out"
    try AtomicFile.makeDirectory(output)
    func message(_ change: (String) throws -> Void) throws -> String {
      let input = try configuration.input("3-gram input/small/2")
      let path = input.path + "/evidence.json"
      let before = try FileBytes.read(path)
      try change(path)
      let error = #expect(throws: UserError.self) {
        try FigureReport.write(configuration, to: output)
      }
      #expect(!FileBytes.exists(output + "/index.json"))
      try AtomicFile.write(before, to: path)
      return error?.description ?? ""
    }
    #expect(
      try message { unlink($0) }.contains("expected the environment that the output was made in"))
    #expect(try message { try AtomicFile.write("{}", to: $0) }.contains("found another file"))
    let index = try StageIndex(directory: configuration.input("3-gram input/small/2").path)
    let evaluation = StageConfiguration(
      stage: "evaluate", version: 1, parameters: index.parameters,
      inputs: ["run": .init(id: "0123456789ab", path: "nowhere")])
    #expect(
      try message { _ in
        try writeEvidence(
          of: evaluation, run: "0123456789ab", in: index.directory, without: "code")
      }.contains("train 0123456789ab: environment.code"))
    #expect(
      try message { _ in
        try writeEvidence(of: evaluation, run: "ba9876543210", in: index.directory)
      }.contains("expected the training run 0123456789ab, found no record"))
    #expect(try FigureReport.write(configuration, to: output).count == 2)
  }

  @Test func anotherScriptThanMeantIsRefused() throws {
    let configuration = try files.configuration()
    try AtomicFile.write("# changed\n", to: files.directory + "/figure.gnuplot")
    let output = files.directory + "/out"
    try AtomicFile.makeDirectory(output)
    let error = #expect(throws: UserError.self) {
      try FigureReport.write(configuration, to: output)
    }
    #expect(error?.description.contains("figure.gnuplot: expected the script with digest") == true)
    #expect(!FileBytes.exists(output + "/index.json"))
  }

  @Test func aFailingScriptIsReported() throws {
    try AtomicFile.write("plot nothing at all\n", to: files.directory + "/figure.gnuplot")
    let configuration = try files.configuration()
    let output = files.directory + "/out"
    try AtomicFile.makeDirectory(output)
    let error = #expect(throws: UserError.self) {
      try FigureReport.write(configuration, to: output)
    }
    #expect(error?.description.contains("expected a picture, found status 1") == true)
    #expect(!FileBytes.exists(output + "/index.json"))
  }
}
