import Checkpoints
import Foundation
import Support
import Testing

@Suite struct SafeTensorsTests {
  private let header =
    #"{"__metadata__":{"step":"3"},"a":{"data_offsets":[0,8],"dtype":"F32","shape":[2,1]},"#
    + #""b":{"data_offsets":[8,8],"dtype":"F32","shape":[0]}}"#

  private func write(to path: String) throws -> String {
    let values: [Float] = [1, -0.5]
    return try values.withUnsafeBufferPointer { values in
      try SafeTensors.write(
        to: path, metadata: ["step": "3"],
        tensors: [
          SafeTensors.Tensor(name: "a", shape: [2, 1], values: values),
          SafeTensors.Tensor(
            name: "b", shape: [0], values: UnsafeBufferPointer(rebasing: values[2...])),
        ])
    }
  }

  private func withFile<Result>(_ body: (String) throws -> Result) throws -> Result {
    let path = FileManager.default.temporaryDirectory.path + "/\(UUID().uuidString).safetensors"
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
  }

  /// Opens `bytes` as a file, which must fail; returns the message without its path.
  private func message(opening bytes: [UInt8]) throws -> String {
    try withFile { path in
      try AtomicFile.write(bytes, to: path)
      let error = #expect(throws: UserError.self) { _ = try SafeTensorsFile(path: path) }
      return try #require(error).description
    }
  }

  private func bytes(header: String, data: [UInt8]) -> [UInt8] {
    withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) } + Array(header.utf8)
      + data
  }

  @Test func theBytesAreTheFormat() throws {
    try withFile { path in
      let digest = try write(to: path)
      let padding = String(repeating: " ", count: (8 - header.utf8.count % 8) % 8)
      let expected = bytes(header: header + padding, data: [0, 0, 0x80, 0x3F, 0, 0, 0, 0xBF])
      #expect(try FileBytes.read(path) == expected)
      #expect(digest == SHA256.hex(of: expected))
    }
  }

  @Test func readsWhatWasWritten() throws {
    try withFile { path in
      _ = try write(to: path)
      let file = try SafeTensorsFile(path: path)
      #expect(file.metadata == ["step": "3"])
      #expect(file.tensors.keys.sorted() == ["a", "b"])
      #expect(file.tensors["b"]?.shape == [0])
      var values: [Float] = [0, 0]
      try values.withUnsafeMutableBufferPointer { try file.read("a", shape: [2, 1], into: $0) }
      #expect(values == [1, -0.5])
    }
  }

  @Test func refusesAnotherShapeAndAMissingTensor() throws {
    try withFile { path in
      _ = try write(to: path)
      let file = try SafeTensorsFile(path: path)
      var values: [Float] = [7, 7]
      for (name, shape, message) in [("a", [1, 2], "found [2, 1]"), ("c", [2], "no such tensor")] {
        let error = #expect(throws: UserError.self) {
          try values.withUnsafeMutableBufferPointer { try file.read(name, shape: shape, into: $0) }
        }
        #expect(try #require(error).description.contains(message))
      }
      #expect(values == [7, 7])
    }
  }

  @Test func refusesDamage() throws {
    let whole = bytes(header: header, data: [0, 0, 0x80, 0x3F, 0, 0, 0, 0xBF])
    #expect(try message(opening: []).contains("truncated"))
    #expect(try message(opening: Array(whole[..<20])).contains("truncated"))
    #expect(try message(opening: Array(whole[..<(whole.count - 1)])).contains("truncated"))
    #expect(try message(opening: Array("not a checkpoint".utf8)).contains("safetensors header"))
    let double = header.replacingOccurrences(of: "F32", with: "F64")
    #expect(try message(opening: bytes(header: double, data: [])).contains("dtype"))
  }

  /// Tensors tile the data: what overlaps or leaves a gap could pass for other values.
  @Test(arguments: [
    ([0, 8], [4, 8], 8, "overlap"), ([0, 4], [8, 12], 12, "gap"), ([4, 8], [8, 12], 12, "gap"),
    ([0, 4], [4, 8], 12, "fill 12 bytes"), ([0, 4], [0, 4], 8, "overlap"),
    ([8, 0], [0, 8], 8, "data_offsets"), ([0, 4], [4, 1 << 20], 8, "data_offsets"),
  ])
  func refusesTensorsThatDoNotTile(first: [Int], second: [Int], size: Int, word: String) throws {
    let entry = { (offsets: [Int]) in
      #"{"data_offsets":\#(offsets),"dtype":"F32","shape":[\#(max(0, offsets[1] - offsets[0]) / 4)]}"#
    }
    let text = #"{"a":\#(entry(first)),"b":\#(entry(second))}"#
    let data = [UInt8](repeating: 0, count: size)
    let message = try message(opening: bytes(header: text, data: data))
    #expect(message.contains(word), "\(message)")
  }

  /// 2³² · 2³² · 4 values are 0 bytes in 64 bits.
  @Test func refusesShapesThatOverflow() throws {
    let text =
      #"{"a":{"data_offsets":[0,0],"dtype":"F32","shape":[2147483647,2147483647,2147483647]}}"#
    #expect(try message(opening: bytes(header: text, data: [])).contains("data_offsets"))
  }

  @Test func aForgedHeaderLengthAllocatesNothing() throws {
    for length: UInt64 in [1 << 62, .max, 100_000_001, 1 << 31] {
      let bytes = withUnsafeBytes(of: length.littleEndian) { Array($0) } + Array("{}".utf8)
      #expect(try message(opening: bytes).contains("safetensors header"))
    }
  }

  @Test func everyFlippedBitOfASealedFileIsFound() throws {
    try withFile { path in
      let values: [Float] = [1, -0.5, 3]
      let digest = try values.withUnsafeBufferPointer {
        try SafeTensors.write(
          to: path, metadata: ["step": "3"], isSealed: true,
          tensors: [SafeTensors.Tensor(name: "a", shape: [3], values: $0)])
      }
      let open = { try SafeTensorsFile(path: path) }
      try open().verifySeal(remedy: "")
      #expect(try open().metadata["digest"] == digest)
      let whole = try FileBytes.read(path)
      for position in 0..<whole.count * 8 {
        var bytes = whole
        bytes[position / 8] ^= 1 << (position % 8)
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        let error = #expect(throws: UserError.self) { try open().verifySeal(remedy: "") }
        #expect(error?.description.contains(path) == true)
      }
    }
  }

  @Test func anUnsealedFileHasNoSealToVerify() throws {
    try withFile { path in
      _ = try write(to: path)
      let error = #expect(throws: UserError.self) {
        try SafeTensorsFile(path: path).verifySeal(remedy: "Delete it.")
      }
      #expect(error?.description == "\(path): expected a sealed file, found no digest. Delete it.")
    }
  }

  @Test func aMissingFileIsNamed() throws {
    let error = #expect(throws: UserError.self) { _ = try SafeTensorsFile(path: "/nowhere/x") }
    #expect(try #require(error).description.contains("/nowhere/x"))
  }
}
