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
  /// Where counts are added up; nil for nowhere but here.
  private let output: String?

  private var table = FuzzTable()
  private var sums: [String: FuzzCounts] = [:]

  /// Seconds of computing on one input after which a reader hangs: a busy machine is no hang.
  private static let patience = 20.0
  /// Seconds without a new input after which it hangs though it does not compute.
  private static let longestWait = 600.0
  /// Seconds after which counts are added to the file, at most: what an end by force can lose.
  private static let longestSlice = 60.0

  /// - Parameters:
  ///   - program: an executable whose command `worker` calls `FuzzWorker.run`.
  ///   - scratch: a folder for what the processes share.
  ///   - findings: a folder for inputs that ended a worker.
  ///   - output: a CSV that the counts are added to.
  /// - Throws: `UserError` when the CSV is another file.
  package init(
    program: String, seed: UInt64, workers: Int, scratch: String, findings: String, output: String?
  ) throws {
    self.program = program
    self.seed = seed
    self.workers = workers
    self.scratch = scratch
    self.findings = findings
    self.output = output
    if let output { table = try FuzzTable(path: output) }
  }

  /// Fuzzes each of `readers` for the same share of `seconds`, or until `goal` inputs of it are counted
  /// in the table; prints a line of each.
  package mutating func fuzz(_ readers: [String], seconds: Double, goal: UInt64?) throws {
    let share = seconds / Double(readers.count)
    let slices = max(1, Int((share / FuzzCampaign.longestSlice).rounded(.up)))
    StandardOutput.say(FuzzCampaign.heading)
    for reader in readers {
      for _ in 0..<slices where goal.map({ table.inputs(reader) < $0 }) ?? true {
        let (counts, end) = try slice(reader, seconds: share / Double(slices))
        if let output {
          table = try FuzzTable.add(counts, reader: reader, seed: seed, end: end, to: output)
        } else {
          table.add(counts, reader: reader, seed: seed, end: end)
        }
        sums[reader, default: FuzzCounts()] += counts
        try Interruption.check()
      }
      if let counts = sums[reader] { report(reader, counts) }
    }
  }

  /// Fuzzes one reader behind the last input that the table knows of; returns what it made of them, and
  /// the number of the first input that was not reached.
  private func slice(_ name: String, seconds: Double) throws -> (FuzzCounts, end: UInt64) {
    let start = Host.monotonicSeconds
    let first = table.end(name, seed: seed)
    var lanes: [Lane] = []
    for number in 0..<workers {
      lanes.append(
        try Lane(
          first: first + UInt64(number), stride: UInt64(workers),
          state: "\(scratch)/state-\(name)-\(number)"))
      try lanes[number].launch(program, name, seed: seed, seconds: seconds)
    }
    var counts = FuzzCounts()
    while lanes.contains(where: { !$0.isDone }) {
      usleep(20_000)
      for number in lanes.indices where !lanes[number].isDone {
        let left = seconds - (Host.monotonicSeconds - start)
        try watch(&lanes[number], name, secondsLeft: left, &counts)
      }
      if Interruption.requested { for lane in lanes { lane.stop() } }
    }
    var end = first
    for lane in lanes {
      counts.accepted += lane.state.accepted
      counts.refused += lane.state.refused
      end = max(end, lane.state.current + 1)
    }
    counts.inputs = counts.accepted + counts.refused + counts.crashes + counts.hangs
    counts.seconds = Host.monotonicSeconds - start
    return (counts, end)
  }

  private func watch(
    _ lane: inout Lane, _ name: String, secondsLeft: Double, _ counts: inout FuzzCounts
  ) throws {
    if lane.isRunning {
      guard lane.hangs(after: FuzzCampaign.patience, or: FuzzCampaign.longestWait) else { return }
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
    StandardOutput.say("\(name) input \(number): \(problem); kept as \(path)")
  }

  private static let heading =
    "reader             inputs     refused    accepted  inputs/s  crashes  hangs  all inputs"

  private func report(_ name: String, _ counts: FuzzCounts) {
    let label = name + String(repeating: " ", count: max(0, 15 - name.count))
    let millions = [counts.inputs, counts.refused, counts.accepted].map { Double($0) / 1e6 }
    let rate = Double(counts.inputs) / max(counts.seconds, 1e-3)
    StandardOutput.say(
      label
        + String(
          format: "%8.3f M  %8.3f M  %8.3f M  %8.0f  %7ld  %5ld  %8.3f M", millions[0],
          millions[1], millions[2], rate, Int(counts.crashes), Int(counts.hangs),
          Double(table.inputs(name)) / 1e6))
  }

  /// Prints the sum, and fails when something was found.
  package func finish() throws {
    let total = sums.values.reduce(into: FuzzCounts()) { $0 += $1 }
    let problems = Int(total.crashes + total.hangs)
    StandardOutput.say(
      String(
        format: "all            %8.3f M inputs, %ld findings", Double(total.inputs) / 1e6, problems)
    )
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
  private let first: UInt64
  private let stride: UInt64
  private let statePath: String
  private var process: ChildProcess?
  private var seen: UInt64 = 0
  private var seenAt = 0.0
  /// CPU time of the process when the input was first seen.
  private var seenAfter = 0.0

  init(first: UInt64, stride: UInt64, state path: String) throws {
    self.first = first
    self.stride = stride
    statePath = path
    state = try FuzzState(path: path)
    state.reset(to: first)
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
    let next = isBehind ? state.current + stride : first
    seen = .max
    seenAt = Host.monotonicSeconds
    seenAfter = 0
    // A trap writes a long backtrace; the parent says what is worth knowing.
    process = try ChildProcess(
      program,
      [
        "worker", name, "--seed", "\(seed)", "--first", "\(next)", "--stride", "\(stride)",
        "--seconds", "\(seconds)", "--state", statePath,
      ],
      environment: ProcessInfo.processInfo.environment.merging(["SWIFT_BACKTRACE": "enable=no"]) {
        $1
      })
  }

  /// Whether the current input has taken `patience` seconds of computing, or `longestWait` seconds.
  mutating func hangs(after patience: Double, or longestWait: Double) -> Bool {
    let now = Host.monotonicSeconds
    let computed = process.flatMap { Host.cpuSeconds(of: $0.id) } ?? 0
    if state.current != seen {
      (seen, seenAt, seenAfter) = (state.current, now, computed)
    }
    return computed - seenAfter > patience || now - seenAt > longestWait
  }

  func stop() { process?.send(SIGKILL) }
}
