import Foundation
import Support
import Testing

/// All final weights of the smoke figure: the same however they are made, and on CPU kinds for which
/// they are known, those.
@Suite(.serialized) struct SmokeDigestTests {
  /// "<kernels of the matrix-product library>/<bits of the widest vectors of the build>" → SHA-256 over
  /// the lines "<run> <SHA-256 of the last snapshot's tensors>\n" of all training runs, by name.
  ///
  /// A change that alters results on purpose changes this digest with them; any other must not.
  static let known = [
    "SkylakeX/512": "640c8df59d9e2093f028e439a16147e8e728a1d0e56ce8010ef4d8fd3b3a2a9f",
    // Of a build with ARCH=x86-64-v3.
    "SkylakeX/256": "640c8df59d9e2093f028e439a16147e8e728a1d0e56ce8010ef4d8fd3b3a2a9f",
  ]

  /// Whatever the number of threads and jobs, and after a kill in the middle.
  @Test func theFinalWeightsAreTheSame() throws {
    let killed = try Workplace()
    let broken = try killed.start("figure2", "PRESET=smoke", "THREADS=3", "-j2")
    while !killed.existsAny(below: "data/train", named: "weights-13.safetensors"),
      broken.process.isRunning
    {
      usleep(2000)
    }
    // Its stages go on without it: the next make waits for them, or finds them done.
    broken.process.send(SIGKILL)
    _ = try broken.wait()
    let undisturbed = try Workplace()
    let (one, _) = try finalWeights(of: killed, "THREADS=3", "-j2")
    let (other, kind) = try finalWeights(of: undisturbed, "THREADS=1", "-j1")
    #expect(one == other)
    let digest = SHA256.hex(of: other)
    if let known = Self.known[kind] {
      #expect(digest == known, "final smoke weights on \(kind)")
    } else {
      print("final smoke weights on \(kind): \(digest) (not known yet)")
    }
  }

  /// A line per training run, and the kind of the CPU they ran on.
  private func finalWeights(
    of place: Workplace, _ arguments: String...
  ) throws -> (lines: String, kind: String) {
    let result = try place.make(["figure2", "PRESET=smoke"] + arguments)
    try #require(result.status == 0, "\(result.all)")
    let list = try place.run("ott-plan", ["list", "--preset", "smoke", "--stage", "train"])
    var lines: [String] = []
    var kind = ""
    for line in list.output.split(separator: "\n") {
      let id = String(line.prefix(12))
      let name = line.dropFirst(12).trimmingCharacters(in: .whitespaces)
      let directory = "\(place.directory)/data/train/\(id)"
      let index = try StageIndex(directory: directory)
      guard case .array(let snapshots)? = index.content["snapshots"],
        case .string(let file)? = snapshots.last?["file"]
      else {
        Issue.record("\(name) has no snapshots")
        continue
      }
      lines.append("\(name) \(try Self.digest(ofTensors: "\(directory)/\(file)"))\n")
      kind = try Self.kind(of: EvidenceFile(directory: directory, id: id))
    }
    try #require(!lines.isEmpty, "\(list.all)")
    return (lines.sorted().joined(), kind)
  }

  /// Of what lies behind the header, which holds the run's id.
  private static func digest(ofTensors path: String) throws -> String {
    let bytes = try FileBytes.read(path)
    let header = bytes.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
    return SHA256.hex(of: Array(bytes[(8 + header)...]))
  }

  private static func kind(of evidence: EvidenceFile) throws -> String {
    let environment = try evidence.environment(of: .object(evidence.members), remedy: "")
    guard case .array(let features)? = environment["buildFeatures"],
      case .string(let core)? = environment["libraries"]?["blasCore"]
    else { return "unknown" }
    let bits = features.contains("avx512f") ? 512 : features.contains("avx2") ? 256 : 128
    return "\(core)/\(bits)"
  }
}
