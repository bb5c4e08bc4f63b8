import Foundation
import Support

/// A reader under test: what it reads, and what it must never do.
///
/// A reader may return or throw a `UserError`. Anything else is a finding: a trap, another error, a
/// hang, more memory than the worker's limit, and, of a file whose digests cover every byte, a changed
/// input that is taken for whole.
package struct FuzzTarget {
  package let name: String
  package let seeds: [[UInt8]]
  /// Words of the format, for the mutator.
  package let words: [String]
  /// Every byte is covered by digests: a changed file must be refused.
  package let isSealed: Bool
  /// Makes the digests of a changed file right again, so that what lies behind them is reached; false
  /// where there is nothing to mend.
  package let reseal: (inout [UInt8]) -> Bool
  /// Reads all of the file.
  package let read: ([UInt8]) throws -> Void

  init(
    _ name: String, seeds: [[UInt8]], words: [String] = [], isSealed: Bool = false,
    reseal: @escaping (inout [UInt8]) -> Bool = { _ in false },
    read: @escaping ([UInt8]) throws -> Void
  ) {
    self.name = name
    self.seeds = seeds
    self.words = words
    self.isSealed = isSealed
    self.reseal = reseal
    self.read = read
  }

  package func mutator(seed: UInt64) -> Mutator {
    Mutator(seeds: seeds, words: words, seed: seed, name: name)
  }

  package enum Outcome: Sendable, Equatable { case accepted, refused }

  /// Input number `index` as the reader gets it; every second one with its digests mended.
  package func input(_ index: UInt64, _ mutator: Mutator) -> (bytes: [UInt8], isResealed: Bool) {
    var bytes = mutator.input(index)
    let isResealed = index % 2 == 1 && reseal(&bytes)
    return (bytes, isResealed)
  }

  /// - Parameter isAlone: nothing else opens files in this process, so that one which the reader leaves
  ///   open is noticed. When none can be opened any more, a reader refuses everything.
  /// - Throws: `Finding` when the reader did what it must not.
  package func run(
    _ bytes: [UInt8], isResealed: Bool, isAlone: Bool = false
  ) throws -> Outcome {
    let free = isAlone ? Descriptor.lowestFree : 0
    let outcome = try outcome(of: bytes)
    if isAlone, Descriptor.lowestFree != free {
      throw Finding(target: name, problem: "a file was left open")
    }
    if outcome == .accepted, isSealed, !isResealed, !seeds.contains(bytes) {
      throw Finding(target: name, problem: "an altered file was taken for whole")
    }
    return outcome
  }

  private func outcome(of bytes: [UInt8]) throws -> Outcome {
    do {
      try read(bytes)
      return .accepted
    } catch is UserError {
      return .refused
    } catch {
      throw Finding(target: name, problem: "another error than UserError: \(error)")
    }
  }
}

/// What a reader did that it must not.
package struct Finding: Error, CustomStringConvertible {
  package let target: String
  package let problem: String
  package var description: String { "\(target): \(problem)" }
}

/// A file in memory (`/dev/shm` where there is one) that inputs are put into.
final class ScratchFile {
  let path: String
  private let descriptor: Int32
  private var size = 0

  init(_ path: String) throws {
    self.path = path
    descriptor = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw FileFault.error("cannot write \(path)") }
  }

  deinit {
    close(descriptor)
    unlink(path)
  }

  func put(_ bytes: [UInt8]) throws {
    guard pwrite(descriptor, bytes, bytes.count, 0) == bytes.count,
      bytes.count >= size || ftruncate(descriptor, off_t(bytes.count)) == 0
    else { throw FileFault.error("cannot write \(path)") }
    size = bytes.count
  }
}

/// A directory of scratch files, gone with its owner.
package final class ScratchDirectory {
  package let path: String

  /// - Parameter base: where it lies; nil for memory.
  package init(in base: String? = nil) throws {
    let base = base ?? (FileBytes.exists("/dev/shm") ? "/dev/shm" : NSTemporaryDirectory())
    path = "\(base)/ott-fuzz-\(getpid())-\(UUID().uuidString.prefix(8))"
    try AtomicFile.makeDirectory(path)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String) throws -> ScratchFile { try ScratchFile("\(path)/\(name)") }

  func directory(_ name: String) throws -> String {
    try AtomicFile.makeDirectory("\(path)/\(name)")
    return "\(path)/\(name)"
  }
}
