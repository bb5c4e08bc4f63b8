import Contracts
import Foundation
import Models
import Planning
import Support
import Testing

/// Plans of figures whose steps and scores a device makes.
@Suite struct DevicePlanTests {
  let project: TemporaryProject

  init() throws { project = try TemporaryProject() }

  private func plan(
    _ figure: String, _ preset: String, _ device: (@Sendable (DeviceWork) throws -> Double?)?
  ) throws -> Plan {
    var rates = Rates { rows, width, _ in Double(rows * width) * 1e6 }
    rates.device = device
    rates.deviceFault = { _ in "a reason." }
    let experiment = try Experiment(figure: figure, preset: preset, in: project.directory)
    return try Plan(
      StageGraph(experiment, in: project.directory), rates: rates, cores: 2, in: project.directory)
  }

  @Test(arguments: ["figure2", "table4"])
  func costsAreThoseOfTheDevice(figure: String) throws {
    let plan = try plan(figure, "laptop-cuda") { work in
      switch work.kind {
      case .step: 0.5
      case .score: 0.25 * Double(work.rows)
      case .generate: 2
      }
    }
    for (node, cost) in zip(plan.graph.nodes, plan.costs) {
      switch node.stage {
      case .train:
        let steps = try TrainParameters(node.configuration).training.steps ?? 0
        #expect(cost.deviceSeconds == 0.5 * Double(steps) && cost.deviceBytes > 0)
        // Nothing of it is this machine's: more threads make it no faster.
        #expect(cost.seconds(threads: 8) > cost.deviceSeconds && cost.seconds < 1)
      case .evaluate: #expect(cost.deviceSeconds > 1 && cost.deviceBytes > 0)
      default: #expect(cost.deviceSeconds == 0 && cost.deviceBytes == 0)
      }
    }
    let text = try plan.text()
    #expect(text.contains("on the device") && !text.contains("cannot be used here"))
  }

  @Test func withoutADeviceCostsAreThoseOfTheCPU() throws {
    let unknown = try plan("figure2", "laptop-cuda") { _ in nil }
    let cpu = try plan("figure2", "laptop", nil)
    for (a, b) in zip(unknown.costs, cpu.costs) { #expect(a == b) }
    let text = try unknown.text()
    #expect(
      text.contains("the work of cuda, which cannot be used here: a reason.")
        && !text.contains("on the device"))
    #expect(try !cpu.text().contains("cannot be used here"))
  }

  /// A device that has no room is known before anything is trained.
  @Test func whatHasNoRoomIsNotPlanned() throws {
    #expect(throws: UserError.self) {
      try plan("figure2", "laptop-cuda") { _ in throw UserError("cuda has no room") }
    }
  }

  @Test(
    .enabled(
      if: ProcessInfo.processInfo.environment["OVERTOKEN_TORCH"]?.isEmpty == false,
      "no libtorch: set OVERTOKEN_TORCH, or run make torch"))
  func trialsAreTimed() throws {
    let trials = DeviceTrials()
    for figure in ["figure2", "table4", "table1", "scone-versus-oe"] {
      let plan = try plan(figure, "smoke-torch-cpu") { work in
        let seconds = try #require(try trials.seconds(work))
        #expect(seconds > 0 && seconds < 60)
        // Asked again, it is not measured again.
        #expect(try trials.seconds(work) == seconds)
        return seconds
      }
      #expect(plan.costs.contains { $0.deviceSeconds > 0 })
    }
  }
}
