import CSupport

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Another program, started and waited for by system calls alone, so that its end is never missed.
///
/// It begins with no signal blocked, whatever the thread that starts it has blocked.
package final class ChildProcess {
  package enum Ending: Sendable, Equatable {
    case exited(Int32)
    case signalled(Int32)

    /// The exit status, or 128 + the signal, as a shell says it.
    package var status: Int32 {
      switch self {
      case .exited(let status): status
      case .signalled(let signal): 128 + signal
      }
    }
  }

  package let id: pid_t
  private var ending: Ending?

  /// Starts `program`, found in PATH if it has no slash.
  ///
  /// - Parameters:
  ///   - directory: where it starts; nil for this process's own.
  ///   - environment: nil for this process's own.
  ///   - output, errors: files that its streams go to, emptied first; nil for this process's own.
  /// - Throws: `UserError` when it cannot be started. Standard input is empty.
  package init(
    _ program: String, _ arguments: [String], in directory: String? = nil,
    environment: [String: String]? = nil, output: String? = nil, errors: String? = nil
  ) throws {
    var texts = ([program] + arguments).map { strdup($0) } + [nil]
    var settings = environment?.map { strdup("\($0)=\($1)") } ?? []
    settings.append(nil)
    defer { for text in texts + settings { free(text) } }
    var id: Int32 = 0
    let status = settings.withUnsafeMutableBufferPointer { settings in
      ott_spawn(
        &id, program, &texts, environment == nil ? nil : settings.baseAddress, directory, output,
        errors)
    }
    guard status == 0 else {
      throw UserError("\(program): cannot be started", found: String(cString: strerror(status)))
    }
    self.id = id
  }

  /// How it ended; nil while it runs.
  package func poll() -> Ending? { collect(WNOHANG) }

  /// Waits for its end.
  @discardableResult
  package func wait() -> Ending {
    while true {
      if let ending = collect(0) { return ending }
    }
  }

  package var isRunning: Bool { poll() == nil }

  /// Sends a signal unless it has ended.
  package func send(_ signal: Int32) {
    if ending == nil { kill(id, signal) }
  }

  private func collect(_ options: Int32) -> Ending? {
    if let ending { return ending }
    var status: Int32 = 0
    guard waitpid(id, &status, options) == id else { return nil }
    ending = status & 0x7F == 0 ? .exited(status >> 8 & 0xFF) : .signalled(status & 0x7F)
    return ending
  }
}
