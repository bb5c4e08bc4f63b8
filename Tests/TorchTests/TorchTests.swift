import Foundation
import Support
import Testing
import Torch

/// The libtorch that tests compute with; nil, and one line a suite, where the variable names none.
let torch: TorchLibrary? = {
  let variable = ProcessInfo.processInfo.environment[TorchLibrary.variable] ?? ""
  return variable.isEmpty ? nil : try? TorchLibrary.open(.cpu)
}()

let needsTorch: Comment = "no libtorch: set OVERTOKEN_TORCH, or run make torch"

@Suite struct LibraryTests {
  @Test(.enabled(if: torch != nil, needsTorch))
  func isNewEnough() throws {
    let library = try #require(torch)
    #expect(library.version >= TorchLibrary.oldest)
    #expect(TorchVersion(2, 9, 1) < TorchLibrary.oldest)
    #expect("\(TorchVersion(2, 13))" == "2.13.0")
  }

  /// A library that is asked for and cannot be used fails the tests instead of leaving them out.
  @Test func isUsableWhereNamed() throws {
    let variable = ProcessInfo.processInfo.environment[TorchLibrary.variable] ?? ""
    if !variable.isEmpty { _ = try TorchLibrary.open(.cpu) }
  }

  @Test func otherPlacesAreRefused() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(
      at: folder.appendingPathComponent("lib"), withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    func message(_ device: TorchDevice, _ place: String) -> String {
      do {
        _ = try TorchLibrary(at: place, device: device)
        return "none"
      } catch { return "\(error)" }
    }
    #expect(message(.cpu, "/nowhere").contains("found no such directory"))
    #expect(message(.cpu, folder.path).contains("libtorch_cpu.so in it, found neither"))
    let file = folder.appendingPathComponent("lib/libtorch_cpu.so")
    try Data("no library".utf8).write(to: file)
    #expect(message(.cpu, folder.path).contains("cannot be opened"))
    // A library without the functions.
    try FileManager.default.removeItem(at: file)
    let other = try #require(
      ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/libm.so.6", "/usr/lib/libm.so.6"].first {
        FileManager.default.fileExists(atPath: $0)
      })
    try FileManager.default.createSymbolicLink(
      at: file, withDestinationURL: URL(fileURLWithPath: other))
    #expect(message(.cpu, folder.path).contains("its function aoti_torch_abi_version"))
  }

  @Test(.enabled(if: torch != nil, needsTorch))
  func onlyOneDeviceIsOpen() throws {
    _ = try #require(torch)
    #expect(throws: UserError.self) { try TorchLibrary.open(.cuda) }
    #expect(throws: UserError.self) { try TorchLibrary.open(.cpu, at: "/elsewhere") }
  }

  @Test(.enabled(if: torch != nil, needsTorch))
  func errorsNameTheOperator() throws {
    let library = try #require(torch)
    let a = try DeviceTensor.zeros([2, 3], .float32, library)
    do {
      _ = try a.rows(DeviceTensor.copy(ofNumbers: [5], [1], library))
      Issue.record("row 5 of 2")
    } catch let error as UserError {
      #expect(error.description.contains("aten::index_select"))
      #expect(error.description.contains("out of range"))
    }
  }

  @Test(.enabled(if: torch != nil, needsTorch), arguments: [0, 1, 5, 64])
  func bytesComeBack(count: Int) throws {
    let library = try #require(torch)
    let values = (0..<count).map { Float($0) * 0.5 - 3 }
    let tensor = try DeviceTensor.copy(of: values, [count], library)
    #expect(try tensor.floats() == values)
    #expect(tensor.shape == [count])
    #expect(tensor.form == .float32)
    let doubled = try tensor.plus(tensor)
    #expect(try doubled.floats() == values.map { 2 * $0 })
  }

  @Test(.enabled(if: torch != nil, needsTorch))
  func viewsSeeTheSameMemory() throws {
    let library = try #require(torch)
    let a = try DeviceTensor.copy(of: (0..<12).map(Float.init), [3, 4], library)
    #expect(try a.transposed().copied().floats() == [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11])
    #expect(try a.part(1..<3).floats() == [4, 5, 6, 7, 8, 9, 10, 11])
    let middle = try a.part(1..<3, of: 1)
    #expect(try middle.copied().floats() == [1, 2, 5, 6, 9, 10])
    #expect(try middle.part(1..<2).copied().floats() == [5, 6])
    try middle.zero()
    #expect(try a.floats() == [0, 0, 0, 3, 4, 0, 0, 7, 8, 0, 0, 11])
  }
}
