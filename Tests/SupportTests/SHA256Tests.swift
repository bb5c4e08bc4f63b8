import CSupport
import Support
import Testing

@Suite struct SHA256Tests {
  /// FIPS 180-4 and NIST example values.
  @Test(arguments: [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
    (
      String(repeating: "a", count: 1_000_000),
      "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
    ),
  ])
  func knownAnswers(text: String, digest: String) {
    #expect(SHA256.hex(of: text) == digest)
  }

  @Test(arguments: [0, 1, 55, 56, 63, 64, 65, 127, 128, 129, 1000])
  func piecesAndWholeAgree(count: Int) {
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 7) }
    for size in [1, 3, 64, 100] {
      var hash = SHA256()
      for start in stride(from: 0, to: count, by: size) {
        hash.update(Array(bytes[start..<min(start + size, count)]))
      }
      #expect(hash.finalizeHex() == SHA256.hex(of: bytes))
    }
  }

  /// SHA-256(SHA-256(first ⌊n/128⌋ blocks) ‖ SHA-256(rest)).
  @Test(arguments: [0, 1, 127, 128, 129, 255, 256, 257, 1000])
  func halvesAreAsDocumented(count: Int) {
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 11) }
    let half = count / 128 * 64
    let digest = { (bytes: [UInt8]) -> [UInt8] in
      var hash = SHA256()
      hash.update(bytes)
      return hash.finalize()
    }
    let expected = digest(digest(Array(bytes[..<half])) + digest(Array(bytes[half...])))
    #expect(bytes.withUnsafeBytes { SHA256.halves(of: $0) } == expected)
  }

  @Test(arguments: [0, 1, 2, 3, 17])
  func instructionsAndPlainCodeAgree(blocks: Int) {
    let bytes = (0..<64 * blocks).map { UInt8(truncatingIfNeeded: $0 &* $0 &+ 3) }
    var fast: [UInt32] = Array(1...8)
    var slow = fast
    ott_sha256_blocks(&fast, bytes, blocks)
    ott_sha256_blocks_portable(&slow, bytes, blocks)
    #expect(fast == slow)
  }
}
