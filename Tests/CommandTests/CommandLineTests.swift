import Contracts
import Support
import Testing

@Suite struct CommandLineTests {
  static let all =
    Stage.allCases.map(\.command) + [
      "ott-export", "ott-generate", "ott-plan", "ott-shards",
    ]

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

  /// Numbers that no machine can serve end with one message, not with a trap or for lack of memory.
  @Test(arguments: [
    ("ott-bench train --steps 1 --layers 4611686018427387904", 2),
    ("ott-bench train --steps 1 --width 1048576 --heads 1 --layers 1000", 1),
    ("ott-bench train --steps 1 --width 0", 2),
    ("ott-bench weights --output w --vocabulary 2147483647 --width 65536", 1),
    ("ott-bench weights --output w --vocabulary 2147483648", 2),
    ("ott-bench tokens --output t --sentences 4611686018427387904", 1),
    ("ott-bench train --batch -1", 2), ("ott-bench train --threads 9223372036854775807", 2),
    ("ott-bench tokenizers encode --threads 0 --tokenizer x y", 2),
    ("ott-bench scaling --threads 1025", 2),
    ("ott-plan show --threads 9223372036854775807", 2), ("ott-plan show --threads 0", 2),
    ("ott-shards verify --threads 1025 x", 2), ("ott-provenance verify --threads 0", 2),
    ("ott-export --run x --to y --shard-bytes 0", 2),
    ("ott-export answers --run x --prompts y --output z --tokens 0", 2),
    ("ott-generate --run x --prompt y --tokens 0", 2),
    ("ott-generate --run x --prompt y --samples 5000", 2),
    ("ott-generate --run x --prompt y --temperature -1", 2),
    ("ott-generate --run x --prompt y --temperature nan", 2),
    ("ott-generate --run x --prompt y --top-p 0", 2), ("ott-generate --run x", 2),
    ("ott-bench serving --work w --sides 0", 2),
    ("ott-fuzz --workers 0", 2), ("ott-map statistics --tokens x --rows 5 --threads 0", 2),
    ("ott-tokenize statistics --tokenizer x --output y --threads 0 z", 2),
  ])
  func numbersOutOfRange(line: String, status: Int32) throws {
    let words = line.split(separator: " ").map(String.init)
    let result = try Program.run(words[0], Array(words.dropFirst()))
    #expect(result.status == status, "\(result.all)")
    #expect(result.output.isEmpty)
    let faults = result.errors.split(separator: "\n").filter {
      $0.hasPrefix("error: ") || $0.hasPrefix("Error: ")
    }
    #expect(faults.count == 1, "\(result.all)")
  }
}
