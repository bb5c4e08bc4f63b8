import Foundation
import Support
import Testing

/// `make archive`: the pack of a figure, rerun in an empty directory with these executables.
@Suite(.serialized) struct ArchiveTests {
  @Test func aPackRerunsToTheSameBytes() throws {
    let place = try Workplace()
    let checkouts = Program.project + "/.build/checkouts"
    try #require(FileBytes.exists(checkouts), "no package sources beside the tests")
    try AtomicFile.makeDirectory(place.directory + "/.build")
    try FileManager.default.createSymbolicLink(
      atPath: place.directory + "/.build/checkouts", withDestinationPath: checkouts)
    let tool = { (more: [String]) in
      try Program.start(
        place.directory + "/tools/archive",
        ["--figure", "figure2", "--preset", "tiny", "--bin", Program.directory] + more,
        in: place.directory
      ).wait()
    }
    let early = try tool([])
    #expect(early.status == 1 && early.errors.contains("found none. Run: make figure2"))
    let made = try place.make("figure2")
    try #require(made.status == 0, "\(made.all)")

    let packed = try tool([])
    #expect(packed.status == 0, "\(packed.all)")
    let path = place.directory + "/archive/figure2-tiny.tar.gz"
    let bytes = try FileBytes.read(path)
    #expect(try tool([]).status == 0)
    #expect(try FileBytes.read(path) == bytes, "the same pack twice")
    let listed = try Program.start("/usr/bin/env", ["tar", "-tzf", path], in: place.directory)
      .wait()
    for name in [
      "Makefile", "code-version", "data/grammars/cfg3f.grammar", "results/tiny/figure2.csv",
      "Packages/Yams/Package.swift", "Packages/swift-argument-parser/Package.swift",
    ] {
      #expect(listed.output.contains("figure2-tiny/\(name)\n"), "\(name)")
    }
    #expect(!listed.output.contains("/data/sample/"))

    let checked = try tool(["--check"])
    #expect(checked.status == 0, "\(checked.all)")
    #expect(checked.output.contains("3 files byte-equal"), "\(checked.all)")
  }
}
