import Foundation

/// Whole transfers by system calls that may do a part, be interrupted, or find the other side not
/// ready.
package enum Descriptor {
  /// Writes all of `bytes`.
  ///
  /// - Parameter offset: where in the file; nil for where the descriptor stands.
  /// - Returns: 0, or the errno of the call that failed.
  package static func write(
    _ bytes: UnsafeRawBufferPointer, to descriptor: Int32, at offset: Int? = nil
  ) -> Int32 {
    var done = 0
    while done < bytes.count {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
      let written =
        offset.map { pwrite(descriptor, rest.baseAddress, rest.count, off_t($0 + done)) }
        ?? Foundation.write(descriptor, rest.baseAddress, rest.count)
      if written >= 0 {
        done += written
      } else if !mayTryAgain(descriptor, POLLOUT) {
        return errno
      }
    }
    return 0
  }

  /// The number that the next file to be opened gets; −1 when there is none left.
  package static var lowestFree: Int32 {
    let descriptor = Foundation.open("/dev/null", O_RDONLY | O_CLOEXEC)
    if descriptor >= 0 { Foundation.close(descriptor) }
    return descriptor
  }

  /// Reads what is there, at most `buffer.count` bytes, waiting for the first.
  ///
  /// - Parameter offset: where in the file; nil for where the descriptor stands.
  /// - Returns: the number of bytes, 0 at the end; nil, with `errno`, when the call failed.
  package static func read(
    into buffer: UnsafeMutableRawBufferPointer, from descriptor: Int32, at offset: Int? = nil
  ) -> Int? {
    while true {
      let count =
        offset.map { pread(descriptor, buffer.baseAddress, buffer.count, off_t($0)) }
        ?? Foundation.read(descriptor, buffer.baseAddress, buffer.count)
      if count >= 0 { return count }
      if !mayTryAgain(descriptor, POLLIN) { return nil }
    }
  }

  /// Reads until `buffer` is full or the file ends; returns as `read`.
  package static func fill(
    _ buffer: UnsafeMutableRawBufferPointer, from descriptor: Int32, at offset: Int? = nil
  ) -> Int? {
    var filled = 0
    while filled < buffer.count {
      let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
      let place = offset.map { $0 + filled }
      guard let count = read(into: rest, from: descriptor, at: place) else { return nil }
      if count == 0 { break }
      filled += count
    }
    return filled
  }

  /// After a call failed: whether to make it again, at once or when the descriptor is ready.
  private static func mayTryAgain(_ descriptor: Int32, _ event: Int32) -> Bool {
    switch errno {
    case EINTR: return true
    case EAGAIN:
      var poll = pollfd(fd: descriptor, events: Int16(event), revents: 0)
      let ready = Foundation.poll(&poll, 1, -1)
      return ready > 0 || errno == EINTR
    default: return false
    }
  }
}
