import ArgumentParser
import Benchmark
import Checkpoints
import Grammar
import Support

struct Tokens: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write sentences of token ids that both sides of a comparison read.")

  @OptionGroup var options: WorkloadOptions
  @Option(help: "Sample them from this grammar instead of drawing ids uniformly.")
  var grammar: String?
  @Option(help: "Symbol of the grammar that they derive from.") var root: Int?
  @Option(help: "Sentences.") var sentences = 256
  @Option(help: "Seed.") var seed: UInt64 = 1
  @Option(help: "File to write.") var output: String

  func validate() throws {
    if sentences < 1 {
      throw ValidationError("--sentences: expected 1 or more, found \(sentences).")
    }
  }

  func run() throws {
    let made: Sentences
    if let path = grammar {
      try OutputPath.require(file: output, apartFrom: [path])
      var grammar = try Grammar(bytes: FileBytes.read(path), source: path)
      if let root { grammar = try grammar.rooted(at: root) }
      made = Sentences.sampled(grammar, count: sentences, seed: seed)
    } else {
      let workload = try options.workload()
      try requireMemory(
        4 * Double(sentences) * Double(workload.length), for: "sentences of random ids")
      made = Sentences.random(
        count: sentences, length: workload.length, vocabulary: workload.model.labels, seed: seed)
    }
    try made.write(to: output)
    try StandardOutput.line("\(made.count) sentences, the longest of \(made.longest) positions")
  }
}

struct Weights: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write the initial weights of a model as safetensors.")

  @OptionGroup var options: WorkloadOptions
  @Option(help: "Seed.") var seed: UInt64 = 1
  @Option(help: "File to write.") var output: String

  func run() throws {
    let parameters = try options.workload().model.makeParameters(moments: false)
    parameters.initialize(seed: seed)
    try ParameterFile.write(parameters, arrays: [.weights], to: output)
    try StandardOutput.line("\(parameters.layout.parameterCount) parameters")
  }
}
