import Foundation
import Shards
import Stores
import Support

/// Compares finished outputs and published results with the digests that vouch for them.
///
/// An index lists its files as objects with `sha256` and a `name` or `file`, wherever in its content
/// they stand; nested sets stand under `sets` with the digest of their own index. So a stage that
/// lists its files needs nothing here.
package struct Verification: Sendable {
  package private(set) var outputs = 0
  package private(set) var files = 0
  /// Bytes that were read and hashed; of shards, the raw bytes.
  package private(set) var bytes = 0
  /// One message for each thing that is not as its digest says.
  package private(set) var faults: [String] = []
  /// Files of results that no evidence vouches for.
  package private(set) var unchecked: [String] = []

  private let threads: Int

  package init(threads: Int) { self.threads = threads }

  // MARK: - Outputs

  /// Checks every finished output below `directory`, which is laid out as <stage>/<id>.
  package mutating func check(cache directory: String) throws {
    for stage in try Self.names(in: directory) {
      for id in try Self.names(in: "\(directory)/\(stage)") where StageConfiguration.isID(id) {
        let output = "\(directory)/\(stage)/\(id)"
        if FileBytes.exists("\(output)/\(StageIndex.fileName)") { check(output: output, id: id) }
      }
    }
  }

  /// Checks one output: its index, its evidence, and every file that the index lists.
  package mutating func check(output directory: String, id: String? = nil) {
    outputs += 1
    collect {
      let index = try StageIndex(directory: directory)
      if let id, index.id != id {
        throw UserError(
          "\(directory)/\(StageIndex.fileName): id", expected: id, found: index.id,
          remedy: StageIndex.remedy(directory))
      }
      _ = try EvidenceFile(directory: directory, id: index.id)
      return index
    }.map { check(contentOf: $0) }
  }

  private mutating func check(contentOf index: StageIndex) {
    if index.content["shards"] != nil {
      let threads = self.threads
      collect {
        let set = try ShardSet(directory: index.directory)
        return (set.shards.count, try set.verify(threads: threads))
      }.map {
        files += $0.0; bytes += $0.1
      }
    }
    if index.content["store"] != nil {
      collect { try FGramStore(directory: index.directory, placement: .disk).verify() }.map {
        files += 2; bytes += $0
      }
    }
    check(files: .object(index.content), in: index.directory)
    guard case .object(let sets)? = index.content["sets"] else { return }
    for (name, digest) in sets.sorted(by: { $0.key < $1.key }) {
      let directory = "\(index.directory)/\(name)"
      check(
        file: "\(directory)/\(StageIndex.fileName)", digest: digest, bytes: nil,
        remedy: StageIndex.remedy(directory))
      collect { try StageIndex(directory: directory) }.map { check(contentOf: $0) }
    }
  }

  private mutating func check(files value: ConfigValue, in directory: String) {
    switch value {
    case .array(let items): for item in items { check(files: item, in: directory) }
    case .object(let members):
      // Shards are checked whole and by content as a set.
      if let digest = members["sha256"], members["rawSha256"] == nil,
        case .string(let name)? = members["name"] ?? members["file"]
      {
        // Of a snapshot, "bytes" are those of the text that the run had read.
        let size = members["name"] == nil ? nil : members["bytes"]
        check(
          file: "\(directory)/\(name)", digest: digest, bytes: size,
          remedy: StageIndex.remedy(directory))
      } else {
        for (_, member) in members.sorted(by: { $0.key < $1.key }) {
          check(files: member, in: directory)
        }
      }
    default: break
    }
  }

  private mutating func check(
    file path: String, digest: ConfigValue, bytes size: ConfigValue?, remedy: String
  ) {
    files += 1
    collect {
      let content = try FileBytes.read(path)
      if let size, size != .integer(content.count) {
        throw UserError(
          path, expected: "\(size.summary) of bytes", found: "\(content.count)", remedy: remedy)
      }
      let found = SHA256.hex(of: content)
      guard digest == .string(found) else {
        throw UserError(path, expected: "SHA-256 \(digest.summary)", found: found, remedy: remedy)
      }
      return content.count
    }.map { bytes += $0 }
  }

  // MARK: - Results

  /// Checks what is published below `directory`: the files of each `<preset>/<figure>.evidence.json`.
  package mutating func check(results directory: String) throws {
    for preset in try Self.names(in: directory) {
      let folder = "\(directory)/\(preset)"
      var vouched: Set<String> = []
      let names = try Self.names(in: folder)
      for name in names where name.hasSuffix(".evidence.json") {
        let path = "\(folder)/\(name)"
        vouched.insert(name)
        let remedy = "Run: make \(name.dropLast(14)) PRESET=\(preset)"
        let listed = collect { try EvidenceFile(path: path, remedy: remedy) }
        guard let listed else { continue }
        outputs += 1
        // A report may have files that are not published.
        for file in listed.vouchedFiles where names.contains(file.name) {
          vouched.insert(file.name)
          check(
            file: "\(folder)/\(file.name)", digest: .string(file.digest), bytes: nil,
            remedy: remedy)
        }
      }
      // Pages are compared with the results that they are written from: ott-report page --check.
      vouched.formUnion(["README.md", "index.html"])
      unchecked += names.filter { !vouched.contains($0) }.map { "\(folder)/\($0)" }
    }
  }

  // MARK: - Parts

  /// What `body` gives, or nil after its message was kept.
  @discardableResult
  private mutating func collect<Result>(_ body: () throws -> Result) -> Result? {
    do {
      return try body()
    } catch {
      faults.append("\(error)")
      return nil
    }
  }

  /// Names in a directory that are not hidden, sorted; none where there is no directory.
  static func names(in directory: String) throws -> [String] {
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: directory, isDirectory: &isDirectory),
      isDirectory.boolValue
    else { return [] }
    return try AtomicFile.names(in: directory)
      .filter { !$0.hasPrefix(".") }.sorted()
  }
}
