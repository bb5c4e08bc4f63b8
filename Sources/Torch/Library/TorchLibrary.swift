import CTorch
import Foundation
import Support

/// A libtorch that was found and opened at run time, and the device of it that is computed on.
///
/// Tensors of it and the calls of its operators belong to one thread at a time. A process opens one
/// library for one device.
// Unchecked: fixed when made.
package final class TorchLibrary: @unchecked Sendable {
  /// The environment variable that names the directory of a PyTorch or of its libraries.
  package static let variable = "OVERTOKEN_TORCH"
  /// The first release with all that is called.
  package static let oldest = TorchVersion(2, 11)

  let c: ott_torch
  package let version: TorchVersion
  package let device: TorchDevice
  /// The numbers that the library has for forms of elements and for the device.
  let forms: [(form: ElementForm, number: Int32)]
  let deviceNumber: Int32
  let cpuNumber: Int32

  /// Opens the library in `place` for `device`, once for all calls; then tries the operators.
  ///
  /// - Parameter place: a directory of PyTorch (`…/site-packages/torch`), or that of its libraries; nil:
  ///   what the environment variable says.
  /// - Throws: `UserError` where there is none, for one that is too old, lacks a function or a device, or
  ///   computes something else.
  package static func open(_ device: TorchDevice, at place: String? = nil) throws -> TorchLibrary {
    let place = try place ?? Self.place()
    if let opened = shared.withLock({ $0 }) {
      guard opened.device == device && opened.place == place else {
        throw UserError(
          "libtorch", expected: "one device and library in a process",
          found: "\(opened.device.rawValue) of \(opened.place), then \(device.rawValue) of \(place)"
        )
      }
      return opened
    }
    let library = try TorchLibrary(at: place, device: device)
    try library.testOperators()
    return shared.withLock { value in
      value = value ?? library
      return value ?? library
    }
  }

  private static let shared = Guarded<TorchLibrary?>(nil)

  private let place: String

  private static func place() throws -> String {
    if let value = ProcessInfo.processInfo.environment[variable], !value.isEmpty { return value }
    throw UserError(
      "no libtorch", expected: "the directory of a PyTorch of at least \(oldest) in \(variable)",
      found: "no such variable", remedy: remedy)
  }

  private static let remedy =
    "Run: make torch DEVICE=torch-cpu (or cuda), or set \(variable) to the directory of a PyTorch: to "
    + "torch.__path__[0] of its Python."

  package init(at place: String, device: TorchDevice) throws {
    self.place = place
    self.device = device
    let folder = try Self.folder(of: place)
    // Sums of one thread, and products in one order of a GPU, whatever calls them.
    for (name, value) in [
      ("OMP_NUM_THREADS", "1"), ("MKL_NUM_THREADS", "1"), ("CUBLAS_WORKSPACE_CONFIG", ":4096:8"),
    ] { setenv(name, value, 1) }
    var table = ott_torch()
    try Self.load(folder + "/libtorch_cpu.so") { ott_torch_open($0, &table, $1, $2) }
    c = table
    guard let version = c.abi_version.map({ TorchVersion(abi: $0()) }),
      let forms = Self.forms(table), let cpu = table.device_cpu?(), let cuda = table.device_cuda?()
    else { throw Self.lacking("aoti_torch_abi_version", folder) }
    self.version = version
    self.forms = forms
    cpuNumber = cpu
    deviceNumber = device == .cpu ? cpu : cuda
    guard version >= Self.oldest else {
      throw UserError(
        "\(folder): libtorch is too old", expected: "at least \(Self.oldest)", found: "\(version)",
        remedy: Self.remedy)
    }
    let late: [(String, Bool)] = [
      ("torch_call_dispatcher", c.call != nil), ("torch_new_list_reserve_size", c.new_list != nil),
      ("torch_list_push_back", c.push != nil), ("torch_new_string_handle", c.new_string != nil),
      ("aoti_torch_aten_subtract_Tensor", c.subtract != nil),
    ]
    if let missing = late.first(where: { !$0.1 }) { throw Self.lacking(missing.0, folder) }
    c.grad_mode?(false)
    if device == .cuda { try openCUDA(folder) }
  }

  /// The directory of the libraries.
  private static func folder(of place: String) throws -> String {
    for folder in [place, place + "/lib"]
    where FileManager.default.fileExists(atPath: folder + "/libtorch_cpu.so") { return folder }
    throw UserError(
      "\(place): no libtorch", expected: "lib/libtorch_cpu.so or libtorch_cpu.so in it",
      found: FileManager.default.fileExists(atPath: place) ? "neither" : "no such directory",
      remedy: remedy)
  }

  private static func load(
    _ path: String, _ body: (String, UnsafeMutablePointer<CChar>?, Int) -> Int32
  ) throws {
    var text = [CChar](repeating: 0, count: 2048)
    let code = text.withUnsafeMutableBufferPointer { body(path, $0.baseAddress, $0.count) }
    if code == 0 { return }
    let words = String(
      decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    if code == 2 { throw lacking(words, path) }
    throw UserError(
      "\(path): cannot be opened", expected: "a libtorch for this system and processor",
      found: words, remedy: remedy)
  }

  private static func lacking(_ symbol: String, _ place: String) -> UserError {
    UserError(
      "\(place): not the libtorch that is known", expected: "its function \(symbol)",
      found: "none", remedy: remedy)
  }

  private static func forms(_ c: ott_torch) -> [(form: ElementForm, number: Int32)]? {
    guard let float32 = c.dtype_float32?(), let float64 = c.dtype_float64?(),
      let bfloat16 = c.dtype_bfloat16?(), let int32 = c.dtype_int32?(), let int64 = c.dtype_int64?()
    else { return nil }
    return [
      (.float32, float32), (.float64, float64), (.bfloat16, bfloat16), (.int32, int32),
      (.int64, int64),
    ]
  }

  /// Opens what computes on GPUs and looks whether there is one.
  private func openCUDA(_ folder: String) throws {
    let path = folder + "/libtorch_cuda.so"
    guard FileManager.default.fileExists(atPath: path) else {
      throw UserError(
        "\(folder): libtorch is without CUDA", expected: "libtorch_cuda.so", found: "none",
        remedy: "Run: make torch DEVICE=cuda, or train with DEVICE=torch-cpu.")
    }
    try Self.load(path) { ott_torch_add($0, $1, $2) }
    guard let context = c.context?(), let set = c.set_deterministic else {
      throw Self.lacking("at::Context::setDeterministicAlgorithms", folder)
    }
    // The same bits in every run.
    set(context, true, false)
    do {
      _ = try DeviceTensor.empty([1], .float32, self)
    } catch let error as UserError {
      throw UserError(
        "no device", expected: "a GPU that CUDA finds", found: error.found ?? error.description,
        remedy: "Look at nvidia-smi, or train with DEVICE=torch-cpu.")
    }
  }

  // MARK: - Errors

  /// Throws the message of the last call unless `code` is 0.
  func check(_ code: Int32?, _ operation: @autoclosure () -> String) throws {
    if code == 0 { return }
    var words = "an error; standard error says which"
    if let text = c.what?() {
      words = String(cString: text).split(separator: "\n").first.map(String.init) ?? words
    }
    throw UserError(
      "libtorch \(version) on \(device.rawValue): \(operation())", expected: "its result",
      found: words)
  }

  func number(of form: ElementForm) -> Int32 {
    forms.first { $0.form == form }.map(\.number) ?? 0
  }
}

/// A value behind a lock.
// Unchecked: reached under the lock alone.
private final class Guarded<Value>: @unchecked Sendable {
  private var value: Value
  private let lock = NSLock()

  init(_ value: Value) { self.value = value }

  func withLock<R>(_ body: (inout Value) -> R) -> R { lock.withLock { body(&value) } }
}
