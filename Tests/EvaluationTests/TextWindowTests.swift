import Evaluation
import Testing

@Suite struct TextWindowTests {
  @Test(arguments: [0, 1, 2, 5, 7, 8, 9, 16, 17, 100], [1, 2, 3, 7, 8])
  func everyRowIsScoredOnceWithItsHistory(length: Int, stride: Int) {
    let context = 8
    let rows = 1000..<1000 + length
    let windows = TextWindow.cut(document: 4, rows: rows, context: context, stride: stride)
    #expect(windows.flatMap { Array($0.scored) } == Array(rows))
    #expect(windows.isEmpty == (length == 0))
    for (i, window) in windows.enumerated() {
      #expect(window.document == 4)
      #expect(window.rows.count <= context)
      #expect(window.rows.upperBound == window.scored.upperBound)
      #expect(rows.contains(window.rows.lowerBound) && !window.scored.isEmpty)
      let history = window.scored.lowerBound - window.rows.lowerBound
      if i == 0 {
        #expect(history == 0 && window.rows.lowerBound == 1000)
      } else {
        #expect(history == context - stride)
      }
    }
  }

  @Test func documentsAndLimits() {
    let offsets = [0, 3, 3, 13]
    func cut(_ positions: Int?) -> [TextWindow] {
      TextWindow.cut(offsets: offsets, context: 4, stride: 2, positions: positions)
    }
    #expect(cut(nil).map(\.document) == [0, 2, 2, 2, 2])
    #expect(cut(nil).map(\.rows) == [0..<3, 3..<7, 5..<9, 7..<11, 9..<13])
    #expect(cut(nil).map(\.scored) == [0..<3, 3..<7, 7..<9, 9..<11, 11..<13])
    for positions in [0, 1, 3, 4, 8, 12, 13, 50] {
      let scored = cut(positions).flatMap { Array($0.scored) }
      #expect(scored == Array(0..<min(positions, 13)))
    }
  }

  @Test func groupsHoldSoManyRows() {
    let windows = [3, 3, 4, 1, 9, 2].enumerated().map { i, count in
      TextWindow(document: i, rows: 0..<count, scored: 0..<count)
    }
    #expect(TextWindow.pack(windows, rows: 1) == [0..<1, 1..<2, 2..<3, 3..<4, 4..<5, 5..<6])
    #expect(TextWindow.pack(windows, rows: 6) == [0..<2, 2..<4, 4..<5, 5..<6])
    #expect(TextWindow.pack(windows, rows: 7) == [0..<2, 2..<4, 4..<5, 5..<6])
    #expect(TextWindow.pack(windows, rows: 1000) == [0..<6])
    #expect(TextWindow.pack([], rows: 5).isEmpty)
  }
}

@Suite struct TextScoresTests {
  @Test func ratiosOfSums() {
    let scores = TextScores(windows: [
      .init(document: 0, tokens: 4, bytes: 10, nats: 8),
      .init(document: 0, tokens: 1, bytes: 0, nats: 2),
      .init(document: 3, tokens: 5, bytes: 30, nats: 5),
    ])
    #expect(scores.documents.map(\.document) == [0, 3])
    #expect(scores.documents[0] == .init(document: 0, tokens: 5, bytes: 10, nats: 10))
    #expect(scores.tokens == 10 && scores.bytes == 40 && scores.nats == 15)
    #expect(scores.natsPerToken(scores.documents).ratio == 1.5)
    #expect(scores.natsPerToken(scores.windows).ratio == 1.5)
    #expect(abs(scores.perplexity - 4.4816890703) < 1e-9)
    #expect(abs(scores.bitsPerByte(scores.documents).ratio - 15 / 0.6931471805599453 / 40) < 1e-12)
    // Residuals ±2.5 on 10 tokens: √(2/1 · 2 · 2.5²)/10.
    #expect(abs(scores.natsPerToken(scores.documents).standardError - 0.5) < 1e-12)
  }
}
