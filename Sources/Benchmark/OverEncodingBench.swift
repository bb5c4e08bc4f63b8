import Engine
import Kernels
import Models
import NGrams
import Support
import Training

/// What over-encoding costs: steps and generation of a model with tables, in turn with those of the
/// same model without.
package struct OverEncodingBench {
  /// Where the batches come from.
  package enum Source {
    /// Made-up text, read round and round.
    case sentences(Sentences)
    /// Windows of a map set of n-gram ids, in order.
    case data(TrainingData)
  }

  package let workload: Workload
  package let order: Int
  package let slices: Int
  package let moments: TableMoments
  package let threads: Int
  package let source: Source

  package init(
    _ workload: Workload, order: Int, slices: Int, moments: TableMoments, threads: Int,
    source: Source
  ) {
    (self.workload, self.order, self.slices, self.moments) = (workload, order, slices, moments)
    (self.threads, self.source) = (threads, source)
  }

  /// One size m of the tables.
  package struct Row: Sendable, Equatable {
    package let rows: Int
    package let parameters: Int
    package let steps: Int
    package let tokensPerStep: Int
    /// Medians over steps.
    package let baselineSeconds: Double
    package let seconds: Double
    /// Median over steps of the ratio to the baseline's step beside it, and its quartiles.
    package let ratio: Double
    package let lowerRatio: Double
    package let upperRatio: Double
    /// Different rows that a step touches, all tables together: mean.
    package let touchedRows: Double
    /// Bytes of tables and optimizer state by the plan, and by which this model made the process grow
    /// beyond what the baseline did.
    package let plannedBytes: Int
    package let grownBytes: Int
    /// Tokens a second of generation at each batch, baseline and this.
    package let generation: [(batch: Int, baseline: Double, rate: Double)]

    package static func == (a: Row, b: Row) -> Bool { a.cells == b.cells }

    /// Names of `cells` for these batches.
    package static func header(batches: [Int]) -> [String] {
      [
        "m", "parameters", "steps", "tokens_per_step", "baseline_ms", "step_ms", "ratio",
        "ratio_q1", "ratio_q3", "touched_rows", "planned_bytes", "grown_bytes",
      ] + batches.flatMap { ["baseline_tokens_per_s_\($0)", "tokens_per_s_\($0)"] }
    }

    package var cells: [String] {
      let digits = { (value: Double) in String((value * 1e4).rounded() / 1e4) }
      return [
        "\(rows)", "\(parameters)", "\(steps)", "\(tokensPerStep)", digits(1e3 * baselineSeconds),
        digits(1e3 * seconds), digits(ratio), digits(lowerRatio), digits(upperRatio),
        digits(touchedRows), "\(plannedBytes)", "\(grownBytes)",
      ] + generation.flatMap { [digits($0.baseline), digits($0.rate)] }
    }
  }

  /// Times `steps` steps of each after `warmup`, then generation at each of `batches`.
  ///
  /// - Throws: `UserError` when the tables do not fit in memory, or the source does not fit the model.
  package func measure(
    rows: Int, steps: Int, warmup: Int = 3, batches: [Int] = [1, 8, 64]
  ) throws -> Row {
    let base = workload.model
    let layout = try OverEncodingLayout(
      vocabulary: base.labels, order: order, slices: slices, rows: rows, width: base.width,
      moduli: .coprime)
    let input = OverEncoding(layout: layout)
    let model = try ModelConfiguration(input: input, trunk: base.trunk, outputs: base.outputs)
    let planned = input.bytes(moments: moments)
    try TableBudget.check(
      input, moments: moments, memoryBytes: Host.availableMemoryBytes, source: "ott-bench table")
    let sides = try [Batches(source, workload, nil), Batches(source, workload, layout)]
    // Resident size after a few steps less that before, for either model.
    var growth: [Int] = []
    let engines = try [base, model].enumerated().map { side, model in
      let before = Host.residentBytes
      let engine = TrainingEngine(
        model, seed: 1, lanes: workload.lanes,
        laneCapacity: workload.length * (workload.batch / workload.lanes + 1), threads: threads,
        tableMoments: moments)
      for step in 0..<warmup {
        _ = try engine.step(
          sides[side].lanes(step), learningRate: 1e-3, optimizer: OptimizerConstants())
      }
      growth.append(Host.residentBytes - before)
      return engine
    }
    var seconds: [[Double]] = [[], []]
    var touched = 0
    for step in warmup..<warmup + steps {
      for side in 0..<2 {
        // Who goes first changes from step to step.
        let side = (side + step) % 2
        let lanes = sides[side].lanes(step)
        let start = Host.monotonicSeconds
        _ = try engines[side].step(lanes, learningRate: 1e-3, optimizer: OptimizerConstants())
        seconds[side].append(Host.monotonicSeconds - start)
      }
      touched += layout.embedders.indices.reduce(0) { $0 + engines[1].tableRows($1) }
    }
    let ratios = zip(seconds[1], seconds[0]).map(/)
    let generation = batches.map { batch in
      let rates = generationRates([base, model], engines.map(\.parameters), batch: batch)
      return (batch: batch, baseline: rates[0], rate: rates[1])
    }
    return Row(
      rows: rows, parameters: model.parameterCount, steps: steps, tokensPerStep: workload.rows,
      baselineSeconds: quantile(seconds[0], 0.5), seconds: quantile(seconds[1], 0.5),
      ratio: quantile(ratios, 0.5), lowerRatio: quantile(ratios, 0.25),
      upperRatio: quantile(ratios, 0.75), touchedRows: Double(touched) / Double(steps),
      plannedBytes: planned, grownBytes: growth[1] - growth[0], generation: generation)
  }

  /// Tokens a second of both models, the better of three turns of 64 positions each.
  private func generationRates(
    _ models: [ModelConfiguration], _ stores: [ParameterStore], batch: Int
  ) -> [Double] {
    let engines = zip(models, stores).map {
      DecodingEngine($0, parameters: $1, capacity: batch)
    }
    let positions = min(64, workload.length)
    var best = models.map { _ in Double.infinity }
    for turn in 0..<3 {
      for (side, engine) in engines.enumerated() {
        let rows = models[side].input.columnRows
        let columns = rows.count
        var stream = RandomStream(seed: UInt64(turn), name: "generation")
        let inputs = (0..<positions).map { _ in
          (0..<batch * columns).map { i in
            Int32(stream.below(UInt32(rows[i % columns])))
          }
        }
        engine.reset(sequences: batch)
        let start = Host.monotonicSeconds
        for ids in inputs { engine.step(inputs: ids, tables: columns) { _ in } }
        best[side] = min(best[side], Host.monotonicSeconds - start)
      }
    }
    return best.map { Double(batch * positions) / $0 }
  }

  private func quantile(_ values: [Double], _ share: Double) -> Double {
    let sorted = values.sorted()
    return sorted[Int((share * Double(sorted.count - 1)).rounded())]
  }
}

