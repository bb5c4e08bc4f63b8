import CSupport

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What only the system can give, and how the process ends when it does not.
package enum Resources {
  /// Says that the system refused `what` and exits with 1: for faults that no caller can mend.
  package static func exit(without what: String) -> Never { ott_exit_without(what) }

  /// From now on a failed allocation at the address-space limit ends with one message and exit 1.
  package static func installFaultHandlers() { ott_faults_install() }

  /// Starts a thread that runs `body` once.
  ///
  /// Exits with a message when the system gives no thread: callers wait for its work.
  package static func startThread(_ body: @escaping @Sendable () -> Void) -> pthread_t {
    var thread = pthread_t()
    let context = Unmanaged.passRetained(ThreadBody(body))
    let status = pthread_create(
      &thread, nil,
      { context in
        guard let context else { return nil }
        Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue().body()
        return nil
      }, context.toOpaque())
    guard status == 0 else { exit(without: "a thread") }
    return thread
  }
}

private final class ThreadBody: Sendable {
  let body: @Sendable () -> Void
  init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}
