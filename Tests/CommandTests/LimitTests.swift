import Foundation
import Support
import Testing

/// Limits of the shell on files, memory and descriptors: one message, and the same command goes on.
@Suite(.serialized) struct LimitTests {
  let place: Workplace
  let ids: [String: String]

  init() throws {
    place = try Workplace()
    let map = try place.run("ott-plan", ["rules", "--preset", "tiny"])
    try #require(map.status == 0, "\(map.all)")
    ids = ["sample": try place.ids("sample")[0], "train": try place.ids("train")[0]]
    let made = try place.make("data/train/\(try #require(ids["train"]))/index.json")
    try #require(made.status == 0, "\(made.all)")
  }

  private func run(
    _ stage: String, _ limit: String, threads: Int = 1
  ) throws -> (Program.Result, output: String) {
    let id = try #require(ids[stage])
    let output = "again/\(stage)/\(id)"
    let command =
      "\(limit) && exec \(Program.directory)/ott-\(stage) --config data/config/\(stage)/\(id).json "
      + "--output \(output) --threads \(threads) --quiet"
    return (
      try Program.start(
        "/bin/bash", ["-c", command], in: place.directory
      ).wait(), output
    )
  }

  private func index(_ directory: String) throws -> [UInt8] {
    try FileBytes.read("\(place.directory)/\(directory)/index.json")
  }

  @Test(arguments: [
    ("sample", "ulimit -f 1"), ("sample", "ulimit -n 4"), ("sample", "ulimit -v 200000"),
    ("sample", "ulimit -v 100000"), ("train", "ulimit -f 8"), ("train", "ulimit -n 4"),
    ("train", "ulimit -v 300000"),
  ])
  func aLimitIsOneMessage(stage: String, limit: String) throws {
    let (limited, output) = try run(stage, limit, threads: 3)
    if limited.status != 0 {
      // 127: the loader could not map the program's libraries.
      #expect([1, 127].contains(limited.status), "\(limited.all)")
      #expect(!place.exists(output + "/index.json"))
      let lines = limited.errors.split(separator: "\n").filter { $0.hasPrefix("error: ") }
      // Where the loader had no room for the libraries, it is the loader that says so.
      #expect(lines.count == (limited.status == 1 ? 1 : 0), "\(limited.all)")
    }
    let (again, _) = try run(stage, "true")
    #expect(again.status == 0, "\(again.all)")
    #expect(try index(output) == index("data/\(stage)/\(try #require(ids[stage]))"))
  }

  @Test func anUnreadableCacheIsNamed() throws {
    // Root reads and writes what its permissions forbid.
    guard geteuid() != 0 else { return }
    let folder = place.directory + "/data/sample"
    chmod(folder, 0o555)
    defer { chmod(folder, 0o755) }
    let result = try place.runStage("sample", "0123456789ab", output: folder + "/x")
    #expect(result.status == 1 && result.errors.contains("data/sample"), "\(result.all)")
  }
}
