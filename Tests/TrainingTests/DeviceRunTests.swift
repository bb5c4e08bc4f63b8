import Checkpoints
import Contracts
import Engine
import Foundation
import Models
import Parallel
import Support
import Testing
import Torch
import Training

private let torch: TorchLibrary? = {
  let variable = ProcessInfo.processInfo.environment[TorchLibrary.variable] ?? ""
  return variable.isEmpty ? nil : try? TorchLibrary.open(.cpu)
}()

@Suite(
  .enabled(if: torch != nil, "no libtorch: set OVERTOKEN_TORCH, or run make torch"), .serialized)
struct DeviceRunTests {
  private static let device: (String, ConfigValue?) = ("training.device", "torch-cpu")

  private static func grammar(
    _ directory: String, _ changes: [(String, ConfigValue?)]
  ) throws -> StageConfiguration {
    TrainerTests.configuration(try MapFixture.write(in: directory), changes)
  }

  private static func text(
    _ directory: String, _ changes: [(String, ConfigValue?)]
  ) throws -> StageConfiguration {
    OverEncodedRunTests.configuration(try TextFixture.write(in: directory), changes)
  }

  private func losses(_ directory: String) throws -> [Double] {
    try String(contentsOfFile: "\(directory)/metrics.jsonl", encoding: .utf8).split(separator: "\n")
      .map {
        var reader = try ConfigReader(
          ConfigValue.parse(json: String($0), source: "metrics"), source: "metrics")
        return try reader.double("loss")
      }
  }

  /// The same lines as the CPU's, the same numbers in them but for rounding, and weights that a model is
  /// made of.
  @Test(arguments: [true, false])
  func aRunIsThatOfTheCPU(isText: Bool) throws {
    try withTemporaryDirectory { directory in
      let make = isText ? Self.text : Self.grammar
      let cpu = try make(directory, [])
      let device = try make(directory, [Self.device])
      #expect(cpu.id != device.id)
      try TrainerTests.train(cpu, in: "\(directory)/cpu")
      let summary = try TrainerTests.train(device, in: "\(directory)/device")
      #expect(summary.facts["trainingDevice"] == "torch-cpu")
      #expect(summary.facts["libtorch"] == .string("\(try #require(torch).version)"))
      let (a, b) = (try losses("\(directory)/device"), try losses("\(directory)/cpu"))
      #expect(a.count == b.count && zip(a, b).allSatisfy { abs($0 / $1 - 1) < 1e-4 }, "\(a) \(b)")
      let (own, other) = (
        try TrainingRunIndex(directory: "\(directory)/device"),
        try TrainingRunIndex(directory: "\(directory)/cpu")
      )
      #expect(own.snapshots.map(\.step) == other.snapshots.map(\.step))
      for snapshot in own.snapshots { try own.verify(snapshot) }
    }
  }

  @Test(arguments: [true, false])
  func anInterruptedRunEndsWithTheSameBytes(isText: Bool) throws {
    try withTemporaryDirectory { directory in
      let configuration = try (isText ? Self.text : Self.grammar)(directory, [Self.device])
      try TrainerTests.train(configuration, in: "\(directory)/once", threads: 2)
      for step in [3, 11] {
        try TrainerTests.train(configuration, in: "\(directory)/twice", stopAfter: step)
      }
      try TrainerTests.train(configuration, in: "\(directory)/twice")
      let names = try FileManager.default.contentsOfDirectory(atPath: "\(directory)/once")
      for name in names {
        #expect(
          try FileBytes.read("\(directory)/once/\(name)")
            == FileBytes.read("\(directory)/twice/\(name)"), "\(name)")
      }
    }
  }

  /// A run on one device begins with the weights of a run on the other.
  @Test func weightsAreExchanged() throws {
    try withTemporaryDirectory { directory in
      let first = try Self.grammar(directory, [])
      try TrainerTests.train(first, in: "\(directory)/first")
      var parameters = first.parameters
      parameters = TrainingPlanTests.changed(
        "training.device", to: "torch-cpu",
        in: TrainingPlanTests.changed("snapshots.initial", to: true, in: parameters))
      let second = StageConfiguration(
        stage: first.stage, version: first.version, parameters: parameters,
        inputs: first.inputs.merging([
          "initial": StageConfiguration.Input(id: first.id, path: "\(directory)/first")
        ]) { $1 }, source: "train.json")
      try TrainerTests.train(second, in: "\(directory)/second")
      let (a, b) = (
        try TrainingRunIndex(directory: "\(directory)/first"),
        try TrainingRunIndex(directory: "\(directory)/second")
      )
      let (last, begun) = (
        try SafeTensorsFile(path: a.path(of: #require(a.snapshots.last))),
        try SafeTensorsFile(path: b.path(of: #require(b.snapshots.first)))
      )
      #expect(last.tensors.keys.sorted() == begun.tensors.keys.sorted())
      for (name, entry) in last.tensors {
        let count = entry.shape.reduce(1, *)
        func values(_ file: SafeTensorsFile) throws -> [Float] {
          var values = [Float](repeating: 0, count: count)
          try values.withUnsafeMutableBufferPointer {
            try file.read(name, shape: entry.shape, into: $0)
          }
          return values
        }
        #expect(try values(last) == values(begun))
      }
    }
  }

  @Test func ranksAreRefused() throws {
    try withTemporaryDirectory { directory in
      let configuration = try Self.grammar(directory, [Self.device])
      let data = try TrainingData(configuration.input("data"), threads: 1)
      let error = #expect(throws: UserError.self) {
        _ = try Trainer(
          configuration: configuration, data: data, output: "\(directory)/run", threads: 1,
          ranks: TwoRanks())
      }
      #expect(try #require(error).description.contains("expected one process, found 2 ranks"))
    }
  }
}

/// One of two ranks, which nobody talks to.
private final class TwoRanks: Communicator {
  let rank = 0
  let size = 2
  func barrier() {}
  func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) {}
  func sendReceive(
    _ bytes: UnsafeRawBufferPointer, to target: Int,
    into received: UnsafeMutableRawBufferPointer, from source: Int
  ) {}
  func abort(_ reason: String) {}
}
