import Foundation
import Support
import Testing

@Suite(.serialized) struct FigureChainTests {
  @Test func theWholeWay() throws {
    let place = try Workplace()
    let first = try place.make("figure2")
    try #require(first.status == 0, "\(first.all)")
    for stage in Program.stages {
      #expect(first.output.contains("ott-\(stage) --config"))
      for id in try place.ids(stage) { #expect(place.exists("data/\(stage)/\(id)/index.json")) }
    }
    for kind in ["csv", "json", "svg"] { #expect(place.exists("results/tiny/figure2.\(kind)")) }
    let csv = String(
      decoding: try FileBytes.read(place.directory + "/results/tiny/figure2.csv"), as: UTF8.self)
    // 5 curves in two panels, 2 sizes, 2 seeds, 2 snapshots, and the heading.
    #expect(csv.split(separator: "\n").count == 1 + 5 * 2 * 2 * 2)

    try nothingIsLeft(place)
    try everyNumberHasAWayBack(place)
    try everyStageGivesTheSameBytes(place)
    try publicationIsRepaired(place)
    try aChangeRerunsWhatDependsOnIt(place)
  }

  private func nothingIsLeft(_ place: Workplace) throws {
    let second = try place.make("figure2")
    #expect(second.status == 0)
    #expect(!second.output.contains("ott-"), "\(second.all)")
    let dry = try place.make("-n", "figure2")
    #expect(!dry.output.contains("ott-"), "\(dry.all)")
    let plan = try place.make("plan")
    #expect(plan.output.contains("Nothing to run: every output is there."), "\(plan.all)")
    let verify = try place.make("verify")
    #expect(verify.status == 0, "\(verify.all)")
  }

  private func everyNumberHasAWayBack(_ place: Workplace) throws {
    let claim = try place.make("explain", "NUMBER=figure2.json:claims/0/accuracy/effect")
    #expect(claim.status == 0, "\(claim.all)")
    for stage in ["sample", "tokenize", "map", "train", "evaluate", "report"] {
      #expect(claim.output.contains("\n\(stage) "), "\(claim.all)")
    }
    for word in ["made of 4 of the 16 runs", "\"seed\":1", "raw SHA-256", "code  ", "blasCore"] {
      #expect(claim.output.contains(word), "\(word): \(claim.all)")
    }
    #expect(!claim.output.contains("IS NOT") && !claim.output.contains("environment not recorded"))
    let row = try place.make("explain", "NUMBER=figure2.csv:2/accuracy")
    #expect(row.status == 0 && row.output.contains("made of 1 of the 16 runs"), "\(row.all)")
    let nowhere = try place.make("explain", "NUMBER=figure2.csv:2/acuracy")
    #expect(nowhere.errors.contains("Did you mean 'accuracy'?"), "\(nowhere.all)")

    // Altered results are found, and repaired from the report.
    let path = "results/tiny/figure2.csv"
    let right = try FileBytes.read(place.directory + "/" + path)
    try AtomicFile.write(right + [0x30], to: place.directory + "/" + path)
    let verify = try place.make("verify")
    #expect(verify.status != 0 && verify.errors.contains(path), "\(verify.all)")
    #expect(verify.errors.contains("Run: make figure2 PRESET=tiny"), "\(verify.all)")
    #expect(try place.make("figure2").status == 0)
    #expect(try FileBytes.read(place.directory + "/" + path) == right)
  }

  private func everyStageGivesTheSameBytes(_ place: Workplace) throws {
    for stage in Program.stages {
      let again = try place.make("rerun", "STAGE=\(stage)", "THREADS=3", "RUN=all")
      #expect(again.status == 0, "\(again.all)")
      let lines = again.output.split(separator: "\n").filter { $0.hasPrefix("identical: ") }
      #expect(lines.count == (try place.ids(stage).count), "\(again.all)")
    }
    #expect(!place.exists("data/rerun"))
  }

  private func publicationIsRepaired(_ place: Workplace) throws {
    let path = "results/tiny/figure2.csv"
    let right = try FileBytes.read(place.directory + "/" + path)
    try place.write("altered", to: path)
    let result = try place.make("figure2")
    #expect(!result.output.contains("ott-"), "\(result.all)")
    #expect(try FileBytes.read(place.directory + "/" + path) == right)
  }

  private func aChangeRerunsWhatDependsOnIt(_ place: Workplace) throws {
    let preset = "pipeline/presets/tiny.yaml"
    try place.replace("learningRate: 0.002", by: "learningRate: 0.003", in: preset)
    let plan = try place.make("plan")
    #expect(plan.output.contains("optimizer.learningRate 0.002 → 0.003"), "\(plan.all)")
    let dry = try place.make("-n", "figure2")
    for stage in ["sample", "tokenize", "map"] {
      #expect(!dry.output.contains("ott-\(stage) "), "\(dry.all)")
    }
    for stage in ["train", "evaluate", "report"] { #expect(dry.output.contains("ott-\(stage) ")) }
    try place.replace("learningRate: 0.003", by: "learningRate: 0.002", in: preset)
    let back = try place.make("-n", "figure2")
    #expect(!back.output.contains("ott-"), "\(back.all)")

    // Cleaned inputs of finished outputs are not missed.
    #expect(try place.make("clean-map").status == 0)
    let cleaned = try place.make("-n", "figure2")
    #expect(!cleaned.output.contains("ott-"), "\(cleaned.all)")
  }
}
