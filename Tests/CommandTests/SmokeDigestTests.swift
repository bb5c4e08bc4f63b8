import Foundation
import Support
import Testing

/// One digest of all final weights of the smoke figure, for the CPU kinds that it is known for.
@Suite(.serialized) struct SmokeDigestTests {
  /// "<kernels of the matrix-product library>/<bits of the widest vectors of the build>" → SHA-256 over
  /// the lines "<id> <SHA-256 of the last snapshot>\n" of all training runs, by id.
  ///
  /// A change that alters results on purpose changes this digest with them; any other must not.
  static let known = [
    "SkylakeX/512": "51f58986dd00c9cb795062a1b77c85d5d4b2781d8e09a4358a582e3b5a45c6c4"
  ]

  /// Whatever the number of threads and jobs, and after a kill in the middle.
  @Test func theFinalWeightsAreTheKnownOnes() throws {
    let place = try Workplace()
    let broken = try place.start("figure2", "PRESET=smoke", "THREADS=3", "-j2")
    while !place.existsAny(below: "data/train", named: "weights-13.safetensors"),
      broken.process.isRunning
    {
      usleep(2000)
    }
    // Its stages go on without it: the next make waits for them, or finds them done.
    broken.process.send(SIGKILL)
    _ = try broken.wait()
    let result = try place.make("figure2", "PRESET=smoke", "THREADS=1", "-j2")
    try #require(result.status == 0, "\(result.all)")
    let folder = place.directory + "/data/train"
    var text = ""
    var kind = ""
    for id in try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    where StageConfiguration.isID(id) {
      let index = try StageIndex(directory: "\(folder)/\(id)")
      guard case .array(let snapshots)? = index.content["snapshots"],
        case .string(let digest)? = snapshots.last?["sha256"]
      else {
        Issue.record("\(id) has no snapshots")
        continue
      }
      text += "\(id) \(digest)\n"
      kind = try Self.kind(of: EvidenceFile(directory: "\(folder)/\(id)", id: id))
    }
    let digest = SHA256.hex(of: text)
    guard let known = Self.known[kind] else {
      print("final smoke weights on \(kind): \(digest) (not known yet)")
      return
    }
    #expect(digest == known, "final smoke weights on \(kind)")
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
