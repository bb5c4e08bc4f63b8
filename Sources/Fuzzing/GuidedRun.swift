import CFuzzing
import Foundation
import Support

/// Fuzzing that is guided by coverage: libFuzzer keeps inputs that reach new branches, and changes
/// those. Digests of its inputs are made right before they are read, or none would come behind them.
package enum GuidedRun {
  /// Bytes of an input, at most.
  private static let largest = 1 << 14
  /// Seconds for one input.
  private static let patience = 20

  nonisolated(unsafe) private static var target: FuzzTarget?
  nonisolated(unsafe) private static var state: FuzzState?

  /// Whether this build has it.
  package static var isPossible: Bool { ott_has_guide() != 0 }

  /// Reads inputs for `seconds`, beginning with the seeds and what `corpus` holds, to which it adds;
  /// with `kept`, reads those of `corpus` once and adds to `kept` the few that reach all that they
  /// reach. Ends the process: with 0, or otherwise when a reader did what it must not, whose input it
  /// leaves in `findings`.
  ///
  /// - Parameters:
  ///   - command: how libFuzzer calls this process again, in a shell.
  ///   - passed: what it then says behind that, instead of all that is said here.
  package static func run(
    _ target: FuzzTarget, called command: String, seed: UInt32, seconds: Int, corpus: String,
    kept: String?, passed: [String], findings: String, scratch: ScratchDirectory, state: FuzzState
  ) throws -> Never {
    self.target = target
    self.state = state
    try AtomicFile.makeDirectory(corpus)
    for (number, bytes) in target.seeds.enumerated() {
      try AtomicFile.write(bytes, to: "\(corpus)/seed-\(number)")
    }
    let dictionary = "\(scratch.path)/words"
    try AtomicFile.write(self.dictionary(target.words), to: dictionary)
    var arguments = [
      command, "-seed=\(seed)", "-max_len=\(largest)", "-timeout=\(patience)",
      "-rss_limit_mb=\(FuzzWorker.memoryLimit >> 20)", "-dict=\(dictionary)",
      "-artifact_prefix=\(findings)/\(target.name)-guided-", "-print_final_stats=1",
    ]
    if !passed.isEmpty {
      arguments = [command] + passed
    } else if let kept {
      try AtomicFile.makeDirectory(kept)
      // Branches alone, not how often they are taken: a tenth of the inputs.
      arguments += ["-use_counters=0", "-set_cover_merge=1", kept, corpus]
    } else {
      arguments += ["-max_total_time=\(seconds)", corpus]
    }
    var texts = arguments.map { strdup($0) } + [nil]
    ott_guide(Int32(arguments.count), &texts) { bytes, count in
      GuidedRun.read(UnsafeBufferPointer(start: bytes, count: count))
    }
    preconditionFailure("the guide came back")
  }

  private static func read(_ bytes: UnsafeBufferPointer<UInt8>) {
    guard let target, let state else { return }
    do {
      switch try target.runMended(Array(bytes), isAlone: true) {
      case .accepted: state.accepted += 1
      case .refused: state.refused += 1
      }
    } catch {
      StandardError.write("\(error)\n")
      abort()
    }
  }

  /// In libFuzzer's form: a quoted word a line, its bytes escaped.
  private static func dictionary(_ words: [String]) -> String {
    let lines = words.map { word in
      "\"" + word.utf8.map { String(format: "\\x%02X", Int($0)) }.joined() + "\"\n"
    }
    return lines.joined()
  }
}

extension FuzzTarget {
  /// Reads `bytes` with its digests mended.
  package func runMended(_ bytes: [UInt8], isAlone: Bool = false) throws -> Outcome {
    var bytes = bytes
    _ = reseal(&bytes)
    return try run(bytes, isResealed: true, isAlone: isAlone)
  }
}
