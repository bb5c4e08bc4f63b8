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

  /// Whether so much address space is enough depends on the machine; the other limits surely strike.
  @Test(arguments: [
    ("sample", "ulimit -f 1", true), ("sample", "ulimit -n 4", true),
    ("sample", "ulimit -v 200000", false), ("sample", "ulimit -v 100000", true),
    ("train", "ulimit -f 8", true), ("train", "ulimit -n 4", true),
    ("train", "ulimit -v 300000", false),
  ])
  func aLimitIsOneMessage(stage: String, limit: String, strikes: Bool) throws {
    let (limited, output) = try run(stage, limit, threads: 3)
    #expect(limited.status != 0 || !strikes, "\(limited.all)")
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

  @Test func anUnwritableCacheIsNamed() throws {
    let folder = place.directory + "/data/sample"
    chmod(folder, 0o555)
    defer { chmod(folder, 0o755) }
    let id = try #require(ids["sample"])
    // Root writes what its permissions forbid, unless that power is taken from it.
    let asOthers =
      geteuid() == 0 ? ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] : []
    let result = try Program.start(
      "/usr/bin/env",
      asOthers + [
        "\(Program.directory)/ott-sample", "--config", "data/config/sample/\(id).json",
        "--output", "data/sample/other", "--threads", "1",
      ], in: place.directory
    ).wait()
    #expect(result.status == 1, "\(result.all)")
    #expect(result.errors.contains(" data/sample/"), "\(result.all)")
    #expect(result.errors.contains("Permission denied"), "\(result.all)")
  }
}
