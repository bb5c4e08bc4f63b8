import Grammar
import Support

/// What planning needs to know of a grammar.
package struct GrammarFacts: Sendable {
  /// As written in the settings, relative to the project.
  package let path: String
  /// SHA-256 of the file's bytes.
  package let digest: String
  package let root: Int
  package let terminals: Int
  /// Characters of the longest sentence.
  package let longest: Int
  /// Expected characters of a sentence.
  package let meanCharacters: Double
  /// Probability of each length, from 0.
  private let lengths: [Double]

  package init(path: String, root: Int, in directory: String = ".") throws {
    let full = directory == "." ? path : directory + "/" + path
    let grammar = try Grammar(contentsOfFile: full).rooted(at: root)
    self.path = path
    self.root = root
    digest = SHA256.hex(of: try FileBytes.read(full))
    terminals = grammar.terminalCount
    longest = grammar.lengthRange.upperBound
    meanCharacters = grammar.meanLength
    lengths = grammar.lengthDistribution
  }

  /// Expected predictions per sentence with n-gram tokens: ⌈length/n⌉ and the end.
  package func meanRows(tokenizerOrder n: Int) -> Double {
    var sum = 0.0
    for (length, probability) in lengths.enumerated() {
      sum += probability * Double((length + n - 1) / n + 1)
    }
    return sum
  }
}
