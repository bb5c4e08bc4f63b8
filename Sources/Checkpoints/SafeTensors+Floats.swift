import Support

extension SafeTensorsFile {
  /// Forms that are read as floats, each without loss.
  package static let floats: [SafeTensors.DType] = [.float32, .bfloat16, .float16]

  /// Fills `values` with the tensor `name` of float32, bfloat16 or float16; the last two widened, which is
  /// exact.
  ///
  /// - Throws: `UserError` when there is no such tensor, or it has another shape or form.
  package func readFloats(
    _ name: String, shape: [Int], into values: UnsafeMutableBufferPointer<Float>
  ) throws {
    guard let entry = tensors[name], entry.dtype != .float32 else {
      return try read(name, shape: shape, into: values)
    }
    precondition(values.count == shape.reduce(1, *), "\(name): values and shape differ")
    guard entry.shape == shape, Self.floats.contains(entry.dtype) else {
      throw UserError(
        "\(path): tensor \(name)",
        expected: "shape \(shape) of \(Self.floats.map(\.rawValue).joined(separator: ", "))",
        found: "\(entry.shape) of \(entry.dtype.rawValue)")
    }
    var piece = [UInt16](repeating: 0, count: min(values.count, 1 << 18))
    var done = 0
    while done < values.count {
      let count = min(piece.count, values.count - done)
      try piece.withUnsafeMutableBytes {
        try read(
          entry, at: 2 * done, into: UnsafeMutableRawBufferPointer(rebasing: $0[..<(2 * count)]))
      }
      for i in 0..<count {
        let bits = UInt16(littleEndian: piece[i])
        values[done + i] =
          entry.dtype == .bfloat16
          ? Float(bitPattern: UInt32(bits) << 16) : SafeTensors.widened(half: bits)
      }
      done += count
    }
  }

  /// Hands over the bytes of the tensor `name` in pieces.
  package func forEachPiece(
    of name: String, _ body: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    guard let entry = tensors[name] else {
      throw UserError("\(path): tensor \(name)", expected: "a tensor", found: "no such tensor")
    }
    let total = entry.shape.reduce(entry.dtype.bytes, *)
    var piece = [UInt8](repeating: 0, count: min(total, SafeTensors.hashedPieceBytes))
    var done = 0
    while done < total {
      let count = min(piece.count, total - done)
      try piece.withUnsafeMutableBytes {
        let part = UnsafeMutableRawBufferPointer(rebasing: $0[..<count])
        try read(entry, at: done, into: part)
        try body(UnsafeRawBufferPointer(part))
      }
      done += count
    }
  }
}

extension SafeTensors {
  /// The number that the bits of a float16 stand for (IEEE 754 binary16): exact, signs of zeros, infinities
  /// and the payloads of NaNs kept.
  package static func widened(half bits: UInt16) -> Float {
    let sign = UInt32(bits & 0x8000) << 16
    let exponent = UInt32(bits >> 10 & 0x1F)
    let fraction = UInt32(bits & 0x3FF)
    switch exponent {
    case 0:
      // A subnormal: fraction · 2⁻²⁴.
      let magnitude = Float(fraction) * 0x1p-24
      return Float(bitPattern: sign | magnitude.bitPattern)
    case 0x1F: return Float(bitPattern: sign | 0x7F80_0000 | fraction << 13)
    default: return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
    }
  }
}
