import CAllocations
import Engine
import Models
import Testing

@Suite struct AllocationTests {
  /// The counter must see what Swift allocates, or the test below shows nothing.
  @Test(.enabled(if: ott_counts_allocations() != 0))
  func counterSeesArrays() {
    let before = ott_allocations_of_this_thread()
    let array = [Float](repeating: 1, count: Int.random(in: 1000...2000))
    #expect(array.count >= 1000)
    #expect(ott_allocations_of_this_thread() > before)
  }

  /// After the first steps a training step asks for no memory.
  @Test(
    .enabled(if: ott_counts_allocations() != 0), arguments: Architecture.allCases,
    [(false, false), (true, false), (false, true)])
  func trainingStep(architecture: Architecture, case: (isOverEncoded: Bool, sharesPairs: Bool))
    throws
  {
    let configuration =
      try `case`.isOverEncoded
      ? overEncoded(architecture, width: 32) : smallConfiguration(architecture, width: 32)
    let plan = configuration.plan(.training, rows: 200)
    let parameters = ParameterStore(layout: plan.layout, moments: true)
    parameters.initialize(seed: 1)
    let engine = TrainingEngine(
      plan: plan, parameters: parameters, lanes: 2, threads: 1, sharesPairs: `case`.sharesPairs)
    engine.parameters.reserveTableHistory(steps: 11)
    let batch = makeLanes(configuration, lengths: [40, 3, 17, 33], lanes: 2)
    for _ in 0..<3 { _ = try engine.step(batch, learningRate: 1e-3, optimizer: .init()) }
    var allocatingSteps = 0
    for _ in 0..<8 {
      let before = ott_allocations_of_this_thread()
      _ = try engine.step(batch, learningRate: 1e-3, optimizer: .init())
      if ott_allocations_of_this_thread() > before { allocatingSteps += 1 }
    }
    #expect(allocatingSteps == 0)
  }

  /// Nor does packing a lane of f-grams and a step over them, whichever they are.
  @Test(.enabled(if: ott_counts_allocations() != 0), arguments: Architecture.allCases)
  func trainingStepOfFGrams(architecture: Architecture) throws {
    let model = try fGramModel(architecture.trunk, width: 32, vocabulary: 200)
    let plan = model.plan(.training, rows: 200)
    let parameters = ParameterStore(layout: plan.layout, moments: true)
    parameters.initialize(seed: 1)
    let engine = TrainingEngine(plan: plan, parameters: parameters, lanes: 2, threads: 1)
    let batches = (0..<11).map {
      makeLanes(model, lengths: [40, 3, 17, 33], lanes: 2, seed: UInt64($0))
    }
    var lanes = (0..<2).map { _ in model.makeLane(capacity: 200, isTraining: true) }
    var allocatingSteps = 0
    for (step, batch) in batches.enumerated() {
      let before = ott_allocations_of_this_thread()
      for lane in lanes.indices {
        lanes[lane].removeAll()
        for segment in 0..<batch[lane].segments {
          for row in batch[lane].segmentOffsets[segment]..<batch[lane].segmentOffsets[segment + 1] {
            lanes[lane].appendRow(label: batch[lane].labels[row]) {
              batch[lane].inputs[2 * row + $0]
            }
          }
          lanes[lane].endSegment()
        }
      }
      _ = try engine.step(lanes, learningRate: 1e-3, optimizer: .init())
      if step > 2 && ott_allocations_of_this_thread() > before { allocatingSteps += 1 }
    }
    #expect(allocatingSteps == 0)
  }
}