/// The batches of a source as one model reads them.
private struct Batches {
  private let workload: Workload
  private let source: OverEncodingBench.Source
  private let mapper: OverEncodingMapper?

  init(
    _ source: OverEncodingBench.Source, _ workload: Workload, _ layout: OverEncodingLayout?
  ) throws {
    self.workload = workload
    mapper = layout.map { OverEncodingMapper($0) }
    if case .data(var data) = source {
      try data.fit(layout.map { .tables($0, .document) } ?? .tokens)
      self.source = .data(data)
    } else {
      self.source = source
    }
  }

  func lanes(_ step: Int) -> [PackedLane] {
    let columns = 1 + (mapper?.layout.embedders.count ?? 0)
    var lanes = (0..<workload.lanes).map { _ in PackedLane(tables: columns) }
    for i in 0..<workload.batch {
      let number = step * workload.batch + i
      let lane = i * workload.lanes / workload.batch
      switch source {
      case .data(let data): data.append(number % data.sentences, to: &lanes[lane])
      case .sentences(let sentences):
        append(number % sentences.count, of: sentences, to: &lanes[lane])
      }
    }
    return lanes
  }

  private func append(_ number: Int, of sentences: Sentences, to lane: inout PackedLane) {
    let ids = sentences.ids[sentences.offsets[number]..<sentences.offsets[number + 1]]
    let tokens = ids.map { UInt32(bitPattern: $0) }
    var columns = [tokens]
    if let mapper {
      var sums = [UInt64](repeating: 0, count: tokens.count)
      for e in mapper.layout.embedders.indices {
        var rows = tokens
        var sumSpan = sums.mutableSpan
        var rowSpan = rows.mutableSpan
        mapper.mapRows(embedder: e, tokens: tokens.span, sums: &sumSpan, into: &rowSpan)
        columns.append(rows)
      }
    }
    for t in 0..<tokens.count - 1 {
      lane.appendRow(label: Int32(tokens[t + 1])) { Int32(columns[$0][t]) }
    }
    lane.endSegment()
  }
}
