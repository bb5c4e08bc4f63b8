import CTorch
import Support

/// An argument of an operator, as its schema has it.
enum Argument {
  case tensor(DeviceTensor)
  /// Of a type with a question mark.
  case perhaps(DeviceTensor?)
  case perhapsNumber(Double?)
  case perhapsIntegers([Int])
  case perhapsForm(ElementForm?)
  case int(Int)
  case number(Double)
  case bool(Bool)
  case form(ElementForm)
  case integers([Int])
  case bools([Bool])
  case tensors([DeviceTensor])
  case text(String)
  /// Any optional one that is not given.
  case none
}

extension TorchLibrary {
  /// Places of a call: more than any operator has arguments, so that those which a later release has at
  /// its end are none.
  private static let places = 24

  /// Calls an operator `aten::<name>` and takes its first `results` results.
  ///
  /// - Throws: `UserError` with the operator's name and the library's words.
  @discardableResult
  func call(
    _ name: StaticString, overload: StaticString = "", results: Int = 1, _ arguments: [Argument]
  ) throws -> [DeviceTensor] {
    try withUnsafeTemporaryAllocation(of: UInt64.self, capacity: Self.places) { stack in
      stack.initialize(repeating: 0)
      for (i, argument) in arguments.enumerated() { stack[i] = try bits(argument) }
      let code = name.withUTF8Buffer { name in
        overload.withUTF8Buffer { overload in
          c.call(
            UnsafeRawPointer(name.baseAddress)?.assumingMemoryBound(to: CChar.self),
            UnsafeRawPointer(overload.baseAddress)?.assumingMemoryBound(to: CChar.self),
            stack.baseAddress, version.abi)
        }
      }
      try check(code, "\(name)\(overload.utf8CodeUnitCount == 0 ? "" : ".\(overload)")")
      return try (0..<results).map { i in
        guard let handle = ott_tensor(bitPattern: UInt(stack[i])) else {
          throw UserError(
            "libtorch \(version): \(name)", expected: "\(results) results", found: "\(i)")
        }
        return DeviceTensor(owning: handle, self)
      }
    }
  }

  private func bits(_ argument: Argument) throws -> UInt64 {
    switch argument {
    case .tensor(let tensor): return try tensor.newHandle()
    case .perhaps(let tensor): return try tensor.map { optional(try $0.newHandle()) } ?? 0
    case .perhapsNumber(let number): return number.map { optional($0.bitPattern) } ?? 0
    case .perhapsIntegers(let values):
      return optional(try list(values.map { UInt64(bitPattern: Int64($0)) }))
    case .perhapsForm(let form): return form.map { optional(bits($0)) } ?? 0
    case .int(let value): return UInt64(bitPattern: Int64(value))
    case .number(let value): return value.bitPattern
    case .bool(let value): return value ? 1 : 0
    case .form(let form): return bits(form)
    case .integers(let values): return try list(values.map { UInt64(bitPattern: Int64($0)) })
    case .bools(let values): return try list(values.map { $0 ? 1 : 0 })
    case .tensors(let tensors): return try list(tensors.map { try $0.newHandle() })
    case .text(let text):
      var text = text
      var result: UnsafeMutableRawPointer?
      try check(
        text.withUTF8 { bytes in
          c.new_string(
            UnsafeRawPointer(bytes.baseAddress)?.assumingMemoryBound(to: CChar.self), bytes.count,
            &result)
        }, "a string")
      return UInt64(UInt(bitPattern: result))
    case .none: return 0
    }
  }

  private func bits(_ form: ElementForm) -> UInt64 { UInt64(UInt32(bitPattern: number(of: form))) }

  private func optional(_ value: UInt64) -> UInt64 {
    UInt64(UInt(bitPattern: ott_torch_optional(value)))
  }

  private func list(_ values: [UInt64]) throws -> UInt64 {
    var result: UnsafeMutableRawPointer?
    try check(c.new_list(values.count, &result), "a list")
    for value in values { try check(c.push(result, value), "a list") }
    return UInt64(UInt(bitPattern: result))
  }
}
