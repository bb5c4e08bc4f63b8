import Contracts
import Models
import NGrams
import Support

/// `README.md` of an exported run: the model card, made of the run's index and evidence alone.
struct ModelCard {
  private let run: FinishedRun
  private let published: PublishedModel

  init(_ run: FinishedRun, _ published: PublishedModel) {
    (self.run, self.published) = (run, published)
  }

  var text: String {
    ([frontMatter, title, loading, model, training, losses, origin].compactMap { $0 })
      .joined(separator: "\n\n") + "\n"
  }

  private var kind: DataKind { run.index.kind }

  private var frontMatter: String {
    """
    ---
    library_name: transformers
    pipeline_tag: text-generation
    tags:
    - overtoken
    - \(Architecture(of: run.model.trunk).rawValue)
    ---
    """
  }

  private var title: String {
    let isLast = run.snapshot.step == run.index.snapshots.last?.step
    return """
      # Run \(run.index.id)\(isLast ? "" : ", step \(run.snapshot.step)")
      \(run.index.parameterCount) parameters, trained on \
      \(kind == .text ? "text" : "sentences of a grammar") by \(Product.name). Written by `ott-export`; \
      `\(ExportDirectory.markName)` has the digest of every file.
      """
  }

  private var loading: String {
    let trusts = published.isStock ? "" : ", trust_remote_code=True"
    let tokenizer =
      run.tokenizer == nil ? "" : "tokenizer = AutoTokenizer.from_pretrained(DIRECTORY\(trusts))\n"
    return """
      ```python
      from transformers import AutoModelForCausalLM\(run.tokenizer == nil ? "" : ", AutoTokenizer")
      model = AutoModelForCausalLM.from_pretrained(DIRECTORY\(trusts))
      \(tokenizer)```
      \(notes.map { "* " + $0 }.joined(separator: "\n"))
      """
  }

  /// What a reader of the directory could get wrong.
  private var notes: [String] {
    var notes: [String] = []
    if kind == .text {
      notes.append(
        "Nothing stands in front of a document, no BOS: a prompt begins with its first token. "
          + (run.endOfText.map { "`\($0)` stands behind a document and is never read." }
            ?? "Nothing stands behind one either."))
      if run.tokenizer == nil {
        notes.append("The tokenizer has another form than `tokenizer.json` and is not in here.")
      }
    } else {
      notes.append(
        "Tokens are those of the grammar's symbols: id 0 is in front of every sentence, id 1 behind "
          + "it. There is no tokenizer.")
    }
    notes.append("The context is \(run.model.context) tokens.")
    if !published.isStock {
      notes.append(
        "`modeling_overtoken.py` adds the n-gram input to transformers' trunk; it keeps the ids of a "
          + "sequence in the cache, so `generate()` is exact, with beams and padding on the left too."
      )
    }
    if let fGrams = run.model.fGrams {
      notes.append(
        "The embedding of a token is the last row of a second transformer, `fgrams`, over the longest "
          + "frequent n-gram of 2 to \(fGrams.longest) tokens that ends there, where there is one. Their "
          + "keys are in the weights; each distinct one of a call is computed once.")
    }
    let left = run.model.unpublishedTensors
    if !left.isEmpty {
      notes.append(
        "Trained with heads on tokens further ahead, which are not in here: \(left.count) tensors, "
          + "`\(left[0])` among them. The head on the next token does not depend on them.")
    }
    return notes
  }

  private var model: String {
    "## Model\n" + Self.block(run.index.model)
  }

  private var training: String {
    let snapshot = run.snapshot
    return """
      ## Training
      \(snapshot.step) of \(run.index.steps) steps: \(snapshot.sequences) \(kind.sequences), \
      \(snapshot.rows) tokens, \(snapshot.symbols) \(kind.symbols); seed \(run.index.seed), seed of the \
      data's order \(run.index.dataSeed).
      """ + (run.evidence?["parameters"]).map { "\n\n" + Self.block($0) }.orEmpty
  }

  private var losses: String? {
    guard let loss = run.index.finalLoss else { return nil }
    let others = run.index.finalLosses.sorted { $0.key < $1.key }
      .map { "| \($0.key) | \($0.value) |" }
    return
      ([
        "## Losses",
        "Of training, in nats a token, over the last window of the log at the last step.",
        "", "| loss | nats |", "| --- | ---: |", "| next | \(loss) |",
      ] + others).joined(separator: "\n")
  }

  private var origin: String {
    var lines = [
      "## Where it comes from",
      "Weights of step \(run.snapshot.step): `\(run.snapshot.file)`, SHA-256 `\(run.snapshot.sha256)`.",
    ]
    guard let evidence = run.evidence else {
      return (lines + ["The run has no evidence of its code and machine."]).joined(separator: "\n")
    }
    if let environment = try? evidence.environment(of: .object(evidence.members), remedy: "") {
      for key in ["product", "code", "executable", "cpu", "hostThreads"] {
        if let value = environment[key] { lines.append("* \(key): \(Self.plain(value))") }
      }
    }
    if let seconds = evidence["wallSeconds"] { lines.append("* seconds: \(Self.plain(seconds))") }
    lines += ["", "| made from | id | settings |", "| --- | --- | --- |"]
    for record in evidence.history {
      let settings = record["parameters"] ?? record["path"] ?? .null
      lines.append(
        "| \(Self.plain(record["stage"] ?? .null)) | \(Self.plain(record["id"] ?? .null)) "
          + "| `\(Self.cell(settings))` |")
    }
    lines += ["", "To train it again, bit for bit, with its inputs in their places:", ""]
    let configuration: ConfigValue = [
      "stage": evidence["stage"] ?? .null, "version": evidence["stageVersion"] ?? .null,
      "parameters": evidence["parameters"] ?? .null, "inputs": inputs(of: evidence),
    ]
    lines.append("```\n$ cat run.json\n\(configuration.canonicalJSON)")
    lines.append(
      "$ ott-\(Self.plain(evidence["stage"] ?? .null)) --config run.json --output "
        + "data/\(Self.plain(evidence["stage"] ?? .null))/\(run.index.id)\n```")
    return lines.joined(separator: "\n")
  }

  /// Inputs as a configuration names them: outputs of stages where planning puts them.
  private func inputs(of evidence: EvidenceFile) -> ConfigValue {
    guard case .object(let ids)? = evidence["inputs"] else { return [:] }
    return .object(
      ids.mapValues { id in
        let record = evidence.history.first { $0["id"] == id }
        let stage = Self.plain(record?["stage"] ?? .null)
        let path = record?["path"] ?? .string("data/\(stage)/\(Self.plain(id))")
        return ["id": id, "path": path]
      })
  }

  private static func block(_ value: ConfigValue) -> String {
    "```json\n\(value.prettyJSON)```"
  }

  private static func plain(_ value: ConfigValue) -> String {
    if case .string(let text) = value { text } else { value.canonicalJSON }
  }

  /// One line that a table can hold: long lists are cut.
  private static func cell(_ value: ConfigValue) -> String {
    let text = plain(value).replacing("|", with: "\\|")
    return text.count <= 300 ? text : text.prefix(300) + " …"
  }
}

extension String? {
  fileprivate var orEmpty: String { self ?? "" }
}
