import Glibc
import Statistics
import Support

/// How well a model predicts a text.
///
/// Every position but a document's first is predicted, its end too where a token marks it; bytes are
/// those of the predicted tokens (a special token has none), so nats and bytes speak of the same tokens.
package struct TextScores: Sendable, Equatable {
  /// What one window or document has: −log Q in nats over so many tokens and bytes.
  package struct Part: Sendable, Equatable {
    package let document: Int
    package var tokens: Int
    package var bytes: Int
    package var nats: Double

    package init(document: Int, tokens: Int, bytes: Int, nats: Double) {
      self.document = document
      self.tokens = tokens
      self.bytes = bytes
      self.nats = nats
    }
  }

  package let windows: [Part]
  /// Of the documents that have windows, in order.
  package let documents: [Part]

  /// - Parameter windows: in order; those of a document follow each other.
  package init(windows: [Part]) {
    self.windows = windows
    var documents: [Part] = []
    for window in windows {
      if let last = documents.indices.last, documents[last].document == window.document {
        documents[last].tokens += window.tokens
        documents[last].bytes += window.bytes
        documents[last].nats += window.nats
      } else {
        documents.append(window)
      }
    }
    self.documents = documents
  }

  package var tokens: Int { documents.reduce(0) { $0 + $1.tokens } }
  package var bytes: Int { documents.reduce(0) { $0 + $1.bytes } }
  /// Σ −log Q.
  package var nats: Double { documents.reduce(0) { $0 + $1.nats } }

  /// Σ nats / Σ tokens, over documents or over windows: the same ratio, two standard errors. That over
  /// windows takes the windows of a document for independent, so it is too small where documents
  /// differ; that over documents needs many of them.
  package func natsPerToken(_ parts: [Part]) -> RatioEstimate {
    RatioEstimate(numerators: parts.map(\.nats), denominators: parts.map { Double($0.tokens) })
  }

  /// Σ nats / (ln 2 · Σ bytes).
  package func bitsPerByte(_ parts: [Part]) -> RatioEstimate {
    RatioEstimate(
      numerators: parts.map { $0.nats / log(2.0) }, denominators: parts.map { Double($0.bytes) })
  }

  /// e^(nats per token).
  package var perplexity: Double { exp(natsPerToken(documents).ratio) }

  /// As the index holds them; numbers that are not finite (a standard error of one document, bits of no
  /// byte) are null.
  var value: ConfigValue {
    let (loss, bits) = (natsPerToken(documents), bitsPerByte(documents))
    return [
      "documents": .integer(documents.count), "windows": .integer(windows.count),
      "tokens": .integer(tokens), "bytes": .integer(bytes), "nats": .finite(nats),
      "natsPerToken": .finite(loss.ratio),
      "natsPerTokenStandardError": .finite(loss.standardError),
      "natsPerTokenWindowStandardError": .finite(natsPerToken(windows).standardError),
      "perplexity": .finite(perplexity),
      "bitsPerByte": .finite(bits.ratio),
      "bitsPerByteStandardError": .finite(bits.standardError),
      "bitsPerByteWindowStandardError": .finite(bitsPerByte(windows).standardError),
    ]
  }
}

extension ConfigValue {
  /// A number; null where it is not finite.
  static func finite(_ value: Double) -> ConfigValue { value.isFinite ? .double(value) : .null }
}
