import Foundation
import Support
import Synchronization
import Testing

/// As much of a terminal as the board uses: what stands on its lines in the end.
private final class Terminal: Sendable {
  private struct State {
    var lines: [[Character]] = [[]]
    var row = 0
    var column = 0
  }
  private let state = Mutex(State())

  var screen: StatusBoard.Screen {
    StatusBoard.Screen(columns: { 20 }, write: { self.write(String(decoding: $0, as: UTF8.self)) })
  }

  var text: String {
    state.withLock { $0.lines.map { String($0) }.joined(separator: "\n") }
  }

  func write(_ text: String) {
    state.withLock { state in
      var rest = Array(text)[...]
      while let character = rest.popFirst() {
        switch character {
        case "\r": state.column = 0
        case "\n":
          (state.row, state.column) = (state.row + 1, 0)
          if state.row == state.lines.count { state.lines.append([]) }
        case "\u{1B}":
          let body = rest.prefix { !$0.isLetter }
          rest = rest.dropFirst(body.count)
          switch rest.popFirst() {
          case "A": state.row -= Int(String(body.dropFirst())) ?? 1
          case "J":
            state.lines[state.row] = Array(state.lines[state.row].prefix(state.column))
            state.lines.removeLast(state.lines.count - state.row - 1)
          default: Issue.record("another sequence: \(body)")
          }
        default:
          state.lines[state.row] = Array(state.lines[state.row].prefix(state.column)) + [character]
          state.column += 1
        }
      }
    }
  }
}

@Suite struct StatusBoardTests {
  private let path = NSTemporaryDirectory() + "board-" + UUID().uuidString
  private let terminal = Terminal()

  private func board(_ process: Int32) -> StatusBoard {
    StatusBoard(path: path, screen: terminal.screen, process: process)
  }

  @Test func processesHaveALineEachAndMessagesStandAbove() {
    // Two that are alive.
    let (one, two) = (board(getpid()), board(getppid()))
    terminal.write("$ make\n")
    one.show("train a 1/9")
    #expect(terminal.text == "$ make\ntrain a 1/9")
    two.show("train b 1/9")
    one.show("train a 2/9")
    #expect(terminal.text == "$ make\ntrain a 2/9\ntrain b 1/9")
    two.above { terminal.write("map: done\n") }
    #expect(terminal.text == "$ make\nmap: done\ntrain a 2/9\ntrain b 1/9")
    // Longer than the terminal is wide: cut, so that a line is a line.
    one.show("train a 3/9 and much more than fits")
    #expect(terminal.text == "$ make\nmap: done\ntrain a 3/9 and muc\ntrain b 1/9")
    one.show("a")
    one.show(nil)
    #expect(terminal.text == "$ make\nmap: done\ntrain b 1/9")
    one.show(nil)
    two.above { terminal.write("b: done\n") }
    two.show(nil)
    #expect(terminal.text == "$ make\nmap: done\nb: done\n")
    #expect(!FileBytes.exists(path))
    // Without lines nothing is kept, and messages go out all the same.
    one.above { terminal.write("end\n") }
    #expect(terminal.text.hasSuffix("b: done\nend\n") && !FileBytes.exists(path))
  }

  @Test func whoIsGoneLeavesNoLine() throws {
    let ended = Process()
    ended.executableURL = URL(fileURLWithPath: "/bin/true")
    try ended.run()
    ended.waitUntilExit()
    let (gone, here) = (board(ended.processIdentifier), board(getpid()))
    here.show("here")
    gone.show("gone")
    #expect(terminal.text == "here\ngone")
    here.show("here 2")
    #expect(terminal.text == "here 2")
    here.show(nil)
    #expect(terminal.text == "")
    // What a session that was killed has left is no part of this screen.
    gone.show("gone")
    terminal.write("\nkilled\n$ make\n")
    here.show("again")
    #expect(terminal.text == "gone\nkilled\n$ make\nagain")
    here.show(nil)
  }

  @Test func somebodyElsesFileIsLeftAlone() throws {
    let target = path + "-target"
    try AtomicFile.write("3\n", to: target)
    #expect(symlink(target, path) == 0)
    let one = board(getpid())
    one.show("line")
    one.above { terminal.write("message\n") }
    #expect(terminal.text == "message\n")
    #expect(try FileBytes.read(target) == Array("3\n".utf8))
    unlink(path)
    unlink(target)
  }

  @Test func manyAtOnceKeepTheScreenWhole() async {
    let path = path
    let terminal = terminal
    await withTaskGroup(of: Void.self) { group in
      for process in [getpid(), getppid()] {
        group.addTask {
          let own = StatusBoard(path: path, screen: terminal.screen, process: process)
          for step in 1...100 {
            own.show("\(process) \(step)")
            if step % 25 == 0 { own.above { terminal.write("\(process) at \(step)\n") } }
          }
          own.show(nil)
        }
      }
    }
    let lines = terminal.text.split(separator: "\n").map(String.init)
    let expected = [getpid(), getppid()].flatMap { process in
      [25, 50, 75, 100].map { "\(process) at \($0)" }
    }
    #expect(lines.sorted() == expected.sorted())
  }
}
