import Foundation
import Support
import Testing

/// `Tests/FaultLayer/faults.c`, built once, in front of a stage's system calls.
enum FaultLayer {
  enum Fault: String, CaseIterable {
    /// SIGKILL before the call.
    case kill
    /// Half of a write, then SIGKILL.
    case torn
    /// ENOSPC from this call on, after half of a write.
    case full
    /// EIO.
    case broken
  }

  /// One call that changed a file.
  struct Call: Equatable {
    let operation: String
    let path: String
    /// The new path of a rename.
    let other: String
  }

  /// The shared object; nil, said once, where there is no C compiler.
  static let library: String? = {
    let path = NSTemporaryDirectory() + "faults-\(getpid()).so"
    let source = Program.project + "/Tests/FaultLayer/faults.c"
    for compiler in ["clang", "cc", "gcc"] {
      let result = try? Program.start(
        "/usr/bin/env", [compiler, "-shared", "-fPIC", "-O1", "-o", path, source], in: "/tmp"
      ).wait()
      if result?.status == 0 { return path }
    }
    return nil
  }()

  /// Runs a program with the layer; calls on files below `root` count.
  static func run(
    _ name: String, _ arguments: [String], in directory: String, root: String,
    fault: Fault? = nil, at call: Int = 0
  ) throws -> (result: Program.Result, calls: [Call]) {
    let log = NSTemporaryDirectory() + "calls-" + UUID().uuidString
    defer { unlink(log) }
    var environment = [
      "LD_PRELOAD": try #require(library), "FAULT_ROOT": root, "FAULT_LOG": log, "FAULT_NAME": name,
    ]
    if let fault {
      environment["FAULT_KIND"] = fault.rawValue
      environment["FAULT_AT"] = "\(call)"
    }
    let result = try Program.start(
      "\(Program.directory)/\(name)", arguments, in: directory, environment: environment
    ).wait()
    let text = (try? FileBytes.read(log)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    let calls = text.split(separator: "\n").map { line in
      let parts = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
      return Call(operation: parts[0], path: parts[1], other: parts[2])
    }
    return (result, calls)
  }
}

/// What a power cut may do to the files that a list of calls made: content that was not synced and
/// names whose directory was not synced may be lost.
struct PowerModel {
  private(set) var unsyncedFiles: Set<String> = []
  /// Directories in which a name was made, moved or removed since their last sync.
  private(set) var unsyncedDirectories: Set<String> = []

  mutating func apply(_ call: FaultLayer.Call) {
    switch call.operation {
    case "create", "truncate", "write":
      unsyncedFiles.insert(call.path)
      // Nobody misses a temporary name.
      if call.operation == "create", !call.path.contains(".tmp-") {
        unsyncedDirectories.insert(parent(call.path))
      }
    case "mkdir", "unlink":
      unsyncedDirectories.insert(parent(call.path))
      unsyncedFiles.remove(call.path)
    case "rename":
      if unsyncedFiles.remove(call.path) != nil { unsyncedFiles.insert(call.other) }
      unsyncedDirectories.insert(parent(call.other))
    case "sync":
      unsyncedFiles.remove(call.path)
      unsyncedDirectories.remove(call.path)
    default: break
    }
  }

  /// Whether everything named `path` or below it would survive.
  func isDurable(below path: String, except names: Set<String> = []) -> Bool {
    let isBelow = { (file: String) in file == path || file.hasPrefix(path + "/") }
    return !unsyncedFiles.contains { isBelow($0) && !names.contains($0) }
      && !unsyncedDirectories.contains(where: isBelow)
  }

  private func parent(_ path: String) -> String { AtomicFile.parent(of: path) }
}
