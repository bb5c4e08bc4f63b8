import Checkpoints
import Foundation
import Support

/// What a run has consumed and the loss since the last metrics line: the state that, with weights and
/// moments, makes a resumed run the undisturbed one.
package struct TrainingProgress: Sendable, Equatable {
  package var step = 0
  package var sentences = 0
  package var rows = 0
  package var characters = 0
  /// Sum over rows of the negative log-likelihood, in nats, since the last metrics line.
  package var windowLoss = 0.0
  package var windowRows = 0

  package init() {}

  /// Counts one finished step.
  package mutating func add(sentences: Int, rows: Int, characters: Int, lossSum: Double) {
    step += 1
    self.sentences += sentences
    self.rows += rows
    self.characters += characters
    windowLoss += lossSum
    windowRows += rows
  }

  /// Mean loss of the window, in nats per row, and the start of a new one.
  package mutating func closeWindow() -> Double {
    let loss = windowLoss / Double(windowRows)
    windowLoss = 0
    windowRows = 0
    return loss
  }
}

/// One line of `metrics.jsonl`: deterministic content only, so that the file is identity.
package struct MetricsLine: Sendable, Equatable {
  package let progress: TrainingProgress
  /// Nats per predicted token over the steps since the previous line.
  package let loss: Double
  /// Global L2 norm of the step's gradient before clipping.
  package let gradientNorm: Double
  package let learningRate: Double
  /// What the text is counted in, and the name of that count.
  package let unit: TextUnit

  package init(
    progress: TrainingProgress, loss: Double, gradientNorm: Double, learningRate: Double,
    unit: TextUnit = .characters
  ) {
    self.progress = progress
    self.loss = loss
    self.gradientNorm = gradientNorm
    self.learningRate = learningRate
    self.unit = unit
  }

  /// Canonical JSON and a line feed. Doubles are printed with as many digits as identify them.
  package var text: String {
    let object = ConfigValue.object([
      "step": .integer(progress.step),
      "sentences": .integer(progress.sentences),
      "rows": .integer(progress.rows),
      unit.rawValue: .integer(progress.characters),
      "loss": .double(loss),
      "gradientNorm": .double(gradientNorm),
      "learningRate": .double(learningRate),
    ])
    return object.canonicalJSON + "\n"
  }
}

/// Appends metrics lines to a file that can be cut back to the length a checkpoint remembers.
package struct MetricsLog: ~Copyable {
  package let path: String
  /// Bytes of the lines written so far.
  package private(set) var bytes: Int
  private var hash = SHA256()
  private let file: Int32

  /// SHA-256 of the lines written so far.
  package var digest: String { hash.finalizeHex() }

  /// SHA-256 of no lines.
  package static let emptyDigest = SHA256().finalizeHex()

  /// Opens `path`, creating it, and cuts it to `bytes`, whose SHA-256 must be `digest`.
  ///
  /// - Throws: `UserError` when the file cannot be opened, is shorter than `bytes` or was altered.
  package init(path: String, bytes: Int = 0, digest: String = emptyDigest) throws {
    let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard file >= 0 else {
      throw UserError(
        "\(path): cannot be opened", found: String(cString: strerror(errno)),
        remedy: "Check the permissions of the output directory.")
    }
    let length = Int(lseek(file, 0, SEEK_END))
    guard length >= bytes else {
      close(file)
      throw UserError(
        "\(path): shorter than the checkpoint says", expected: "at least \(bytes) bytes",
        found: "\(length) bytes", remedy: "Delete the output directory and train again.")
    }
    var kept = [UInt8](repeating: 0, count: bytes)
    guard pread(file, &kept, bytes, 0) == bytes else {
      close(file)
      throw UserError("\(path): cannot be read", found: String(cString: strerror(errno)))
    }
    hash.update(kept)
    guard hash.finalizeHex() == digest else {
      close(file)
      throw UserError(
        path, expected: "lines with SHA-256 \(digest), as the checkpoint says",
        found: hash.finalizeHex(), remedy: "Delete the output directory and train again.")
    }
    guard ftruncate(file, bytes) == 0, lseek(file, bytes, SEEK_SET) == bytes else {
      close(file)
      throw UserError("\(path): cannot be cut back", found: String(cString: strerror(errno)))
    }
    self.path = path
    self.bytes = bytes
    self.file = file
  }

  deinit { close(file) }

  /// Writes one line. A line that did not get to the disk whole is an error.
  package mutating func append(_ line: MetricsLine) throws {
    let text = Array(line.text.utf8)
    var written = 0
    while written < text.count {
      let count = text[written...].withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else {
        throw UserError(
          "\(path): cannot be written", found: String(cString: strerror(errno)),
          remedy: "Free disk space and run the same command again.")
      }
      written += count
    }
    bytes += text.count
    hash.update(text)
  }

  /// Returns when the lines are on the disk. A checkpoint may count them only after this.
  package func synchronize() throws {
    guard fsync(file) == 0 else {
      throw UserError("\(path): cannot be synchronized", found: String(cString: strerror(errno)))
    }
  }
}
