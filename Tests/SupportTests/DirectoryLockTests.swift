import Foundation
import Support
import Synchronization
import Testing

@Suite struct DirectoryLockTests {
  @Test func aFreeLockIsTakenAndLeavesNothing() throws {
    let room = try AtomicFileTests.Room()
    let lock = try DirectoryLock(of: room.path + "/a/")
    #expect(!lock.hadToWait)
    #expect(try FileManager.default.contentsOfDirectory(atPath: room.path) == [".a.lock"])
    lock.release()
    lock.release()
    #expect(try FileManager.default.contentsOfDirectory(atPath: room.path).isEmpty)
  }

  /// Whatever the order in which they come, there is one holder at a time.
  @Test func oneHolderAtATime() throws {
    let room = try AtomicFileTests.Room()
    let path = room.path + "/a"
    let holders = Atomic<Int>(0)
    let waits = Atomic<Int>(0)
    let first = try DirectoryLock(of: path)
    let group = DispatchGroup()
    for _ in 0..<4 {
      DispatchQueue.global().async(group: group) {
        do {
          let lock = try DirectoryLock(of: path) {
            waits.add(1, ordering: .relaxed)
          }
          #expect(holders.add(1, ordering: .relaxed).newValue == 1)
          #expect(lock.hadToWait)
          usleep(2000)
          holders.subtract(1, ordering: .relaxed)
          lock.release()
        } catch {
          Issue.record("\(error)")
        }
      }
    }
    while waits.load(ordering: .relaxed) < 4 { usleep(1000) }
    #expect(holders.load(ordering: .relaxed) == 0)
    first.release()
    group.wait()
    #expect(try FileManager.default.contentsOfDirectory(atPath: room.path).isEmpty)
  }

  @Test func aLeftFileIsNoLock() throws {
    let room = try AtomicFileTests.Room()
    try AtomicFile.write("", to: room.path + "/.a.lock")
    #expect(!(try DirectoryLock(of: room.path + "/a").hadToWait))
  }

  @Test func aMissingParentIsNamed() throws {
    let error = #expect(throws: UserError.self) { try DirectoryLock(of: "/nowhere/a") }
    #expect(error?.description.contains("/nowhere/.a.lock") == true)
  }

  /// Two names of one directory are one lock.
  @Test func spellingMakesNoOtherLock() throws {
    let room = try AtomicFileTests.Room()
    try AtomicFile.makeDirectory(room.path + "/b/a")
    try FileManager.default.createSymbolicLink(
      atPath: room.path + "/link", withDestinationPath: "b/a")
    try FileManager.default.createSymbolicLink(
      atPath: room.path + "/dangling", withDestinationPath: "b/new")
    for spelling in ["b/a", "b/a/", "link", "link/", "b/a/.", "b/../b/a", "link/../a"] {
      let lock = try DirectoryLock(of: "\(room.path)/\(spelling)")
      #expect(
        try AtomicFile.names(in: room.path + "/b").sorted() == [".a.lock", "a"], "\(spelling)")
      lock.release()
    }
    let lock = try DirectoryLock(of: "\(room.path)/dangling")
    #expect(FileBytes.exists(room.path + "/b/.new.lock"))
    lock.release()
  }
}
