import Support

/// Several figures at one scale, whose runs are counted once however many of them show them.
package struct SharedPlan {
  package let plans: [Plan]
  /// Of each figure: its stale nodes that no figure before it has.
  private let own: [[Int]]

  /// - Parameter plans: in the order of the table.
  package init(_ plans: [Plan]) {
    self.plans = plans
    var known: Set<String> = []
    own = plans.map { plan in
      plan.graph.nodes.indices.filter {
        known.insert(plan.graph.nodes[$0].id).inserted && plan.states[$0].isStale
      }
    }
  }

  /// Stage runs of all figures that are still to do.
  package var stale: Int { own.reduce(0) { $0 + $1.count } }

  /// Σ over them, on one thread; memory is that of the largest.
  package var remaining: Cost {
    zip(plans, own).reduce(Cost()) { sum, part in
      part.1.reduce(sum) { $0 + part.0.costs[$1] }
    }
  }

  /// A line a figure, and the totals.
  package var text: String {
    var table = TextTable(["figure", "stage runs", "to do", "not in those above", "time", "title"])
    for (plan, own) in zip(plans, own) {
      let seconds = own.reduce(0) { $0 + plan.costs[$1].seconds(threads: Self.workers(plan)) }
      table.add([
        plan.graph.experiment.figure, String(plan.states.count),
        String(plan.states.count(where: \.isStale)), String(own.count),
        own.isEmpty ? "-" : Quantity.time(seconds), plan.graph.experiment.title,
      ])
    }
    if stale == 0 { return table.text + "\nNothing to run: every output is there.\n" }
    let seconds = zip(plans, own).reduce(0.0) { sum, part in
      sum + part.1.reduce(0) { $0 + part.0.costs[$1].seconds(threads: Self.workers(part.0)) }
    }
    return table.text
      + "\nTo run: \(stale) stage runs, \(Quantity.flops(remaining.flops)), "
      + "\(Quantity.bytes(remaining.diskBytes)) of disk, about \(Quantity.time(seconds)).\n"
      + "Times are estimates from a calibration of \(Host.cpuModel).\n"
  }

  private static func workers(_ plan: Plan) -> Int { plan.jobs * plan.threads }
}
