import Foundation
import Support

/// The parent of the worker processes: starts them, watches them, and keeps what ended them.
package struct FuzzCampaign {
  /// The executable whose command `worker` reads inputs.
  private let program: String
  private let seed: UInt64
  private let workers: Int
  private let scratch: String
  private let findings: String

  private var rows: [String] = []
  private var problems = 0
  private var total: UInt64 = 0

  /// Seconds without a new input after which a reader hangs.
  private static let patience = 20.0

  /// - Parameters:
  ///   - program: an executable whose command `worker` calls `FuzzWorker.run`.
  ///   - scratch: a folder for what the processes share.
  ///   - findings: a folder for inputs that ended a worker.
  package init(program: String, seed: UInt64, workers: Int, scratch: String, findings: String) {
    self.program = program
    self.seed = seed
    self.workers = workers
    self.scratch = scratch
    self.findings = findings
  }

  private struct Counts {
    var accepted: UInt64 = 0
    var refused: UInt64 = 0
    var crashes = 0
    var hangs = 0
  }

  /// Fuzzes one reader and prints its line.
  package mutating func fuzz(_ name: String, seconds: Double) throws {
    let start = Host.monotonicSeconds
    var lanes: [Lane] = []
    for number in 0..<workers {
      lanes.append(
        try Lane(number: number, of: workers, state: "\(scratch)/state-\(name)-\(number)"))
      try lanes[number].launch(program, name, seed: seed, seconds: seconds)
    }
    var counts = Counts()
    while lanes.contains(where: { !$0.isDone }) {
      usleep(20_000)
      for number in lanes.indices where !lanes[number].isDone {
        let left = seconds - (Host.monotonicSeconds - start)
        try watch(&lanes[number], name, secondsLeft: left, &counts)
      }
      if Interruption.requested { for lane in lanes { lane.stop() } }
    }
    for lane in lanes {
      counts.accepted += lane.state.accepted
      counts.refused += lane.state.refused
    }
    report(name, counts, seconds: Host.monotonicSeconds - start)
  }

  private func watch(
    _ lane: inout Lane, _ name: String, secondsLeft: Double, _ counts: inout Counts
  ) throws {
    if lane.isRunning {
      guard lane.hangs(after: FuzzCampaign.patience) else { return }
      lane.stop()
      counts.hangs += 1
      try keep(name, lane.state.current, "no answer in \(FuzzCampaign.patience) s")
    } else if lane.status == 0 || Interruption.requested {
      lane.isDone = true
      return
    } else {
      counts.crashes += 1
      try keep(name, lane.state.current, lane.ending)
    }
    guard secondsLeft > 0.5 else {
      lane.isDone = true
      return
    }
    try lane.launch(program, name, seed: seed, seconds: secondsLeft, isBehind: true)
  }

  /// Keeps the input that ended a worker.
  private func keep(_ name: String, _ number: UInt64, _ problem: String) throws {
    let directory = try ScratchDirectory()
    let target = try FuzzTargets.named(name, directory)
    try AtomicFile.makeDirectory(findings)
    let path = "\(findings)/\(name)-\(seed)-\(number)"
    try AtomicFile.write(target.input(number, target.mutator(seed: seed)).bytes, to: path)
    say("\(name) input \(number): \(problem); kept as \(path)")
  }

  private mutating func report(_ name: String, _ counts: Counts, seconds: Double) {
    let inputs = counts.accepted + counts.refused + UInt64(counts.crashes + counts.hangs)
    let rate = Double(inputs) / seconds
    let label = name + String(repeating: " ", count: max(0, 15 - name.count))
    let millions = [inputs, counts.refused, counts.accepted].map { Double($0) / 1e6 }
    say(
      label
        + String(
          format: "%8.3f M  %8.3f M  %8.3f M  %8.0f  %7d  %5d", millions[0], millions[1],
          millions[2], rate, counts.crashes, counts.hangs))
    rows.append(
      "\(name),\(seed),\(inputs),\(counts.refused),\(counts.accepted),\(counts.crashes),"
        + "\(counts.hangs),\(String(format: "%.1f", seconds))")
    total += inputs
    problems += counts.crashes + counts.hangs
  }

  /// Prints the sum, writes the CSV, and fails when something was found.
  package func finish(csv path: String?) throws {
    say(
      String(format: "all            %8.3f M inputs, %d findings", Double(total) / 1e6, problems))
    if let path {
      try AtomicFile.makeDirectory(AtomicFile.parent(of: path))
      let heading = "reader,seed,inputs,refused,accepted,crashes,hangs,seconds\n"
      try AtomicFile.write(heading + rows.joined(separator: "\n") + "\n", to: path)
    }
    guard problems == 0 else {
      throw UserError(
        "\(problems) findings", expected: "readers that return or refuse", found: findings,
        remedy: "Mend the reader and keep the input as a test (Tests/FuzzingTests/Resources).")
    }
  }
}

/// One worker after another on every `workers`-th input.
private struct Lane {
  let state: FuzzState
  var isDone = false
  private let number: Int
  private let stride: Int
  private let statePath: String
  private var process: ChildProcess?
  private var seen: UInt64 = 0
  private var seenAt = 0.0

  init(number: Int, of stride: Int, state path: String) throws {
    self.number = number
    self.stride = stride
    statePath = path
    state = try FuzzState(path: path)
  }

  var isRunning: Bool { process?.isRunning ?? false }
  var status: Int32 { process?.poll()?.status ?? 0 }

  var ending: String {
    if case .signalled(let signal)? = process?.poll() {
      "signal \(signal)"
    } else {
      "status \(status)"
    }
  }

  mutating func launch(
    _ program: String, _ name: String, seed: UInt64, seconds: Double, isBehind: Bool = false
  ) throws {
    let first = isBehind ? state.current + UInt64(stride) : UInt64(number)
    seen = .max
    seenAt = Host.monotonicSeconds
    // A trap writes a long backtrace; the parent says what is worth knowing.
    process = try ChildProcess(
      program,
      [
        "worker", name, "--seed", "\(seed)", "--first", "\(first)", "--stride", "\(stride)",
        "--seconds", "\(seconds)", "--state", statePath,
      ],
      environment: ProcessInfo.processInfo.environment.merging(["SWIFT_BACKTRACE": "enable=no"]) {
        $1
      })
  }

  mutating func hangs(after patience: Double) -> Bool {
    let now = Host.monotonicSeconds
    if state.current != seen {
      seen = state.current
      seenAt = now
    }
    return now - seenAt > patience
  }

  func stop() { process?.send(SIGKILL) }
}

/// Prints a line at once, also into a file: a campaign takes minutes.
package func say(_ line: String) {
  FileHandle.standardOutput.write(Data((line + "\n").utf8))
}
