import Fuzzing
import Support
import Testing

/// The parent of the workers, with programs in their place that end as they please.
@Suite struct FuzzCampaignTests {
  private func campaign(_ program: String, _ folder: ScratchDirectory) -> FuzzCampaign {
    FuzzCampaign(
      program: program, seed: 3, workers: 2, scratch: folder.path,
      findings: folder.path + "/findings")
  }

  @Test func workersThatEndWellFindNothing() throws {
    let folder = try ScratchDirectory()
    var campaign = campaign("/bin/true", folder)
    try campaign.fuzz("yaml", seconds: 0.1)
    try campaign.finish(csv: folder.path + "/counts/fuzz.csv")
    let text = String(decoding: try FileBytes.read(folder.path + "/counts/fuzz.csv"), as: UTF8.self)
    let lines = text.split(separator: "\n")
    #expect(lines.count == 2 && lines[1].hasPrefix("yaml,3,0,0,0,0,0,"))
  }

  @Test func theInputThatEndedAWorkerIsKept() throws {
    let folder = try ScratchDirectory()
    var campaign = campaign("/bin/false", folder)
    try campaign.fuzz("yaml", seconds: 0.1)
    #expect(throws: UserError.self) { try campaign.finish(csv: nil) }
    // Neither worker got beyond the first number that its page of memory names.
    let target = try FuzzTargets.named("yaml", folder)
    let kept = try FileBytes.read(folder.path + "/findings/yaml-3-0")
    #expect(kept == target.input(0, target.mutator(seed: 3)).bytes)
  }
}
