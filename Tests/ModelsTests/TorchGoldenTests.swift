import Engine
import Foundation
import Models
import Support
import Testing
import Torch

private let torch: TorchLibrary? = {
  let variable = ProcessInfo.processInfo.environment[TorchLibrary.variable] ?? ""
  return variable.isEmpty ? nil : try? TorchLibrary.open(.cpu)
}()

/// What libtorch computes beside what PyTorch does by its own autograd: gradients, and ten steps.
@Suite(
  .enabled(if: torch != nil, "no libtorch: set OVERTOKEN_TORCH, or run make torch"), .serialized)
struct TorchGoldenTests {
  private func engine(_ golden: Golden) throws -> DeviceTrainingEngine {
    let plan = golden.configuration.plan(.training, rows: 100)
    let store = ParameterStore(layout: plan.layout, moments: true)
    try golden.load(into: store)
    return try DeviceTrainingEngine(
      plan: plan, parameters: store, lanes: 1, #require(torch), source: "test")
  }

  @Test(arguments: fixtures)
  func gradientsAgree(fixture: String) throws {
    let golden = try Golden(fixture)
    let engine = try engine(golden)
    let statistics = try engine.computeGradients(golden.lanes(1))
    #expect(abs(statistics.meanLoss / golden.losses[0] - 1) < tolerance)
    #expect(abs(statistics.gradientNorm / golden.norms[0] - 1) < tolerance)
    for slot in engine.plan.layout.slots {
      let error = distance(
        try engine.gradient(of: slot), try golden.array("gradient", slot.name))
      #expect(error < tolerance, "gradient of \(slot.name): \(error)")
    }
    for (i, table) in engine.plan.layout.tables.enumerated() {
      let error = distance(
        dense(try engine.tableGradient(i), of: table), try golden.array("gradient", table.name))
      #expect(error < tolerance, "gradient of \(table.name): \(error)")
    }
  }

  @Test(arguments: fixtures)
  func tenStepsAgree(fixture: String) throws {
    let golden = try Golden(fixture)
    let engine = try engine(golden)
    for (i, rate) in golden.learningRates.enumerated() {
      let statistics = try engine.step(
        golden.lanes(1, step: i), learningRate: rate, optimizer: .init(),
        tableOptimizer: golden.tableOptimizer)
      #expect(abs(statistics.meanLoss / golden.losses[i] - 1) < 2 * tolerance, "step \(i)")
      #expect(abs(statistics.gradientNorm / golden.norms[i] - 1) < 10 * tolerance, "step \(i)")
    }
    try engine.saveParameters()
    let store = engine.parameters
    let C = golden.configuration.width
    for slot in store.layout.slots {
      var (values, expected) = (store.values(slot), try golden.array("final", slot.name))
      if slot.name.hasSuffix("c_attn.bias") {
        values.replaceSubrange(C..<2 * C, with: [])
        expected.replaceSubrange(C..<2 * C, with: [])
      }
      #expect(distance(values, expected) < 10 * tolerance, "\(slot.name)")
    }
    for table in store.tables {
      #expect(
        distance(values(of: table, in: store), try golden.array("final", table.slot.name))
          < 10 * tolerance, "\(table.slot.name)")
    }
  }
}
