import Foundation

/// A fault that its reader can mend: one message that says what is wrong, what was expected, what was
/// found, and the remedy. Executables print it to standard error and exit with 1.
///
///     data/map/3fa…/00012.shard: expected 16777216 elements, found 16773120 (truncated?).
///     Run: make data/map/3fa…/index.json
package struct UserError: Error, CustomStringConvertible, Equatable, Sendable {
  package let what: String
  package let expected: String?
  package let found: String?
  package let remedy: String?

  /// - Parameters:
  ///   - what: the thing at fault, usually `path` or `path: key.path`, with or without a verb.
  ///   - expected: what would have been right.
  ///   - found: what was there.
  ///   - remedy: what to do, as a whole sentence or as `Run: command`.
  package init(
    _ what: String, expected: String? = nil, found: String? = nil, remedy: String? = nil
  ) {
    self.what = what
    self.expected = expected
    self.found = found
    self.remedy = remedy
  }

  /// `path: what the system says`, as of every other failed call.
  package init(_ error: CocoaError) {
    let path = error.userInfo[NSFilePathErrorKey] as? String ?? "a file"
    let cause = (error.userInfo[NSUnderlyingErrorKey] as? any Error).map { $0 as NSError }
    if let cause, cause.domain == NSPOSIXErrorDomain {
      self.init("\(path): \(String(cString: strerror(Int32(cause.code))))")
    } else {
      self.init("\(path): cannot be used (Cocoa error \(error.code.rawValue))")
    }
  }

  /// `what: expected …, found …. Remedy`, in one line.
  package var description: String {
    var text = what
    let facts = [expected.map { "expected \($0)" }, found.map { "found \($0)" }].compactMap { $0 }
    if !facts.isEmpty { text += ": " + facts.joined(separator: ", ") }
    if let remedy { text += (text.hasSuffix(".") ? " " : ". ") + remedy }
    return text
  }
}

/// Raised by a stage that stopped because SIGINT or SIGTERM asked it to; exits with 128 + signal.
package struct InterruptedError: Error, CustomStringConvertible, Equatable, Sendable {
  package let signal: Int32

  package init(signal: Int32) { self.signal = signal }

  package var description: String { "interrupted by signal \(signal)" }
}

/// What the product calls itself.
package enum Product {
  package static let name = "overtoken"
  package static let version = "0.1.0"
}
