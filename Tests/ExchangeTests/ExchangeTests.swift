import Checkpoints
import Exchange
import Foundation
import Support
import Testing

@Suite struct ExchangeTests {
  /// Against the hardware's own conversion, all 65,536 of them.
  @Test func everyHalfIsWidened() {
    for bits in UInt16.min...UInt16.max {
      let half = Float16(bitPattern: bits)
      let found = SafeTensors.widened(half: bits)
      if half.isNaN {
        #expect(found.isNaN && (found.sign == .minus) == (bits >> 15 == 1))
      } else {
        #expect(found.bitPattern == Float(half).bitPattern, "\(bits)")
      }
    }
  }

  /// Forms other than float32 are widened, over the borders of the pieces that are read at a time too.
  @Test(arguments: [0, 1, 7, (1 << 18) - 1, 1 << 18, (1 << 18) + 1])
  func formsAreWidened(count: Int) throws {
    let directory = NSTemporaryDirectory() + "widening-\(UUID().uuidString)"
    try AtomicFile.makeDirectory(directory)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let words = (0..<count).map { UInt16(truncatingIfNeeded: $0 &* 40_503) }
    let path = directory + "/x.safetensors"
    try SafeTensors.write(
      to: path,
      tensors: [("half", SafeTensors.DType.float16), ("brain", .bfloat16)].map { name, dtype in
        SafeTensors.Tensor(name: name, dtype: dtype, shape: [count]) { append in
          try words.withUnsafeBytes(append)
        }
      })
    let file = try SafeTensorsFile(path: path)
    for (name, widened) in [
      ("half", { SafeTensors.widened(half: $0) }),
      ("brain", { Float(bitPattern: UInt32($0) << 16) }),
    ] as [(String, (UInt16) -> Float)] {
      var values = [Float](repeating: 1, count: count)
      try values.withUnsafeMutableBufferPointer {
        try file.readFloats(name, shape: [count], into: $0)
      }
      #expect(zip(values, words).allSatisfy { $0.bitPattern == widened($1).bitPattern })
      var pieces: [UInt8] = []
      try file.forEachPiece(of: name) { pieces += $0 }
      #expect(pieces == words.withUnsafeBytes { Array($0) })
      #expect(throws: UserError.self) {
        var more = [Float](repeating: 0, count: count + 1)
        try more.withUnsafeMutableBufferPointer {
          try file.readFloats(name, shape: [count + 1], into: $0)
        }
      }
    }
  }
}
