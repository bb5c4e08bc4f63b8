import Foundation
import Support
import Testing

/// Power cuts, kills and refused writes at every call that changes a file, from outside the stages.
@Suite(.serialized, .enabled(if: FaultLayer.library != nil, "no C compiler"))
struct DurabilityTests {
  let place: Workplace
  /// A finished chain of one run; stage → id.
  let ids: [String: String]

  init() throws {
    let place = try Workplace()
    let rules = try place.run("ott-plan", ["rules", "--preset", "tiny"])
    try #require(rules.status == 0, "\(rules.all)")
    let made = try place.make("data/evaluate/\(try place.ids("evaluate")[0])/index.json")
    try #require(made.status == 0, "\(made.all)")
    var ids: [String: String] = [:]
    for stage in ["sample", "tokenize", "map", "train", "evaluate"] {
      ids[stage] = try place.ids(stage).first {
        FileBytes.exists("\(place.directory)/data/\(stage)/\($0)/index.json")
      }
    }
    self.place = place
    self.ids = ids
  }

  private func output(_ stage: String) throws -> String {
    "\(place.directory)/again/\(stage)/\(try #require(ids[stage]))"
  }

  private func run(
    _ stage: String, _ fault: FaultLayer.Fault? = nil, at call: Int = 0
  ) throws -> (result: Program.Result, calls: [FaultLayer.Call]) {
    let id = try #require(ids[stage])
    return try FaultLayer.run(
      "ott-\(stage)",
      [
        "--config", "data/config/\(stage)/\(id).json", "--output", output(stage), "--threads", "1",
        "--quiet",
      ], in: place.directory, root: place.directory + "/again", fault: fault, at: call)
  }

  /// Every file of an output but its evidence and what is hidden.
  private func content(_ directory: String) throws -> [String: [UInt8]] {
    var files: [String: [UInt8]] = [:]
    for name in try FileManager.default.subpathsOfDirectory(atPath: directory) {
      let path = directory + "/" + name
      var isDirectory: ObjCBool = false
      _ = FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory)
      let isExtra = name.hasSuffix("evidence.json") || name == "checkpoint.safetensors"
      if isDirectory.boolValue || isExtra || name.contains(".tmp-") { continue }
      files[name] = try FileBytes.read(path)
    }
    return files
  }

  private func reference(_ stage: String) throws -> [String: [UInt8]] {
    try content("\(place.directory)/data/\(stage)/\(try #require(ids[stage]))")
  }

  private func forget(_ stage: String) throws {
    try FileManager.default.removeItem(atPath: place.directory + "/again")
  }

  /// Content is on the disk before its name is, and everything else before the index: the marker
  /// never stands for what a power cut can take.
  @Test(arguments: ["sample", "tokenize", "map", "train", "evaluate"])
  func theMarkerIsTheLastToBecomeDurable(stage: String) throws {
    let (result, calls) = try run(stage)
    try #require(result.status == 0, "\(result.all)")
    let output = try output(stage)
    var power = PowerModel()
    var markers = 0
    for call in calls {
      let isWritten = ["create", "truncate", "write"].contains(call.operation)
      if isWritten, call.path.hasPrefix(output) {
        // Only files under a temporary name, and the log that checkpoints remember the length of.
        #expect(call.path.contains(".tmp-") || call.path.hasSuffix("/metrics.jsonl"), "\(call)")
      }
      if call.operation == "rename" {
        #expect(!power.unsyncedFiles.contains(call.path), "renamed before it was synced: \(call)")
      }
      if call.operation == "rename", call.other.hasSuffix("/checkpoint.safetensors") {
        #expect(power.isDurable(below: output), "\(power)")
      }
      if call.operation == "rename", call.other.hasSuffix("/index.json") {
        #expect(power.isDurable(below: AtomicFile.parent(of: call.other)), "\(power)")
        if call.other == output + "/index.json" { markers += 1 }
      }
      power.apply(call)
    }
    #expect(markers == 1)
    #expect(power.isDurable(below: output))
    #expect(try content(output) == reference(stage))
    try forget(stage)
  }

  /// A kill ends the stage; see `expectRecovery`.
  @Test(arguments: ["map", "train"], [FaultLayer.Fault.kill, .torn])
  func killsAtEveryKindOfCall(stage: String, fault: FaultLayer.Fault) throws {
    try expectRecovery(of: stage, from: fault) { killed, call in
      #expect(killed.status != 0, "call \(call): \(killed.all)")
    }
  }

  /// A refused call that ends the stage is one message that names a file, and exit 1; see
  /// `expectRecovery`.
  @Test(arguments: ["tokenize", "train"], [FaultLayer.Fault.full, .broken])
  func refusalsAreOneMessage(stage: String, fault: FaultLayer.Fault) throws {
    try expectRecovery(of: stage, from: fault) { refused, call in
      if refused.status == 0 { return }
      #expect(refused.status == 1, "call \(call): \(refused.all)")
      let lines = refused.errors.split(separator: "\n")
      #expect(lines.count == 1 && lines[0].hasPrefix("error: "), "call \(call): \(refused.all)")
      #expect(refused.errors.contains("/again"), "call \(call): \(refused.all)")
    }
  }

  /// After a fault at any kind of call, what has an index is whole, and the same command ends with the
  /// same bytes.
  ///
  /// - Parameter check: gets what the struck stage left, and the number of the call.
  private func expectRecovery(
    of stage: String, from fault: FaultLayer.Fault, check: (Program.Result, Int) -> Void
  ) throws {
    let calls = try run(stage).calls
    let reference = try reference(stage)
    try forget(stage)
    for call in interesting(calls) {
      check(try run(stage, fault, at: call).result, call)
      if try FileBytes.exists(output(stage) + "/index.json") {
        #expect(try content(output(stage)) == reference, "call \(call)")
      }
      let again = try run(stage).result
      #expect(again.status == 0, "call \(call): \(again.all)")
      #expect(try content(output(stage)) == reference, "call \(call)")
      try forget(stage)
    }
  }

  /// Numbers of calls that differ in kind, spread over the run; `make torture` takes them all.
  private func interesting(_ calls: [FaultLayer.Call]) -> [Int] {
    var numbers: Set<Int> = []
    var start = 0
    for end in 1...calls.count where end == calls.count || calls[end] != calls[start] {
      numbers.formUnion([(start + end) / 2 + 1, end])
      start = end
    }
    let sorted = numbers.filter { $0 <= calls.count }.sorted()
    let wanted = min(8, sorted.count)
    return (0..<wanted).map { sorted[$0 * (sorted.count - 1) / max(1, wanted - 1)] }
  }
}
