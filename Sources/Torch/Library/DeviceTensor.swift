import CTorch
import Support

/// A tensor of libtorch: the one owner of a handle, which it gives back at its end. Views are tensors
/// of their own and keep the memory that they look at.
// Unchecked: see `TorchLibrary`.
package final class DeviceTensor: @unchecked Sendable {
  let library: TorchLibrary
  let handle: ott_tensor

  /// Takes over a handle.
  init(owning handle: ott_tensor, _ library: TorchLibrary) {
    self.handle = handle
    self.library = library
  }

  deinit { _ = library.c.delete_tensor(handle) }

  /// A further handle of the same tensor, to be given away.
  func newHandle() throws -> UInt64 {
    var result: ott_tensor?
    try library.check(library.c.new_handle(handle, &result), "a handle")
    return UInt64(UInt(bitPattern: result))
  }

  // MARK: - Making

  /// Room on the device, row-major, with whatever is there.
  package static func empty(
    _ shape: [Int], _ form: ElementForm, _ library: TorchLibrary
  ) throws -> DeviceTensor {
    var result: ott_tensor?
    let sizes = shape.map(Int64.init)
    try library.check(
      library.c.empty(
        Int64(shape.count), sizes, rowMajor(sizes), library.number(of: form), library.deviceNumber,
        0, &result), "room for \(shape) elements")
    return try DeviceTensor(result, library)
  }

  /// Room in this machine's memory, row-major, that the device reads and writes by itself.
  static func shared(
    _ shape: [Int], _ form: ElementForm, _ library: TorchLibrary
  ) throws -> DeviceTensor {
    var result: ott_tensor?
    let sizes = shape.map(Int64.init)
    let make = library.device == .cuda ? library.c.empty_pinned : library.c.empty
    guard let make else { throw UserError("libtorch \(library.version): no memory for copies") }
    try library.check(
      make(
        Int64(shape.count), sizes, rowMajor(sizes), library.number(of: form), library.cpuNumber, 0,
        &result), "memory for \(shape) elements")
    return try DeviceTensor(result, library)
  }

  package static func zeros(
    _ shape: [Int], _ form: ElementForm, _ library: TorchLibrary
  ) throws -> DeviceTensor {
    let result = try empty(shape, form, library)
    try result.zero()
    return result
  }

  package static func filled(
    _ shape: [Int], with value: Double, _ library: TorchLibrary
  ) throws -> DeviceTensor {
    let result = try empty(shape, .float32, library)
    try library.check(library.c.fill(result.handle, value), "aten::fill_")
    return result
  }

  /// A copy of numbers of this machine's memory on the device.
  package static func copy<Element>(
    of values: UnsafeBufferPointer<Element>, _ shape: [Int], _ form: ElementForm,
    _ library: TorchLibrary
  ) throws -> DeviceTensor {
    let result = try empty(shape, form, library)
    try result.fill(from: UnsafeRawBufferPointer(values))
    return result
  }

  package static func copy(
    of values: [Float], _ shape: [Int], _ library: TorchLibrary
  ) throws -> DeviceTensor {
    try values.withUnsafeBufferPointer { try copy(of: $0, shape, .float32, library) }
  }

  package static func copy(
    ofNumbers values: [Int64], _ shape: [Int], _ library: TorchLibrary
  ) throws -> DeviceTensor {
    try values.withUnsafeBufferPointer { try copy(of: $0, shape, .int64, library) }
  }

  convenience init(_ handle: ott_tensor?, _ library: TorchLibrary) throws {
    guard let handle else { throw UserError("libtorch \(library.version): a tensor of nothing") }
    self.init(owning: handle, library)
  }

  private static func rowMajor(_ sizes: [Int64]) -> [Int64] {
    var strides = [Int64](repeating: 1, count: sizes.count)
    for i in sizes.indices.dropLast().reversed() { strides[i] = strides[i + 1] * sizes[i + 1] }
    return strides
  }

  // MARK: - What it is

  package var shape: [Int] { integers(library.c.sizes) }
  /// Elements from one row to the next.
  var rowStride: Int { strides.first ?? 1 }
  private var strides: [Int] { integers(library.c.strides) }
  package var count: Int { shape.reduce(1, *) }

  package var form: ElementForm {
    var number: Int32 = 0
    _ = library.c.dtype(handle, &number)
    return library.forms.first { $0.number == number }?.form ?? .float32
  }

  private func integers(
    _ get: (ott_tensor?, UnsafeMutablePointer<UnsafeMutablePointer<Int64>?>?) -> Int32
  ) -> [Int] {
    var dimensions: Int64 = 0
    var base: UnsafeMutablePointer<Int64>?
    _ = library.c.dimensions(handle, &dimensions)
    _ = get(handle, &base)
    return (0..<Int(dimensions)).map { Int(base?[$0] ?? 0) }
  }

  // MARK: - Views

  /// The same memory seen otherwise: so many elements further on than this view begins.
  package func view(_ shape: [Int], strides: [Int], offset: Int = 0) throws -> DeviceTensor {
    var result: ott_tensor?
    try library.check(
      library.c.reinterpret(
        handle, Int64(shape.count), shape.map(Int64.init), strides.map(Int64.init), Int64(offset),
        &result), "a view of \(shape)")
    return try DeviceTensor(result, library)
  }

  /// Of a row-major tensor.
  package func reshaped(_ shape: [Int], offset: Int = 0) throws -> DeviceTensor {
    try view(
      shape, strides: Self.rowMajor(shape.map(Int64.init)).map(Int.init), offset: offset)
  }

  /// (b, a) of (a, b); of more dimensions the last two.
  package func transposed() throws -> DeviceTensor {
    var (shape, strides) = (shape, strides)
    let last = shape.count - 1
    shape.swapAt(last - 1, last)
    strides.swapAt(last - 1, last)
    return try view(shape, strides: strides)
  }

  package func permuted(_ order: [Int]) throws -> DeviceTensor {
    let (shape, strides) = (shape, strides)
    return try view(order.map { shape[$0] }, strides: order.map { strides[$0] })
  }

  /// Some of the rows, or of another dimension.
  package func part(_ range: Range<Int>, of dimension: Int = 0) throws -> DeviceTensor {
    var shape = shape
    let strides = strides
    shape[dimension] = range.count
    return try view(shape, strides: strides, offset: range.lowerBound * strides[dimension])
  }

  // MARK: - Contents

  package func zero() throws { try library.check(library.c.zero(handle), "aten::zero_") }

  /// Takes the elements of another tensor of that shape, in its own form.
  ///
  /// - Parameter waits: false: what the device is called for after this finds them; nobody else may
  ///   look at, or change, either of the two.
  package func take(_ other: DeviceTensor, waits: Bool = true) throws {
    try library.check(library.c.copy(handle, other.handle, waits ? 0 : 1), "aten::copy_")
  }

  /// Of the first element; of a tensor in this machine's memory.
  func address() throws -> UnsafeMutableRawPointer {
    var result: UnsafeMutableRawPointer?
    try library.check(library.c.address(handle, &result), "an address")
    guard let result else {
      throw UserError("libtorch \(library.version): a tensor without memory")
    }
    return result
  }

  /// Fills a row-major tensor with as many bytes of this machine's memory.
  package func fill(from bytes: UnsafeRawBufferPointer) throws {
    if bytes.isEmpty { return }
    try take(lent(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count))
  }

  /// Copies a row-major tensor into this machine's memory, when all that was called for is done.
  package func read(into bytes: UnsafeMutableRawBufferPointer) throws {
    if bytes.isEmpty { return }
    try lent(bytes.baseAddress, bytes.count).take(self)
  }

  /// Memory of this machine as a tensor of this one's shape and form.
  private func lent(_ base: UnsafeMutableRawPointer?, _ bytes: Int) throws -> DeviceTensor {
    let (sizes, form) = (shape.map(Int64.init), form)
    precondition(bytes == count * form.bytes, "\(bytes) bytes for \(shape) of \(form)")
    var result: ott_tensor?
    try library.check(
      library.c.from_memory(
        base, Int64(sizes.count), sizes, Self.rowMajor(sizes), 0, library.number(of: form),
        library.cpuNumber, 0, &result), "memory as a tensor")
    return try DeviceTensor(result, library)
  }

  package func floats() throws -> [Float] {
    try [Float](unsafeUninitializedCapacity: count) { buffer, count in
      try read(
        into: UnsafeMutableRawBufferPointer(
          UnsafeMutableBufferPointer(rebasing: buffer[..<self.count])))
      count = self.count
    }
  }

  package func integers() throws -> [Int64] {
    try [Int64](unsafeUninitializedCapacity: count) { buffer, count in
      try read(
        into: UnsafeMutableRawBufferPointer(
          UnsafeMutableBufferPointer(rebasing: buffer[..<self.count])))
      count = self.count
    }
  }

  package func doubles() throws -> [Double] {
    try [Double](unsafeUninitializedCapacity: count) { buffer, count in
      try read(
        into: UnsafeMutableRawBufferPointer(
          UnsafeMutableBufferPointer(rebasing: buffer[..<self.count])))
      count = self.count
    }
  }
}
