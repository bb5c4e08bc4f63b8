import Planning
import Support
import Testing

/// What a plan says of verdicts that more seeds would settle.
@Suite struct PublishedVerdictsTests {
  @Test func nearVerdictsAreRepeated() throws {
    let project = try TemporaryProject()
    let experiment = try Experiment(figure: "figure2", preset: "smoke", in: project.directory)
    func advice() throws -> String {
      try PublishedVerdicts.advice(experiment, in: project.directory)
    }
    #expect(try advice() == "")
    let path = "results/smoke/figure2.json"
    for sure in ["{}", #"{"near": []}"#] {
      try project.write(sure, to: path)
      #expect(try advice() == "")
    }
    try project.write(#"{"near": ["a vs b: near; 5 seeds would settle it"]}"#, to: path)
    #expect(
      try advice() == """

        Near verdicts of results/smoke/figure2.json, with seeds [1, 2]:
          a vs b: near; 5 seeds would settle it
        More seeds: the list `seeds` of the preset. Runs that are there stay.

        """)
    try project.write("{", to: path)
    #expect(throws: UserError.self) { _ = try advice() }
  }
}
