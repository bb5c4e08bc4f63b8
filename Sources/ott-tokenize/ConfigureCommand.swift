import ArgumentParser
import Contracts
import DataStages
import Support
import Tokenization

struct ConfigureCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "configure",
    abstract: "Write the stage's configuration for a corpus and a tokenizer of yours; print its id."
  )

  @OptionGroup var options: TokenizerOptions
  @Option(help: "Part of the corpus: train or validation.") var part = CorpusSplit.Part.train
  @OptionGroup var split: SplitOptions
  @Option(help: "Element type: u16 or u32 (default: the smallest).")
  var element: TextTokenizeParameters.Element?
  @Option(help: "Bytes of text of a shard.") var shardBytes = 1 << 25
  @Option(help: "Special token behind every document.") var endOfText: String?
  @Option(help: "Directory for the configuration, written as ID.json.") var output: String
  @Argument(help: "File, directory or glob.") var corpus: String

  func run() throws {
    let (input, model) = try BytePairModel.input(path: options.tokenizer, pattern: options.pattern)
    if let endOfText { _ = try model.specialToken(endOfText, path: options.tokenizer) }
    guard BytePath(argument: corpus) == BytePath(corpus) else {
      throw UserError(
        "\(corpus): a configuration holds paths in UTF-8 only",
        remedy: "Name the directory that it lies in, or a glob.")
    }
    let inputs = [
      "corpus": StageConfiguration.Input(
        id: String(try Corpus.named([corpus]).digest().prefix(12)), path: corpus),
      "tokenizer": input,
    ]
    var parameters = TextTokenizeParameters()
    parameters.part = part
    (parameters.heldoutShare, parameters.split) = (split.validation, split.split)
    parameters.splitSeed = split.seed
    parameters.groupWords = split.groupWords == 0 ? nil : split.groupWords
    parameters.blockBytes = split.blockBytes == 0 ? nil : split.blockBytes
    parameters.element = element ?? .init(vocabulary: model.vocabularySize)
    parameters.shardBytes = shardBytes
    parameters.endOfText = endOfText
    parameters.pattern = options.pattern
    let configuration = TokenizeParameters.text(parameters).configuration(inputs: inputs)
    let path = "\(output)/\(configuration.id).json"
    try OutputPath.require(file: path, apartFrom: [options.tokenizer, corpus])
    try AtomicFile.makeDirectory(output)
    try AtomicFile.write(configuration.file.prettyJSON, to: path)
    try StandardOutput.line(configuration.id)
  }
}

extension CorpusSplit.Part: ExpressibleByArgument {}

extension TextTokenizeParameters.Element: ExpressibleByArgument {}
