import CSupport

/// SHA-256 (FIPS 180-4), in pieces or at once, by the CPU's own instructions where it has them.
package struct SHA256 {
  private var state: [UInt32] = [
    0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a,
    0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
  ]
  /// Bytes that do not fill a block yet; fewer than 64.
  private var pending: [UInt8] = []
  private var byteCount: UInt64 = 0

  package init() {}

  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    byteCount &+= UInt64(bytes.count)
    var rest = bytes[...]
    if !pending.isEmpty {
      let taken = rest.prefix(64 - pending.count)
      pending.append(contentsOf: taken)
      rest = rest.dropFirst(taken.count)
      guard pending.count == 64 else { return }
      pending.withUnsafeBufferPointer { compress($0) }
      pending.removeAll(keepingCapacity: true)
    }
    let whole = rest.count / 64 * 64
    if whole > 0 {
      let blocks = UnsafeRawBufferPointer(rebasing: rest.prefix(whole))
      blocks.withMemoryRebound(to: UInt8.self) { compress($0) }
    }
    pending.append(contentsOf: rest.dropFirst(whole))
  }

  package mutating func update(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { update($0) }
  }

  package mutating func update(_ text: String) {
    update(Array(text.utf8))
  }

  /// The 32 bytes of the digest of everything so far; the hash itself may go on.
  package func finalize() -> [UInt8] {
    var last = self
    let bitCount = byteCount &* 8
    var padding: [UInt8] = [0x80]
    let used = (pending.count + 1) % 64
    padding.append(contentsOf: repeatElement(0, count: (used <= 56 ? 56 : 120) - used))
    for shift in stride(from: 56, through: 0, by: -8) {
      padding.append(UInt8(truncatingIfNeeded: bitCount >> UInt64(shift)))
    }
    last.update(padding)
    return last.state.flatMap { word in
      [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: word >> UInt32($0)) }
    }
  }

  /// The digest as 64 lower-case hexadecimal digits.
  package func finalizeHex() -> String {
    SHA256.hexadecimal(finalize())
  }

  package static func hex(of text: String) -> String {
    hex(of: Array(text.utf8))
  }

  package static func hex(of bytes: [UInt8]) -> String {
    var hash = SHA256()
    hash.update(bytes)
    return hash.finalizeHex()
  }

  /// A digest of `bytes` at almost twice the speed: SHA-256(SHA-256(a) ‖ SHA-256(b)), where a is the
  /// first ⌊n/128⌋ blocks of 64 bytes and b the rest, because two streams share the CPU's instructions
  /// better than one.
  package static func halves(of bytes: UnsafeRawBufferPointer) -> [UInt8] {
    var (first, second) = (SHA256(), SHA256())
    let half = bytes.count / 128 * 64
    if half > 0 {
      first.byteCount = UInt64(half)
      second.byteCount = UInt64(half)
      bytes.withMemoryRebound(to: UInt8.self) { bytes in
        guard let start = bytes.baseAddress else { return }
        ott_sha256_blocks_pair(&first.state, start, &second.state, start + half, half / 64)
      }
    }
    second.update(UnsafeRawBufferPointer(rebasing: bytes[(2 * half)...]))
    var both = SHA256()
    both.update(first.finalize() + second.finalize())
    return both.finalize()
  }

  package static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    for byte in bytes {
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
  }

  private mutating func compress(_ blocks: UnsafeBufferPointer<UInt8>) {
    state.withUnsafeMutableBufferPointer {
      ott_sha256_blocks($0.baseAddress, blocks.baseAddress, blocks.count / 64)
    }
  }
}
