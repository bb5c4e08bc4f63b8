import Contracts
import Foundation
import Support
import Tokenization

/// The way of a corpus to tokens without an experiment: a tokenizer trained on the training part, and
/// the tokens of both parts. Stages, ids, rules and states are those of figures.
package struct CorpusPlan: Sendable {
  /// What is asked for.
  package struct Request: Sendable {
    /// A file, directory or glob.
    package let corpus: String
    /// Tokens, the special one included.
    package let vocabulary: Int
    package let pattern: PretokenPattern
    /// Expected share of the documents in the validation part, and the seed of their draw.
    package let validation: Double
    package let splitSeed: Int

    package init(
      corpus: String, vocabulary: Int, pattern: PretokenPattern, validation: Double, splitSeed: Int
    ) {
      self.corpus = corpus
      self.vocabulary = vocabulary
      self.pattern = pattern
      self.validation = validation
      self.splitSeed = splitSeed
    }
  }

  /// The special token; it stands behind every document.
  private static let endOfText = "<|endoftext|>"
  private static let shardBytes = 1 << 25
  /// Name of the stream that draws the parts.
  private static let split = "split"

  /// The tokenizer, and the tokens of each part in the order of `CorpusSplit.Part`.
  package let nodes: [StageGraph.Node]
  private let request: Request

  /// Looks at the corpus, unless a file of `pipeline/corpora` says what it is: then it need not be there
  /// yet. Paths are relative to `directory`.
  ///
  /// - Throws: `UserError` for a corpus that is not there, and for numbers out of range.
  package init(_ request: Request, in directory: String = ".") throws {
    self.request = request
    try Self.check(request)
    let (input, sources) = try Self.source(request.corpus, in: directory)
    let tokenizer = StageGraph.Node(
      Self.vocabulary(request), inputs: ["corpus": input], sources: sources,
      label: "tokenizer of \(request.vocabulary) tokens")
    nodes =
      [tokenizer]
      + CorpusSplit.Part.allCases.map { part in
        StageGraph.Node(
          TokenizeParameters.text(Self.tokens(request, part)),
          inputs: [
            "corpus": input, "tokenizer": .init(id: tokenizer.id, path: tokenizer.directory),
          ], reads: [0], sources: sources, label: "\(part.rawValue) tokens")
      }
  }

  private static func vocabulary(_ request: Request) -> VocabularyParameters {
    var parameters = VocabularyParameters()
    parameters.vocabulary = request.vocabulary
    parameters.pattern = request.pattern
    parameters.specialTokens = [endOfText]
    parameters.minimumCount = 1
    parameters.part = .train
    parameters.heldoutShare = request.validation
    parameters.split = split
    parameters.splitSeed = UInt64(request.splitSeed)
    return parameters
  }

  private static func tokens(
    _ request: Request, _ part: CorpusSplit.Part
  ) -> TextTokenizeParameters {
    var parameters = TextTokenizeParameters()
    parameters.part = part
    parameters.heldoutShare = request.validation
    parameters.split = split
    parameters.splitSeed = UInt64(request.splitSeed)
    parameters.element = .init(vocabulary: request.vocabulary)
    parameters.shardBytes = shardBytes
    parameters.endOfText = endOfText
    return parameters
  }

  private static func check(_ request: Request) throws {
    guard (1...1 << 24).contains(request.vocabulary) else {
      throw UserError(
        "vocabulary", expected: "1 to \(1 << 24) tokens", found: "\(request.vocabulary)")
    }
    try BytePairTraining(
      vocabularySize: request.vocabulary, pattern: request.pattern,
      specialTokens: [endOfText], minimumCount: 1
    ).validate()
    guard request.validation >= 0 && request.validation < 1 else {
      throw UserError(
        "share of the validation part", expected: "0 or more, below 1",
        found: "\(request.validation)")
    }
    guard request.splitSeed >= 0 else {
      throw UserError("seed of the split", expected: "0 or more", found: "\(request.splitSeed)")
    }
    guard !request.corpus.isEmpty else {
      throw UserError("corpus", expected: "a file, directory or glob", found: "nothing")
    }
  }

  /// The corpus as an input of stages, and the make target that fetches it.
  private static func source(
    _ path: String, in directory: String
  ) throws -> (StageConfiguration.Input, sources: [String]) {
    let folder = "pipeline/corpora"
    let names = try AtomicFile.names(in: "\(directory)/\(folder)").filter { $0.hasSuffix(".yaml") }
    let wanted = path.utf8.last == UInt8(ascii: "/") ? String(path.dropLast()) : path
    let full = directory == "." || path.hasPrefix("/") ? path : "\(directory)/\(path)"
    for name in names.sorted() {
      let facts = try CorpusFacts(path: "\(folder)/\(name)", in: directory)
      guard let made = facts.made else { continue }
      for part in [facts.train, facts.other] + facts.domains.map(\.part) {
        if part.path == wanted { return (part.input, [made]) }
        guard !wanted.hasPrefix(part.path + "/") || FileBytes.exists(full) else {
          throw UserError(
            "corpus", expected: "a part of \(part.path)", found: "no file \(path)",
            remedy: "Run: make \(made)")
        }
      }
    }
    return (
      .init(id: String(try Corpus([full]).digest().prefix(12)), path: path), []
    )
  }

  /// What results call the tokenizer: for people the corpus as far as file names and CSV can hold it,
  /// and its digest, which tells apart what looks alike there.
  package var name: String {
    let words = request.corpus.utf8.split { byte in
      switch UInt8(byte) {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."):
        false
      default: true
      }
    }
    let corpus = words.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "-").suffix(80)
    let digest = nodes[0].configuration.inputs["corpus"]?.id ?? ""
    return "\(corpus)-\(request.pattern.rawValue)-\(request.vocabulary)-\(request.validation)"
      + "-\(request.splitSeed)-\(digest)"
  }

  // MARK: - State

  /// What `make tokenize` would do now, and why.
  package func text(in directory: String = ".") -> String {
    let states = CacheState.states(of: nodes, from: [1, 2], in: directory)
    var table = TextTable(["stage", "what", "output", "state"])
    for (node, state) in zip(nodes, states) {
      table.add([node.stage.rawValue, node.label, node.directory, state.description])
    }
    let stale = states.count { $0.isStale }
    return "tokens of \(request.corpus)\n\n" + table.text + "\n"
      + (stale == 0
        ? "Nothing to run: every output is there.\n"
        : "To run: \(stale) of \(nodes.count) stage runs.\n")
  }

  // MARK: - Rules

  /// data/plan/corpora/<id of the tokenizer>.mk
  package var path: String { "data/plan/corpora/\(nodes[0].id).mk" }

  /// The fragment of a makefile: the rule `tokenize`, and the variables `tokenizerFile` and
  /// `tokenizerName`.
  package var rules: String {
    let parts = nodes.dropFirst()
    var lines = [
      "# Written by: ott-plan corpus",
      "ifndef planned/tokenize", "planned/tokenize := 1",
      "tokenizerFile := \(nodes[0].directory)/\(BytePairModel.fileName)",
      "tokenizerName := \(name)",
      ".PHONY: tokenize",
      "tokenize: " + parts.map(\.index).joined(separator: " "),
    ]
    for node in parts {
      lines += [
        "\t@$(BIN)/ott-shards verify \(node.directory)",
        "\t@echo '\(MakeRules.word(node.label)) are in \(node.directory)'",
      ]
    }
    lines.append("endif")
    for node in nodes {
      lines += MakeRules.rule(of: node, after: node.inputs.map { nodes[$0].index })
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// Writes configurations and rules where other bytes are there.
  package func write(in directory: String = ".") throws {
    for node in nodes {
      try MakeRules.write(
        node.configuration.file.prettyJSON, to: node.configurationPath, in: directory)
    }
    try MakeRules.write(rules, to: path, in: directory)
  }
}

extension StageGraph.Node {
  /// A node of no experiment's.
  ///
  /// - Parameter reads: the positions of the nodes among its inputs.
  fileprivate init<P: StageParameters>(
    _ parameters: P, inputs: [String: StageConfiguration.Input], reads: [Int] = [],
    sources: [String], label: String
  ) {
    let configuration = parameters.configuration(inputs: inputs)
    self.init(
      stage: P.stage, id: configuration.id, configuration: configuration, inputs: reads,
      sources: sources, label: label, run: 0, runNames: [])
  }
}
