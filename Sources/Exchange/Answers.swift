import Checkpoints
import Evaluation
import Models
import Support

/// What a run itself says to prompts, token by token with cached attention, to compare an export with: a
/// safetensors file of
///
///     logProbabilities  F32 (rows, V)    of the next token behind every token of every prompt, in nats
///     generated         U32 (prompts, n) the most probable tokens behind each prompt, of equals the first;
///                                        behind the end of the document `none`
package struct Answers {
  /// Where no token stands.
  package static let none = UInt32.max
  /// Bytes of the log-probabilities that are held, at most.
  private static let mostBytes = 1 << 31

  private let run: FinishedRun
  private let prompts: [[UInt32]]
  private let count: Int

  /// - Parameters:
  ///   - prompts: a file of lines of token ids with spaces between them, one prompt a line.
  ///   - count: n, tokens to generate at most.
  /// - Throws: `UserError` for a file of anything else, and for prompts that do not fit the model.
  package init(_ run: FinishedRun, prompts path: String, count: Int) throws {
    (self.run, self.count) = (run, count)
    let context = run.model.context
    var prompts: [[UInt32]] = []
    for (i, line) in try FileBytes.read(path).split(separator: UInt8(ascii: "\n")).enumerated() {
      let place = "\(path): line \(i + 1)"
      let prompt = try line.split(separator: UInt8(ascii: " ")).map { word in
        let text = String(decoding: word, as: UTF8.self)
        guard let id = UInt32(text), Int(id) < run.rows.vocabulary else {
          throw UserError(
            place, expected: "token ids below \(run.rows.vocabulary)", found: "'\(text)'")
        }
        return id
      }
      guard !prompt.isEmpty, prompt.count + count <= context + 1 else {
        throw UserError(
          place,
          expected: "1 to \(context + 1 - count) tokens, so that \(count) more fit the context",
          found: "\(prompt.count)")
      }
      if let begin = run.begin,
        prompt[0] != UInt32(begin) || prompt.dropFirst().contains(where: { $0 < 2 })
      {
        throw UserError(
          place, expected: "a sentence that begins with \(begin), and no mark behind it",
          found: "another")
      }
      prompts.append(prompt)
    }
    let rows = prompts.reduce(0) { $0 + $1.count }
    guard !prompts.isEmpty, rows <= Self.mostBytes / (4 * run.model.labels) else {
      throw UserError(
        path, expected: "1 to \(Self.mostBytes / (4 * run.model.labels)) tokens", found: "\(rows)")
    }
    self.prompts = prompts
  }

  /// Generates, and writes the file.
  package func write(to path: String) throws {
    try OutputPath.require(file: path, apartFrom: run.sources)
    try run.index.verify(run.snapshot)
    let model = EngineModel(run.model, fGrams: run.rows.fGrams, threads: 1)
    try model.load(run.index.path(of: run.snapshot))
    let (logProbabilities, generated) = try answers(of: model)
    try logProbabilities.withUnsafeBufferPointer { values in
      _ = try SafeTensors.write(
        to: path, metadata: ["run": run.index.id, "step": "\(run.snapshot.step)"],
        tensors: [
          SafeTensors.Tensor(
            name: "logProbabilities", shape: [values.count / run.model.labels, run.model.labels],
            values: values),
          SafeTensors.Tensor(
            name: "generated", dtype: .uint32, shape: [prompts.count, count]
          ) { append in try generated.flatMap { $0 }.withUnsafeBytes(append) },
        ])
    }
  }

  /// A prompt that is read, then continued.
  private struct Live {
    let prompt: Int
    var read = 0
  }

  /// All prompts side by side; those that are through leave.
  private func answers(of model: EngineModel) throws -> ([Float], [[UInt32]]) {
    let V = run.model.labels
    var starts = [0]
    for prompt in prompts { starts.append(starts[starts.count - 1] + prompt.count) }
    var result = [Float](repeating: 0, count: starts[prompts.count] * V)
    var generated = [[UInt32]](repeating: [], count: prompts.count)
    var live = prompts.indices.map { Live(prompt: $0) }
    let session = try LabelTokenSession(model, run.rows, sequences: live.count)
    while !live.isEmpty {
      try Interruption.check()
      let tokens = live.map { one in
        let prompt = prompts[one.prompt]
        return one.read < prompt.count
          ? prompt[one.read] : generated[one.prompt][one.read - prompt.count]
      }
      var goesOn = [Bool](repeating: true, count: live.count)
      try session.advance(tokens) { logProbabilities in
        for i in live.indices {
          live[i].read += 1
          let (n, prompt) = (live[i].prompt, prompts[live[i].prompt])
          let row = logProbabilities[(i * V)..<((i + 1) * V)]
          if live[i].read <= prompt.count {
            let place = (starts[n] + live[i].read - 1) * V
            result.replaceSubrange(place..<(place + V), with: row)
          }
          guard live[i].read >= prompt.count else { continue }
          if generated[n].count < count { generated[n].append(Self.largest(row)) }
          goesOn[i] =
            generated[n].count < count && !run.ends.contains { UInt32($0) == generated[n].last }
        }
      }
      try session.retain { goesOn[$0] }
      live = zip(live, goesOn).filter(\.1).map(\.0)
    }
    return (
      result,
      generated.map { $0 + [UInt32](repeating: Self.none, count: count - $0.count) }
    )
  }

  /// The first of the largest.
  private static func largest(_ row: Slice<UnsafeBufferPointer<Float>>) -> UInt32 {
    var best = row.startIndex
    for k in row.indices where row[k] > row[best] { best = k }
    return UInt32(best - row.startIndex)
  }
}
