import ArgumentParser
import Contracts
import Exchange
import Stages
import Support

/// A model of others as a run. Running the stage is the default.
@main
struct Import: Command {
  static let configuration = CommandConfiguration(
    commandName: "ott-import",
    abstract: "Turn a Hugging Face directory into a run that can be scored and trained on.",
    version: versionText("ott-import", stage: Stage.import.version),
    subcommands: [StageCommand.self, ConfigureCommand.self], defaultSubcommand: StageCommand.self)
}

/// The stage "import".
struct StageCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stage",
    abstract: "Import a model as a configuration says (the default).",
    discussion: """
      GPT-2, OLMo 2 and OLMoE in float32, bfloat16 or float16, and what ott-export wrote. Parameters: kind \
      (text), vocabulary (model or tokenizer), ignoredKeys; inputs: model, tokenizer. `ott-import configure` \
      writes them.
      """)

  @OptionGroup var options: StageOptions

  func run() throws {
    Interruption.install()
    try runStage(.import, options: options) { context in
      context.conclude(try ImportStage.run(context.configuration, output: context.output))
    }
  }
}

struct ConfigureCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "configure",
    abstract: "Write the stage's configuration for a directory of yours; print its id.")

  @Option(help: ArgumentHelp("The tokenizer (default: that of the directory).", valueName: "path"))
  var tokenizer: String?

  @Option(
    help: """
      model: all tokens that the model knows; tokenizer: only those that the tokenizer has, as over-encoding \
      needs it.
      """)
  var vocabulary = ImportParameters.Vocabulary.model

  @Option(
    name: .customLong("ignore"),
    help: ArgumentHelp(
      "A key of config.json that is not known and changes no number of inference.", valueName: "key"
    ))
  var ignored: [String] = []

  @Option(help: "Directory for the configuration, written as ID.json.") var output: String
  @Argument(help: "The directory of the model.") var directory: String

  func run() throws {
    var parameters = ImportParameters()
    (parameters.kind, parameters.vocabulary) = (.text, vocabulary)
    parameters.ignoredKeys = ignored.sorted()
    let configuration = try ImportStage.configuration(
      model: directory, tokenizer: tokenizer, parameters: parameters)
    let path = "\(output)/\(configuration.id).json"
    try OutputPath.require(file: path, apartFrom: [directory] + [tokenizer].compactMap { $0 })
    try AtomicFile.makeDirectory(output)
    try AtomicFile.write(configuration.file.prettyJSON, to: path)
    try StandardOutput.line(configuration.id)
  }
}

extension ImportParameters.Vocabulary: ExpressibleByArgument {}
