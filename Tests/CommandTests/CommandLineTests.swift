import Contracts
import Support
import Testing

@Suite struct CommandLineTests {
  static let all = Stage.allCases.map(\.command) + ["ott-plan", "ott-shards"]

  @Test(arguments: Stage.allCases)
  func versionsAreThePlans(stage: Stage) throws {
    let result = try Program.run(stage.command, ["--version"])
    #expect(result.status == 0)
    #expect(
      result.output == "\(stage.command) \(Product.version) stage-version \(stage.version)\n")
  }

  @Test(arguments: all)
  func helpAndWrongCommandLines(command: String) throws {
    let help = try Program.run(command, ["--help"])
    #expect(help.status == 0)
    #expect(help.output.contains("USAGE: \(command)"), "\(help.all)")
    let wrong = try Program.run(command, ["--no-such-option"])
    #expect(wrong.status == 2, "\(wrong.all)")
    #expect(wrong.output.isEmpty)
    #expect(wrong.errors.contains("Usage: \(command)"), "\(wrong.all)")
  }

  @Test(arguments: Stage.allCases)
  func threadsMustMakeSense(stage: Stage) throws {
    for threads in ["0", "-1", "many"] {
      let result = try Program.run(
        stage.command, ["--config", "none", "--output", "none", "--threads", threads])
      #expect(result.status == 2, "\(threads): \(result.all)")
    }
  }
}
