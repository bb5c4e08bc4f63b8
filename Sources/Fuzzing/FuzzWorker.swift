import Foundation
import Support

/// What a worker process tells its parent: a page of memory that both have mapped.
///
/// A worker writes the number of an input before it reads it, so that a trap, which ends the process,
/// leaves the number of the input behind.
package final class FuzzState {
  private static let size = 4096
  private let base: UnsafeMutableRawPointer

  /// Maps the file at `path`, creating it.
  package init(path: String) throws {
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0, ftruncate(descriptor, off_t(FuzzState.size)) == 0 else {
      throw FileFault.error("cannot write \(path)")
    }
    defer { close(descriptor) }
    guard
      let base = mmap(
        nil, FuzzState.size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), base != MAP_FAILED
    else { throw FileFault.error("cannot map \(path)") }
    self.base = base
  }

  deinit { munmap(base, FuzzState.size) }

  /// Nothing counted yet, and `first` the next input.
  package func reset(to first: UInt64) {
    current = first
    accepted = 0
    refused = 0
  }

  private func word(_ position: Int) -> UnsafeMutablePointer<UInt64> {
    (base + 8 * position).assumingMemoryBound(to: UInt64.self)
  }

  /// Number of the input being read.
  package var current: UInt64 {
    get { word(0).pointee }
    set { word(0).pointee = newValue }
  }

  package var accepted: UInt64 {
    get { word(1).pointee }
    set { word(1).pointee = newValue }
  }

  package var refused: UInt64 {
    get { word(2).pointee }
    set { word(2).pointee = newValue }
  }
}

/// The loop of a worker process.
package enum FuzzWorker {
  /// Bytes of address space that a reader may use: a forged length that is believed ends the process.
  package static let memoryLimit = 2 << 30

  /// Reads inputs `first`, `first + stride`, … until `seconds` are over, or `count` of them.
  ///
  /// - Parameter isAlone: see `FuzzTarget.run`.
  /// - Throws: `Finding` for what a reader must not do and survives.
  package static func run(
    _ target: FuzzTarget, seed: UInt64, first: UInt64, stride: UInt64, count: UInt64 = .max,
    seconds: Double, state: FuzzState, isAlone: Bool = false
  ) throws {
    let mutator = target.mutator(seed: seed)
    let end = Host.monotonicSeconds + seconds
    var index = first
    var done: UInt64 = 0
    while done < count, done % 64 != 0 || Host.monotonicSeconds < end {
      state.current = index
      let input = target.input(index, mutator)
      switch try target.run(input.bytes, isResealed: input.isResealed, isAlone: isAlone) {
      case .accepted: state.accepted += 1
      case .refused: state.refused += 1
      }
      index += stride
      done += 1
    }
  }

  /// Bounds the address space of this process from now on.
  package static func limitMemory() {
    var limit = rlimit(rlim_cur: rlim_t(memoryLimit), rlim_max: rlim_t(memoryLimit))
    setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit)
  }
}
