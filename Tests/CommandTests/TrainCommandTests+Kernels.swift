import Foundation
import Kernels
import Support
import Testing

/// A run goes on by the kernels that it was begun by, whatever this machine would choose.
extension TrainCommandTests {
  private static let emulated = [
    BFloat16Kernel.variable: BFloat16Kernel.emulatedAMX.rawValue
  ]
  private static let vectors = [BFloat16Kernel.variable: BFloat16Kernel.avx512.rawValue]

  private func fact(_ name: String, of output: String) throws -> ConfigValue? {
    let path = directory + "/" + output + "/evidence.json"
    let evidence = try ConfigValue.parse(
      json: String(decoding: FileBytes.read(path), as: UTF8.self), source: path)
    return evidence["facts"]?[name]
  }

  /// Bits of AMX: the same for threads and after a stop, and others than those of the vectors.
  @Test(.enabled(if: Precision.bfloat16.isAvailable))
  func tilesMakeOneRun() throws {
    defer { remove() }
    let config = try writeConfiguration(steps: 24, precision: .bfloat16)
    for (output, threads) in [("one", "1"), ("two", "2")] {
      let made = try run(
        config, output: output, ["--threads", threads], environment: Self.emulated)
      #expect(made.status == 0, "\(made.text)")
    }
    let tiles = try identity("one")
    #expect(try identity("two") == tiles)
    #expect(try fact("kernelBFloat16", of: "one") == "amx-emulated")
    #expect(
      try run(config, output: "cut", ["--stop-after", "11"], environment: Self.emulated).status == 0
    )
    let other = try run(config, output: "cut", environment: Self.vectors)
    #expect(other.status == 1)
    #expect(
      other.text.contains("checkpoint of another kernelBFloat16: expected avx512, found amx."),
      "\(other.text)")
    #expect(try run(config, output: "cut", environment: Self.emulated).status == 0)
    #expect(try identity("cut") == tiles)
    #expect(try run(config, output: "vectors", environment: Self.vectors).status == 0)
    #expect(try identity("vectors") != tiles)
  }

  /// Where there is no AMX a run that it began says so, and how to go on; where there is one it goes on
  /// by vectors if these began it.
  @Test(.enabled(if: Precision.bfloat16.isAvailable))
  func theCheckpointChoosesTheKernel() throws {
    defer { remove() }
    let config = try writeConfiguration(steps: 24, precision: .bfloat16)
    let stop = ["--stop-after", "11"]
    #expect(try run(config, output: "tiles", stop, environment: Self.emulated).status == 0)
    let again = try run(config, output: "tiles")
    if BFloat16Kernel.amx.isAvailable {
      #expect(again.status == 0, "\(again.text)")
    } else {
      #expect(again.status == 1)
      #expect(
        again.text.contains("begun with other products of bfloat16: expected amx"), "\(again.text)")
      #expect(again.text.contains("OVERTOKEN_BFLOAT16=amx-emulated"))
      #expect(again.text.split(separator: "\n").count == 1)
    }
    #expect(try run(config, output: "vectors", stop, environment: Self.vectors).status == 0)
    #expect(try run(config, output: "vectors").status == 0)
    #expect(try fact("kernelBFloat16", of: "vectors") == "avx512")
  }

  /// Begun on a processor for which OpenBLAS has other kernels.
  @Test func theCheckpointChoosesTheCore() throws {
    defer { remove() }
    let config = try writeConfiguration(steps: 24)
    // As if the process had just started itself anew.
    let old = ["OPENBLAS_CORETYPE": "Nehalem", "OVERTOKEN_BLAS_CORE_SET": "1"]
    #expect(try run(config, output: "run", ["--stop-after", "11"], environment: old).status == 0)
    let made = try run(config, output: "run")
    #expect(made.status == 0, "\(made.text)")
    #expect(try fact("blasCore", of: "run") == "Nehalem")
  }

  /// A process that has started itself anew for its core is still the one that people look for.
  @Test func topShowsTheProgramByItsName() throws {
    defer { remove() }
    let (process, _) = try start(
      writeConfiguration(), output: "run", environment: ["OPENBLAS_CORETYPE": "Nehalem"])
    let checkpoint = directory + "/run/checkpoint.safetensors"
    while process.isRunning, !FileBytes.exists(checkpoint) { usleep(500) }
    let name = try? String(
      contentsOfFile: "/proc/\(process.processIdentifier)/comm", encoding: .utf8)
    process.terminate()
    process.waitUntilExit()
    #expect(name == "ott-train\n")
  }

  @Test func tablesOfADeviceNeedOne() throws {
    defer { remove() }
    let result = try run(writeConfiguration(), output: "run", ["--device-tables", "host"])
    #expect(result.status == 1)
    #expect(
      result.text.contains(
        "--device-tables host: expected training.device, a device, found a training on the CPU."),
      "\(result.text)")
  }

  @Test func aKernelThatNobodyKnowsIsOneMessage() throws {
    defer { remove() }
    let config = try writeConfiguration(steps: 24)
    let unknown = try run(config, output: "run", environment: [BFloat16Kernel.variable: "fast"])
    guard Precision.bfloat16.isAvailable else { return }
    #expect(unknown.status == 1)
    #expect(
      unknown.text.contains(
        "OVERTOKEN_BFLOAT16: expected avx512, amx, amx-emulated or nothing, found \"fast\""),
      "\(unknown.text)")
  }
}
