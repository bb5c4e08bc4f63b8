import Foundation
import Support
import Testing

/// Two processes that want the same output.
@Suite(.serialized) struct TwoAtOnceTests {
  /// Two makes of one figure share the work: each output is made once, by one of them.
  @Test func twoMakesShareTheWork() throws {
    let place = try Workplace()
    let makes = try (0..<2).map { _ in try place.start("figure2") }
    let results = try makes.map { try $0.wait() }
    for result in results { #expect(result.status == 0, "\(result.all)") }
    let all = results.map(\.output).joined()
    for stage in Program.stages {
      for id in try place.ids(stage) {
        #expect(place.exists("data/\(stage)/\(id)/index.json"))
        let evidence = try EvidenceFile(directory: "\(place.directory)/data/\(stage)/\(id)", id: id)
        #expect(evidence["finished"] != nil)
      }
    }
    // What a stage says at its end, once for each output.
    let trained = all.split(separator: "\n").filter { $0.contains(" steps, ") }
    #expect(trained.count == (try place.ids("train").count), "\(all)")
    let hidden = try FileManager.default.subpathsOfDirectory(atPath: place.directory + "/data")
      .filter { $0.contains(".tmp-") || $0.hasSuffix(".lock") }
    #expect(hidden.isEmpty)
    let verify = try place.make("verify")
    #expect(verify.status == 0, "\(verify.all)")
  }

  /// The lock of a process that was killed holds nobody up.
  @Test func aDeadProcessHoldsNoLock() throws {
    let place = try Workplace()
    #expect(try place.run("ott-plan", ["rules", "--preset", "tiny"]).status == 0)
    let id = try place.ids("sample")[0]
    let output = "data/sample/\(id)"
    try AtomicFile.makeDirectory(place.directory + "/data/sample")
    let lock = try DirectoryLock(of: place.directory + "/" + output)
    let waiting = try Program.start(
      "\(Program.directory)/ott-sample",
      ["--config", "data/config/sample/\(id).json", "--output", output], in: place.directory)
    while !(try waiting.errorsSoFar().contains("waiting for it")) { usleep(5000) }
    #expect(!place.exists(output))
    waiting.process.send(SIGINT)
    #expect(try waiting.wait().status == 130)
    let killed = try Program.start(
      "\(Program.directory)/ott-sample",
      ["--config", "data/config/sample/\(id).json", "--output", output], in: place.directory)
    while !(try killed.errorsSoFar().contains("waiting for it")) { usleep(5000) }
    killed.process.send(SIGKILL)
    _ = try killed.wait()
    lock.release()
    try AtomicFile.write("", to: lock.path)
    let result = try place.runStage("sample", id, output: output)
    #expect(result.status == 0, "\(result.all)")
    #expect(!result.errors.contains("waiting"))
  }
}
