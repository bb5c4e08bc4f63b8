import Checkpoints
import Contracts
import Support
import Testing
import Training

@Suite struct ResumeStateTests {
  private func state(_ kind: DataKind = .grammar) -> ResumeState {
    var state = ResumeState(id: "0123456789ab", kind: kind)
    for _ in 0..<3 { state.progress.add(sequences: 4, rows: 31, symbols: 27, lossSum: 0.1) }
    state.metricsBytes = 120
    state.snapshots = [
      TrainingRunIndex.Snapshot(
        step: 2, file: "weights-2.safetensors", sha256: "ff", kind: kind, sequences: 8, rows: 62,
        symbols: 54)
    ]
    return state
  }

  @Test(arguments: DataKind.allCases) func survivesTheHeaderToTheLastBit(kind: DataKind) throws {
    let state = state(kind)
    let read = try ResumeState(metadata: state.metadata, id: state.id, kind: kind, path: "x")
    #expect(read == state)
    #expect(read.progress.windowLoss == 0.1 + 0.1 + 0.1)
    #expect(read.metadata == state.metadata)
  }

  @Test func furtherLossesSurvive() throws {
    var state = state()
    for _ in 0..<3 { state.progress.add(loss: "balance", sum: 0.1, rows: 7) }
    let read = try ResumeState(
      metadata: state.metadata, id: state.id, kind: .grammar, path: "x")
    #expect(read == state)
    #expect(
      read.progress.furtherLosses == [LossWindow(name: "balance", sum: 0.1 + 0.1 + 0.1, rows: 21)])
  }

  @Test func anotherConfigurationIsRefusedWithBothIds() throws {
    let error = #expect(throws: UserError.self) {
      _ = try ResumeState(
        metadata: state().metadata, id: "ba9876543210", kind: .grammar, path: "run/checkpoint")
    }
    let message = try #require(error).description
    #expect(message.contains("run/checkpoint: checkpoint of another configuration"))
    #expect(message.contains("ba9876543210") && message.contains("0123456789ab"))
  }

  @Test func foreignFilesAreRefused() throws {
    #expect(throws: UserError.self) {
      _ = try ResumeState(metadata: [:], id: "a", kind: .grammar, path: "x")
    }
    var metadata = state().metadata
    metadata["state"] = #"{"step":1}"#
    #expect(throws: UserError.self) {
      _ = try ResumeState(metadata: state().metadata, id: state().id, kind: .text, path: "x")
    }
    #expect(throws: UserError.self) {
      _ = try ResumeState(metadata: metadata, id: state().id, kind: .grammar, path: "x")
    }
  }
}
