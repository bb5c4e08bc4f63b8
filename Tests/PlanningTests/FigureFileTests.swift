import Planning
import Support
import Testing

/// A figure that is another one with something changed.
@Suite struct FigureFileTests {
  let project: TemporaryProject

  init() throws { project = try TemporaryProject() }

  private func experiment(_ figure: String) throws -> Experiment {
    try Experiment(figure: figure, preset: "smoke", in: project.directory)
  }

  private func message(_ figure: String) -> String {
    let error = #expect(throws: UserError.self) { _ = try experiment(figure) }
    return error?.description ?? ""
  }

  @Test(arguments: ["table2", "table3", "scaling-law"])
  func onlyTheReductionDiffers(figure: String) throws {
    let (plain, mean) = (try experiment(figure), try experiment(figure + "-mean"))
    #expect(mean.runs.map(\.name) == plain.runs.map(\.name) && mean.title != plain.title)
    for (a, b) in zip(plain.runs, mean.runs) {
      let (before, after) = (a.settings.entries, b.settings.entries)
      let changed = after.filter { before[$0.key]?.value != $0.value.value }
      #expect(changed.map(\.key) == ["model.overEncoding.reduction"])
      #expect(changed.first?.value.value == "mean")
      #expect(changed.first?.value.origin == "pipeline/\(figure)-mean.yaml")
      #expect(after["model.overEncoding.order"]?.origin == "pipeline/\(figure).yaml (\(a.variant))")
    }
    // What has no tables is the same run.
    func trains(_ figure: String) throws -> Set<String> {
      let graph = try project.graph(figure, preset: "smoke")
      return Set(graph.nodes.filter { $0.stage == .train }.map(\.id))
    }
    #expect(try trains(figure).intersection(trains(figure + "-mean")).count == plain.seeds.count)
  }

  /// Of a preset too, over which its own stands; what it says itself stands in place of the other's.
  @Test func whatHoldsForTheOtherHoldsForIt() throws {
    try project.write(
      """
      like: table3
      title: with two variants
      set: {model: {overEncoding: {reduction: sum}}}
      variants:
        - {name: 1-gram, set: {model: {overEncoding: {order: 1}}}}
        - {name: 2-gram, set: {model: {overEncoding: {order: 2, token: false}}}}
      descriptions: {1-gram: a, 2-gram: b}
      paper: null
      comparisons: [{variant: 2-gram, against: 1-gram, says: worse}]

      """, to: "pipeline/two.yaml")
    try project.replace(
      "jobs: cores",
      by: """
        figures:
          table3: {seeds: [4, 5], optimizer: {learningRate: 0.5, weightDecay: 0.25}}
          two: {optimizer: {learningRate: 0.75}}
        jobs: cores
        """, in: "pipeline/text/presets/smoke.yaml")
    let two = try experiment("two")
    #expect(two.variants == ["1-gram", "2-gram"] && two.seeds == [4, 5])
    #expect((two.subject as? Planning.TextFigure)?.paper == [:])
    let entries = try two.run("2-gram/\(two.sizes[0])/5").settings.entries
    #expect(entries["optimizer.learningRate"]?.value == 0.75)
    #expect(entries["optimizer.weightDecay"]?.value == 0.25)
    #expect(entries["model.overEncoding.reduction"]?.value == "sum")
    #expect(entries["model.overEncoding.token"]?.origin == "pipeline/two.yaml (2-gram)")
  }

  /// Lines of claims bear the name of the figure whose file names them.
  @Test func claimsAreThoseOfTheOther() throws {
    try project.write(
      "like: figure2\ntitle: t\nset: {model: {tied: false}}\n", to: "pipeline/g.yaml")
    let (plain, like) = (try experiment("figure2"), try experiment("g"))
    let claims = try [plain, like].map { try #require($0.subject as? GrammarFigure).claims }
    #expect(claims[0].count == 6 && claims[0].map(\.row) == claims[1].map(\.row))
    #expect(claims[0].map(\.panel) == claims[1].map(\.panel))

    try project.write(
      "like: figure2\ntitle: t\nclaims: pipeline/paper_results.csv\n", to: "pipeline/g.yaml")
    #expect(
      message("g").contains("pipeline/g.yaml: claims: expected a file with lines of g.<panel>"))
    try project.write(
      "item,row,metric,value\ng.rihgt,3-gram input 85M vs 1-gram 85M,qualitative,better\n",
      to: "pipeline/g.csv")
    try project.write("like: figure2\ntitle: t\nclaims: pipeline/g.csv\n", to: "pipeline/g.yaml")
    #expect(
      message("g").contains(
        "pipeline/g.csv: g.rihgt: expected a panel of pipeline/g.yaml: left, right, found rihgt")
    )
  }

  @Test func whatCannotBeLikeAnotherIsRefused() throws {
    try project.write("like: tabel3\ntitle: t\n", to: "pipeline/a.yaml")
    #expect(message("a").contains("pipeline/a.yaml: like: figure 'tabel3'"))
    #expect(message("a").contains("Did you mean 'table3'?"))
    try project.write("like: table3-mean\ntitle: t\n", to: "pipeline/b.yaml")
    #expect(
      message("b").contains(
        "pipeline/b.yaml: like: expected a figure that is like none, found table3-mean, which is like"
      ))
    try project.write("like: table3\n", to: "pipeline/c.yaml")
    #expect(message("c").contains("pipeline/c.yaml, like pipeline/table3.yaml: title"))
    try project.write("like: table3\ntitle: t\ncolour: red\n", to: "pipeline/d.yaml")
    #expect(
      message("d").contains("pipeline/d.yaml, like pipeline/table3.yaml: colour: unknown key"))
    try project.write("like: c\ntitle: t\n", to: "pipeline/c.yaml")
    #expect(message("c").contains("which is like"))
  }
}
