import Contracts
import Foundation
import Support
import Testing
import Training

@Suite struct MetricsLogTests {
  private func line(_ step: Int, _ kind: DataKind = .grammar) -> MetricsLine {
    var progress = TrainingProgress()
    for _ in 0..<step { progress.add(sequences: 4, rows: 30, symbols: 26, lossSum: 33) }
    return MetricsLine(
      progress: progress, loss: 1.1, gradientNorm: 0.25, learningRate: 1e-3, kind: kind)
  }

  @Test func aLineIsCanonicalJSON() {
    #expect(
      line(2).text
        == #"{"characters":52,"gradientNorm":0.25,"learningRate":0.001,"loss":1.1,"rows":60,"#
        + #""sentences":8,"step":2}"# + "\n")
    #expect(
      line(2, .text).text
        == #"{"bytes":52,"gradientNorm":0.25,"learningRate":0.001,"loss":1.1,"rows":60,"#
        + #""step":2,"windows":8}"# + "\n")
  }

  /// The next-token loss is `loss`, alone; the others stand beside it by name.
  @Test func furtherLossesAreNamed() {
    var progress = TrainingProgress()
    for _ in 0..<2 {
      progress.add(sequences: 4, rows: 30, symbols: 26, lossSum: 33)
      progress.add(loss: "balance", sum: 3, rows: 30)
      progress.add(loss: "head 2", sum: 50, rows: 25)
    }
    let text = MetricsLine(
      progress: progress, loss: 1.1, furtherLosses: progress.furtherLosses, gradientNorm: 0.25,
      learningRate: 1e-3, kind: .grammar
    ).text
    #expect(text.contains(#""loss":1.1,"losses":{"balance":0.1,"head 2":2.0},"rows":60"#))
    _ = progress.closeWindow()
    #expect(progress.furtherLosses.isEmpty)
  }

  @Test func cutsBackAndGoesOn() throws {
    try withTemporaryDirectory { directory in
      let path = "\(directory)/metrics.jsonl"
      var kept = 0
      var digest = ""
      do {
        var log = try MetricsLog(path: path)
        try log.append(line(1))
        kept = log.bytes
        digest = log.digest
        try log.append(line(2))
        try log.synchronize()
      }
      do {
        var log = try MetricsLog(path: path, bytes: kept, digest: digest)
        try log.append(line(3))
        #expect(log.bytes == kept + line(3).text.utf8.count)
      }
      #expect(try String(contentsOfFile: path, encoding: .utf8) == line(1).text + line(3).text)
    }
  }

  @Test func refusesAlteredLines() throws {
    try withTemporaryDirectory { directory in
      let path = "\(directory)/metrics.jsonl"
      let digest = SHA256.hex(of: "{}\n")
      try AtomicFile.write("{]\n", to: path)
      let error = #expect(throws: UserError.self) {
        _ = try MetricsLog(path: path, bytes: 3, digest: digest)
      }
      #expect(try #require(error).description.contains("expected lines with SHA-256 \(digest)"))
      #expect(try String(contentsOfFile: path, encoding: .utf8) == "{]\n")
    }
  }

  @Test func refusesAFileShorterThanTheCheckpointSays() throws {
    try withTemporaryDirectory { directory in
      let path = "\(directory)/metrics.jsonl"
      try AtomicFile.write("{}\n", to: path)
      let error = #expect(throws: UserError.self) { _ = try MetricsLog(path: path, bytes: 4) }
      #expect("\(try #require(error))".contains("shorter than the checkpoint says"))
      #expect(try String(contentsOfFile: path, encoding: .utf8) == "{}\n")
    }
  }
}

/// Runs `body` with a fresh directory that is gone afterwards.
func withTemporaryDirectory<Result>(_ body: (String) throws -> Result) throws -> Result {
  let directory = FileManager.default.temporaryDirectory.path + "/training-\(UUID().uuidString)"
  try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: directory) }
  return try body(directory)
}
