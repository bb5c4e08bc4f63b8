import Foundation
import Support
import Testing

@Suite struct AtomicDirectoryTests {
  private let place: String

  init() throws {
    place = NSTemporaryDirectory() + "atomic-directory-\(UUID().uuidString)"
    try AtomicFile.makeDirectory(place)
  }

  private func fill(_ directory: String, _ text: String) throws {
    try AtomicFile.write(text, to: directory + "/file")
  }

  private func content(_ path: String) throws -> String {
    String(decoding: try FileBytes.read(path + "/file"), as: UTF8.self)
  }

  @Test func appearsWholeOrNotAtAll() throws {
    defer { try? FileManager.default.removeItem(atPath: place) }
    let path = place + "/deep/er/out"
    #expect(throws: UserError.self) {
      try AtomicDirectory.write(to: path) { directory in
        try fill(directory, "half")
        #expect(!FileBytes.exists(path))
        throw UserError("no")
      }
    }
    #expect(try AtomicFile.names(in: place + "/deep/er").isEmpty)
    let result = try AtomicDirectory.write(to: path + "/") { directory in
      try fill(directory, "one")
      return 7
    }
    #expect(try result == 7 && content(path) == "one")
    // Replaced at once, and only by what is whole.
    #expect(throws: UserError.self) {
      try AtomicDirectory.write(to: path) { directory in
        try fill(directory, "two")
        throw UserError("no")
      }
    }
    #expect(try content(path) == "one")
    try AtomicDirectory.write(to: path) { directory in
      try fill(directory, "two")
      #expect(try content(path) == "one")
    }
    #expect(try content(path) == "two")
    #expect(try AtomicFile.names(in: place + "/deep/er") == ["out"])
  }

  /// Those of processes that are gone; not those of one that lives, or of other names.
  @Test func staleTemporariesAreRemoved() throws {
    defer { try? FileManager.default.removeItem(atPath: place) }
    let names = [
      ".out.tmp-999999999", ".out.tmp-999999999-old", ".out.tmp-1", ".other.tmp-999999999",
    ]
    for name in names { try AtomicFile.makeDirectory("\(place)/\(name)/inner") }
    try AtomicDirectory.write(to: place + "/out") { try fill($0, "x") }
    #expect(
      try AtomicFile.names(in: place).sorted() == [".other.tmp-999999999", ".out.tmp-1", "out"])
  }

  @Test func aFileIsInTheWay() throws {
    defer { try? FileManager.default.removeItem(atPath: place) }
    try AtomicFile.write("mine", to: place + "/out")
    #expect(throws: UserError.self) {
      try AtomicDirectory.write(to: place + "/out") { try fill($0, "x") }
    }
    #expect(try FileBytes.read(place + "/out") == Array("mine".utf8))
    #expect(try AtomicFile.names(in: place) == ["out"])
  }
}
