import Fuzzing
import Support
import Testing

/// The parent of the workers, with programs in their place that end as they please.
@Suite struct FuzzCampaignTests {
  private func campaign(
    _ program: String, _ folder: ScratchDirectory, output: String? = nil
  ) throws -> FuzzCampaign {
    try FuzzCampaign(
      program: program, seed: 3, workers: 2, scratch: folder.path,
      findings: folder.path + "/findings", output: output)
  }

  @Test func workersThatEndWellFindNothing() throws {
    let folder = try ScratchDirectory()
    let output = folder.path + "/counts/fuzz.csv"
    var campaign = try campaign("/bin/true", folder, output: output)
    try campaign.fuzz(["yaml"], seconds: 0.1, goal: nil)
    try campaign.finish()
    let table = try FuzzTable(path: output)
    #expect(table.rows.count == 1 && table.rows[0].reader == "yaml" && table.rows[0].seed == 3)
    #expect(table.inputs("yaml") == 0)
  }

  @Test func theInputThatEndedAWorkerIsKept() throws {
    let folder = try ScratchDirectory()
    var campaign = try campaign("/bin/false", folder)
    try campaign.fuzz(["yaml"], seconds: 0.1, goal: nil)
    #expect(throws: UserError.self) { try campaign.finish() }
    // Neither worker got beyond the first number that its page of memory names.
    let target = try FuzzTargets.named("yaml", folder)
    for number in [0, 1] as [UInt64] {
      let kept = try FileBytes.read(folder.path + "/findings/yaml-3-\(number)")
      #expect(kept == target.input(number, target.mutator(seed: 3)).bytes)
    }
  }
}
