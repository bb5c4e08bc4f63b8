import Contracts
import Support
import Tokenization

extension CorpusFacts {
  func part(of set: ScoredSet) -> Part {
    switch set {
    case .heldout: train
    case .other: other
    }
  }

  /// Documents whose draws are looked at: beyond them a share that gave none is an accident.
  private static let draws = 1 << 20

  /// Checks that a part of the split gets a document: the draws depend on the documents' numbers only.
  ///
  /// - Parameter share: the setting that says how many.
  func requireDocuments(
    _ tokens: TextTokenizeParameters, of corpus: Part, _ settings: Settings, _ share: String
  ) throws {
    let split = tokens.corpusSplit
    // Drawn by their text, documents are known when it is read.
    let looked =
      split.groupWords == 0 && split.blockBytes == 0 ? min(corpus.documents, Self.draws) : 0
    let hasDocument = (0..<looked).contains { split.part(ofDocument: $0) == tokens.part }
    let own = tokens.part == .train ? 1 - tokens.heldoutShare : tokens.heldoutShare
    let isPossible = looked < corpus.documents && own * Double(corpus.documents) >= 1
    guard hasDocument || isPossible else {
      throw settings.fault(
        share,
        expected: "a share that leaves a document to "
          + (tokens.part == .train ? "train on" : "score")
          + ", of the \(corpus.documents) of \(corpus.path)")
    }
  }
}
