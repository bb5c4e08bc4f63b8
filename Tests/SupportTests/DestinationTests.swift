import Foundation
import Support
import Testing

/// Paths that lead elsewhere than to a file of that name.
@Suite struct DestinationTests {
  private let room: AtomicFileTests.Room
  private var path: String { room.path }

  init() throws { room = try AtomicFileTests.Room() }

  private func link(_ name: String, to target: String) throws {
    try FileManager.default.createSymbolicLink(
      atPath: "\(path)/\(name)", withDestinationPath: target)
  }

  private func kind(_ name: String) -> mode_t {
    var status = stat()
    return lstat("\(path)/\(name)", &status) == 0 ? status.st_mode & S_IFMT : 0
  }

  private func text(_ name: String) throws -> String {
    String(decoding: try FileBytes.read("\(path)/\(name)"), as: UTF8.self)
  }

  @Test(arguments: ["real", "absolute"])
  func aLinkStaysAndItsTargetIsReplaced(kind target: String) throws {
    try AtomicFile.makeDirectory("\(path)/far")
    try AtomicFile.write("older", to: "\(path)/far/real")
    try link("far/second", to: target == "absolute" ? "\(path)/far/real" : "real")
    try link("first", to: "far/second")
    try AtomicFile.write("newer", to: "\(path)/first")
    #expect(try text("far/real") == "newer")
    #expect(
      kind("first") == S_IFLNK && kind("far/second") == S_IFLNK && kind("far/real") == S_IFREG)
    #expect(try AtomicFile.names(in: path).sorted() == ["far", "first"])
    #expect(try AtomicFile.names(in: "\(path)/far").sorted() == ["real", "second"])
  }

  @Test func aDanglingLinkGetsItsTarget() throws {
    try link("first", to: "there")
    try AtomicFile.write("text", to: "\(path)/first")
    #expect(try text("there") == "text")
    #expect(kind("first") == S_IFLNK)
    try link("nowhere", to: "none/there")
    let error = #expect(throws: UserError.self) { try AtomicFile.write("x", to: "\(path)/nowhere") }
    #expect(error?.description.contains("No such file or directory") == true)
  }

  @Test func linksInACircleAreRefused() throws {
    try link("a", to: "b")
    try link("b", to: "a")
    let error = #expect(throws: UserError.self) { try AtomicFile.write("x", to: "\(path)/a") }
    #expect(error?.description.contains("too many levels of symbolic links") == true)
    #expect(kind("a") == S_IFLNK && kind("b") == S_IFLNK)
  }

  @Test func aPipeIsWrittenThrough() throws {
    try #require(mkfifo("\(path)/pipe", 0o600) == 0)
    try link("link", to: "pipe")
    // A reader that is there before the writer, so that neither waits for the other.
    let reader = open("\(path)/pipe", O_RDONLY | O_NONBLOCK)
    try #require(reader >= 0)
    for name in ["pipe", "link"] {
      try AtomicFile.write("through \(name)", to: "\(path)/\(name)")
      var bytes = [UInt8](repeating: 0, count: 64)
      let count = try #require(
        bytes.withUnsafeMutableBytes { Descriptor.read(into: $0, from: reader) })
      #expect(String(decoding: bytes[..<count], as: UTF8.self) == "through \(name)")
    }
    let error = #expect(throws: UserError.self) {
      try AtomicFile.write(to: "\(path)/pipe") { writer in
        try writer.append([1, 2])
        try writer.overwrite([3], at: 0)
      }
    }
    #expect(error?.description.contains("found a stream") == true)
    close(reader)
    #expect(kind("pipe") == S_IFIFO)
    #expect(try AtomicFile.names(in: path).sorted() == ["link", "pipe"])
  }

  /// As a shell's `9>>file` with `-o /dev/fd/9`: the same open file, not its beginning.
  @Test func anOpenDescriptorIsWrittenThrough() throws {
    try AtomicFile.write("older ", to: "\(path)/file")
    let descriptor = open("\(path)/file", O_WRONLY | O_APPEND)
    try #require(descriptor >= 0)
    for name in ["/dev/fd/\(descriptor)", "/proc/self/fd/\(descriptor)"] {
      try AtomicFile.write("more ", to: name)
    }
    try link("link", to: "/dev/fd/\(descriptor)")
    try AtomicFile.write("by a link", to: "\(path)/link")
    close(descriptor)
    #expect(try text("file") == "older more more by a link")
    // A number that no file can have: the one just closed may be another test's by now.
    let error = #expect(throws: UserError.self) {
      try AtomicFile.write("x", to: "/dev/fd/\(Int32.max)")
    }
    #expect(error?.description.contains("Bad file descriptor") == true)
  }

  @Test func directoriesAndNamelessPathsAreRefused() throws {
    try AtomicFile.makeDirectory("\(path)/directory")
    try link("link", to: "directory")
    for name in ["directory", "directory/", "link", "new/"] {
      let error = #expect(throws: UserError.self) {
        try AtomicFile.write(to: "\(path)/\(name)") { _ in Issue.record("the work was begun") }
      }
      #expect(error?.description.contains("expected the name of a file") == true, "\(name)")
    }
    #expect(throws: UserError.self) { try AtomicFile.write("x", to: "") }
    #expect(try AtomicFile.names(in: path).sorted() == ["directory", "link"])
  }

  @Test func aReplacedFileKeepsItsPermissions() throws {
    try AtomicFile.write("older", to: "\(path)/file")
    for mode: mode_t in [0o600, 0o640, 0o755] {
      try #require(chmod("\(path)/file", mode) == 0)
      try AtomicFile.write("newer", to: "\(path)/file")
      var status = stat()
      #expect(stat("\(path)/file", &status) == 0 && status.st_mode & 0o777 == mode)
    }
  }

  /// A slash is a slash, whatever follows it: Swift takes "/" and U+0301 for one Character.
  @Test func pathsAreBytes() throws {
    let name = "\u{301}accent"
    #expect(AtomicFile.parent(of: "\(path)/\(name)") == path)
    #expect(Array(AtomicFile.name(of: "\(path)/\(name)").utf8) == Array(name.utf8))
    try AtomicFile.write("text", to: "\(path)/\(name)")
    #expect(try FileBytes.read("\(path)/\(name)") == Array("text".utf8))
    for (whole, parent, last) in [
      ("a", ".", "a"), ("/", "/", "/"), ("/a", "/", "a"), ("a/b/", "a", "b"), ("a/", ".", "a"),
    ] {
      #expect(AtomicFile.parent(of: whole) == parent && AtomicFile.name(of: whole) == last)
    }
  }

  // MARK: - Outputs apart from inputs

  private func refusal(_ body: () throws -> Void) -> String? {
    do {
      try body()
      return nil
    } catch {
      return "\(error)"
    }
  }

  @Test func aFileAmongTheInputsIsRefused() throws {
    try AtomicFile.makeDirectory("\(path)/input/deep")
    try AtomicFile.write("1", to: "\(path)/input/file")
    try AtomicFile.write("2", to: "\(path)/alone")
    try link("door", to: "input")
    try link("other", to: "alone")
    let inputs = ["\(path)/input", "\(path)/alone", "\(path)/none"]
    for name in [
      "input/file", "input/new", "input/deep/new", "input/../input/new", "door/new", "door",
      "input", "alone", "other", "door/deep/../file",
    ] {
      let text = refusal {
        try OutputPath.require(file: "\(path)/\(name)", apartFrom: inputs)
      }
      #expect(text?.contains("cannot be the output") == true, "\(name)")
    }
    for name in ["new", "inputs", "input.csv", "deep/input", "none"] {
      let text = refusal {
        try OutputPath.require(file: "\(path)/\(name)", apartFrom: inputs)
      }
      #expect(text == nil, "\(name)")
    }
    #expect(
      refusal { try OutputPath.require(file: "\(path)/alone", apartFrom: ["\(path)/al*"]) } != nil)
    #expect(
      refusal { try OutputPath.require(file: "/dev/null", apartFrom: ["/dev/null"]) } == nil)
  }

  @Test func aDirectoryAroundAnInputIsRefused() throws {
    try AtomicFile.makeDirectory("\(path)/set/input")
    try AtomicFile.write("1", to: "\(path)/set/file")
    try link("door", to: "set")
    for (output, input) in [
      ("set", "set/input"), ("set", "set/file"), ("door", "set/input"), ("set/input", "set/input"),
      ("set/input/new", "set/input"), ("set/new", "door"), ("set", "set/f*"),
    ] {
      let text = refusal {
        try OutputPath.require(directory: "\(path)/\(output)", apartFrom: ["\(path)/\(input)"])
      }
      #expect(text?.contains("cannot be the output") == true, "\(output) of \(input)")
    }
    for (output, input) in [
      ("set/new", "set/input"), ("set/inputs", "set/input"), ("new", "set"), ("set", "none"),
    ] {
      let text = refusal {
        try OutputPath.require(directory: "\(path)/\(output)", apartFrom: ["\(path)/\(input)"])
      }
      #expect(text == nil, "\(output) of \(input): \(text ?? "")")
    }
  }
}
