import Contracts
import Support
import Tokenization

/// Further sets of text that a run is scored on, where its settings name any: domains of the corpus.
struct DomainsPlan: Sendable {
  struct Domain: Sendable {
    let name: String
    let part: CorpusFacts.Part
    let tokens: TextTokenizeParameters
  }

  /// In the order of their names.
  let domains: [Domain]

  /// Nil without domains.
  ///
  /// - Parameter tokens: parameters of the stage that tokenizes so large a share of a domain's documents.
  /// - Throws: `UserError` naming the setting that is wrong.
  init?(
    _ settings: Settings, _ corpus: CorpusFacts,
    tokens: (_ share: Double) throws -> TextTokenizeParameters
  ) throws {
    let chosen = try settings.choice(
      "evaluation.domains", of: corpus.domains.map(\.name), in: try settings.string("corpus.file"))
    guard !chosen.isEmpty else { return nil }
    let bytes = try settings.parameters(Amount.self, from: ["evaluation"]).domainBytes
    domains = try corpus.domains.filter { chosen.contains($0.name) }.map { domain in
      let share = bytes == 0 ? 1 : min(1, Double(bytes) / Double(domain.part.bytes))
      let parameters = try tokens(share)
      try corpus.requireDocuments(
        parameters, of: domain.part, settings, "evaluation.domainBytes")
      return Domain(name: domain.name, part: domain.part, tokens: parameters)
    }
  }

  private struct Amount: KeyedParameters {
    @Key(in: 0...1 << 50) var domainBytes: Int
  }
}

extension Settings {
  /// The names that the list at `path` gives of those that there are, [all] for all of them.
  func choice(_ path: String, of names: [String], in file: String) throws -> [String] {
    guard case .array(let values)? = value(path) else { return [] }
    if values == ["all"] { return names }
    return try values.map { value in
      guard case .string(let name) = value, names.contains(name) else {
        throw fault(
          path,
          expected: "[all], or names of \(file): "
            + (names.isEmpty ? "it has none" : names.joined(separator: ", ")))
      }
      return name
    }
  }
}
