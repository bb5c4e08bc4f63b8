import Foundation

/// The lowest lines of a terminal, which all processes that work on it share: a line each, and messages above.
///
///     map train 3-gram input seed 1: mapped 8192 documents …
///     train 1-gram/large/1 1200/4000 steps (30 %), 412 steps/s, 0:06 to go, loss 0.8123
///     train 1-gram/large/2 1180/4000 steps (29 %), 409 steps/s, 0:07 to go, loss 0.8240
///
/// What stands there is in a small file that belongs to the terminal; whoever has its lock draws for all. So the
/// stages that make runs side by side do not write into each other's lines, and need no process above them.
package struct StatusBoard: Sendable {
  /// Where drawing goes, and how wide that is.
  package struct Screen: Sendable {
    package var columns: @Sendable () -> Int
    package var write: @Sendable ([UInt8]) -> Void

    package init(
      columns: @escaping @Sendable () -> Int, write: @escaping @Sendable ([UInt8]) -> Void
    ) {
      (self.columns, self.write) = (columns, write)
    }
  }

  /// That of standard error; nil where that is no terminal, or a file cannot be had.
  static let shared: StatusBoard? = {
    var status = stat()
    guard isatty(STDERR_FILENO) == 1, fstat(STDERR_FILENO, &status) == 0 else { return nil }
    let place = "\(NSTemporaryDirectory())/overtoken-\(geteuid())-\(status.st_rdev)"
    let screen = Screen(
      columns: {
        var size = winsize()
        let known = ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
        return known ? Int(size.ws_col) : 80
      },
      write: { bytes in _ = bytes.withUnsafeBytes { Descriptor.write($0, to: STDERR_FILENO) } })
    return StatusBoard(path: place, screen: screen)
  }()

  private let path: String
  private let screen: Screen
  private let process: Int32

  /// - Parameter process: whose line this is; a line is dropped when its process is no more.
  package init(path: String, screen: Screen, process: Int32 = getpid()) {
    (self.path, self.screen, self.process) = (path, screen, process)
  }

  /// Shows the process's line in place of its last one; nil takes it away.
  package func show(_ line: String?) {
    redraw(creating: line != nil) { lines in
      let place = lines.firstIndex { $0.process == process }
      switch (place, line) {
      case (let place?, let line?): lines[place].text = line
      case (let place?, nil): lines.remove(at: place)
      case (nil, let line?): lines.append((process, line))
      case (nil, nil): break
      }
    }
  }

  /// Lets `body` write whole lines above the shared ones.
  package func above(_ body: () -> Void) { redraw(above: body) { _ in } }

  /// Lets `body` write whole lines where this process's terminal is shared, if they go there; else simply so.
  static func above(_ isTerminal: Bool, _ body: () -> Void) {
    if isTerminal, let shared { shared.above(body) } else { body() }
  }

  /// Takes the process's line away, for its end.
  package static func leave() { shared?.show(nil) }

  // MARK: - The file: rows that are drawn, and a line a process

  private func redraw(
    creating: Bool = false, above body: () -> Void = {},
    _ change: (inout [(process: Int32, text: String)]) -> Void
  ) {
    guard let file = locked(creating: creating) else { return body() }
    defer { close(file) }
    let bytes = [UInt8](unsafeUninitializedCapacity: 1 << 16) { buffer, count in
      count = Descriptor.fill(UnsafeMutableRawBufferPointer(buffer), from: file, at: 0) ?? 0
    }
    let content = String(decoding: bytes, as: UTF8.self)
      .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    var lines: [(process: Int32, text: String)] = content.dropFirst().compactMap { line in
      let parts = line.split(separator: " ", maxSplits: 1).map(String.init)
      guard parts.count == 2, let process = Int32(parts[0]) else { return nil }
      return isAlive(process) ? (process, parts[1]) : nil
    }
    // Of processes that all are gone nothing is on the screen that may be erased.
    let rows = lines.isEmpty ? 0 : content.first.flatMap { Int($0) } ?? 0
    if rows > 0 {
      let up = rows > 1 ? "\u{1B}[\(rows - 1)A" : ""
      screen.write(Array("\r\(up)\u{1B}[J".utf8))
    }
    body()
    change(&lines)
    let width = max(1, screen.columns() - 1)
    let shown = lines.map { String($0.text.prefix(width)) }
    if !shown.isEmpty { screen.write(Array(shown.joined(separator: "\n").utf8)) }
    let text = "\(shown.count)\n" + lines.map { "\($0.process) \($0.text)\n" }.joined()
    if lines.isEmpty {
      unlink(path)
    } else if ftruncate(file, 0) == 0 {
      _ = Array(text.utf8).withUnsafeBytes { Descriptor.write($0, to: file, at: 0) }
    }
  }

  /// The file, open and locked; nil where there is none, or it is somebody else's.
  private func locked(creating: Bool) -> Int32? {
    while true {
      let flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC | (creating ? O_CREAT : 0)
      let file = open(path, flags, 0o600)
      guard file >= 0 else { return nil }
      var status = stat()
      guard flock(file, LOCK_EX) == 0, fstat(file, &status) == 0, status.st_uid == geteuid(),
        status.st_mode & S_IFMT == S_IFREG
      else {
        close(file)
        return nil
      }
      if status.st_nlink > 0 { return file }
      // The last line was taken away, and the file with it, between opening and locking.
      close(file)
    }
  }

  private func isAlive(_ process: Int32) -> Bool { kill(process, 0) == 0 || errno == EPERM }
}
