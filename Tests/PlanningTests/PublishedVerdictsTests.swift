import Planning
import Support
import Testing

/// What a plan says of verdicts that more seeds would settle.
@Suite struct PublishedVerdictsTests {
  @Test func nearVerdictsAreRepeated() throws {
    let project = try TemporaryProject()
    let experiment = try Experiment(figure: "figure2", preset: "smoke", in: project.directory)
    func advice() -> String {
      PublishedVerdicts.advice(experiment, in: project.directory)
    }
    #expect(advice() == "")
    let path = "results/smoke/figure2.json"
    for sure in ["{}", #"{"near": []}"#] {
      try project.write(sure, to: path)
      #expect(advice() == "")
    }
    try project.write(#"{"near": ["a vs b: near; 5 seeds would settle it"]}"#, to: path)
    #expect(
      advice() == """

        Near verdicts of results/smoke/figure2.json, with seeds [1, 2]:
          a vs b: near; 5 seeds would settle it
        More seeds: the list `seeds` of the preset, or of what its `figures` has of this one. Runs that are there stay.

        """)
    try project.write("{", to: path)
    #expect(advice() == "\n\(path) is no result that could say which verdicts are near.\n")
  }
}
