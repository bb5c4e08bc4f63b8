import Engine
import Testing

/// An operation that is whatever a test needs.
private struct Described: Operation {
  var name = "made up"
  var inputs: [Tensor] = []
  var constants: [Tensor] = []
  var outputs: [Tensor] = []
  var auxiliary: [Tensor] = []
  var parameters: [Parameter] = []
  var saved: [Tensor] = []
  var sharingValue: Tensor?
  var addable = true
  var parametersAddedTogether = false

  func canAdd(toInput index: Int) -> Bool { addable }
  func flops(position: Double) -> Double { 0 }
}

/// 2X and 3X: two outputs with gradients.
private struct Multiples: CPUOperation {
  let input, twice, thrice: Tensor

  var name: String { "multiples" }
  var inputs: [Tensor] { [input] }
  var outputs: [Tensor] { [twice, thrice] }
  var parameters: [Parameter] { [] }
  var saved: [Tensor] { [] }
  func flops(position: Double) -> Double { 0 }

  func forward(_ w: borrowing Workspace) {
    let (x, y, z) = (w.value(input), w.value(twice), w.value(thrice))
    for i in x.indices { (y[i], z[i]) = (2 * x[i], 3 * x[i]) }
  }

  func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    let (dX, dY, dZ) = (w.gradient(input), w.gradient(twice), w.gradient(thrice))
    for i in dX.indices {
      dX[i] = (accumulation.addsInput(0) ? dX[i] : 0) + 2 * dY[i] + 3 * dZ[i]
    }
  }
}

private func refusal(
  _ mode: GraphMode = .training, _ trace: (inout GraphBuilder) -> Void
) -> String {
  var g = GraphBuilder(mode: mode)
  trace(&g)
  do {
    _ = try Plan(checking: g, limits: Limits(rows: 8, segment: 8))
    return "none"
  } catch {
    return error.description
  }
}

/// A source, and a loss of what `body` makes of it.
private func graph(
  _ g: inout GraphBuilder, _ body: (inout GraphBuilder, Tensor) -> Tensor
) {
  let x = g.tensor(columns: 4)
  g.append(Described(name: "source", outputs: [x]))
  let y = body(&g, x)
  let loss = g.tensor(columns: 1)
  g.append(Described(name: "end", inputs: [y], outputs: [loss]))
  g.addLoss("next", loss)
}

@Suite struct PlanCheckTests {
  @Test func aRightGraphIsPlanned() {
    #expect(refusal { graph(&$0) { $1 } } == "none")
  }

  @Test func anOutputThatNobodyReadsIsRefused() {
    let text = refusal {
      graph(&$0) { g, x in
        let (y, z) = (g.tensor(columns: 4), g.tensor(columns: 4))
        g.append(Described(inputs: [x], outputs: [y, z]))
        return y
      }
    }
    #expect(text.contains("output 1 of 'made up' (operation 1) is no loss and nothing reads it"))
  }

  /// The gradient of a second output is written long before its producer reads it: nothing may lie in
  /// its place meanwhile.
  @Test func theGradientOfASecondOutputLivesUntilItsProducer() throws {
    var g = GraphBuilder(mode: .training)
    let table = g.parameter("table", [7, 16], .normal(0.5))
    let x = g.embeddingSum(tables: [table], positions: nil, columns: 16)
    let (twice, thrice) = (g.tensor(columns: 16), g.tensor(columns: 16))
    g.append(Multiples(input: x, twice: twice, thrice: thrice))
    var y = twice
    for i in 0..<4 { y = g.linear(y, to: 16, named: "f\(i)", deviation: 0.3) }
    let z = g.linear(y, to: 16, named: "end", deviation: 0.3, residual: thrice)
    g.addLoss("next", g.labelHead(z, weight: table, labels: 7))
    let engine = try makeEngine(g, limits: Limits(rows: 16, segment: 16))
    var lane = PackedLane(tables: 1)
    for t in 0..<11 { lane.appendRow(label: Int32(t % 7)) { _ in Int32(t * t % 7) } }
    lane.endSegment()
    try checkGradients(engine, [lane])
  }

  @Test func whatCannotAddIsRefusedWhenItWouldHaveTo() {
    let text = refusal {
      graph(&$0) { g, x in
        let y = g.tensor(columns: 4)
        g.append(Described(inputs: [x], outputs: [y], addable: false))
        let z = g.tensor(columns: 4)
        g.append(Described(name: "sum", inputs: [x, y], outputs: [z]))
        return z
      }
    }
    #expect(text.contains("cannot add to the gradient of its input 0"))
  }

  @Test func parametersThatAreAddedTogetherAreSharedTogether() {
    let text = refusal {
      graph(&$0) { g, x in
        let (a, b) = (g.parameter("a", [4], .ones), g.parameter("b", [4], .ones))
        let (y, z) = (g.tensor(columns: 4), g.tensor(columns: 4))
        g.append(
          Described(inputs: [x], outputs: [y], parameters: [a, b], parametersAddedTogether: true))
        g.append(Described(name: "later", inputs: [y], outputs: [z], parameters: [b]))
        return z
      }
    }
    #expect(text.contains("shares some of its parameters"))
  }

  @Test func faultsOfDescriptionsAreNamed() {
    let cases: [(String, (inout GraphBuilder, Tensor) -> Tensor)] = [
      (
        "reads a tensor twice",
        { g, x in
          let y = g.tensor(columns: 4)
          g.append(Described(inputs: [x], constants: [x], outputs: [y]))
          return y
        }
      ),
      (
        "which no operation before it writes",
        { g, x in
          let (y, z) = (g.tensor(columns: 4), g.tensor(columns: 4))
          g.append(Described(inputs: [x, z], outputs: [y]))
          return y
        }
      ),
      (
        "which is another's or was never declared",
        { g, x in
          g.append(Described(outputs: [x]))
          return x
        }
      ),
      (
        "saves tensor 1, which is neither",
        { g, x in
          let (other, y) = (g.tensor(columns: 4), g.tensor(columns: 4))
          g.append(Described(inputs: [x], outputs: [y], saved: [other]))
          return y
        }
      ),
      (
        "which its producer calls auxiliary",
        { g, x in
          let (y, z) = (g.tensor(columns: 4), g.tensor(columns: 4))
          g.append(Described(name: "first", outputs: [y], auxiliary: [y]))
          g.append(Described(inputs: [x, y], outputs: [z]))
          return z
        }
      ),
      (
        "shares the place of a tensor of another shape",
        { g, x in
          let y = g.tensor(columns: 8)
          g.append(Described(inputs: [x], outputs: [y], sharingValue: x))
          return y
        }
      ),
      (
        "shares the place of a tensor of another shape",
        { g, x in
          let y = g.tensor(columns: 4, space: g.space(.multiple(of: .positions, 2)))
          g.append(Described(inputs: [x], outputs: [y], sharingValue: x))
          return y
        }
      ),
      (
        "parameter idle is read by no operation",
        { g, x in
          _ = g.parameter("idle", [3, 3], .zeros)
          return x
        }
      ),
    ]
    for (expected, body) in cases {
      let text = refusal { graph(&$0, body) }
      #expect(text.contains(expected), "\(text)")
    }
  }

  @Test func lossesAreChecked() {
    func loss(_ name: String, columns: Int = 1, weight: Double = 1) -> String {
      refusal { g in
        graph(&g) { g, x in
          let other = g.tensor(columns: columns)
          g.append(Described(inputs: [x], outputs: [other]))
          g.addLoss(name, other, weight: weight)
          return x
        }
      }
    }
    #expect(loss("second") == "none")
    #expect(loss("next").contains("names and tensors of their own"))
    #expect(loss("").contains("needs a name"))
    #expect(loss("second", weight: .nan).contains("finite weight, not nan"))
    #expect(loss("second", columns: 2).contains("has 2 columns"))
    #expect(refusal { _ in } == "training needs a loss")
    #expect(refusal(.scoring) { _ in } == "none")
    let read = refusal { g in
      graph(&g) { g, x in
        let (other, y) = (g.tensor(columns: 1), g.tensor(columns: 4))
        g.append(Described(outputs: [other]))
        g.addLoss("read", other)
        g.append(Described(inputs: [x, other], outputs: [y]))
        return y
      }
    }
    #expect(read.contains("is no end of the graph"))
  }

  @Test func anOperationWithoutKernelsIsRefused() {
    var g = GraphBuilder(mode: .training)
    graph(&g) { $1 }
    let plan = Plan(g, limits: Limits(rows: 8, segment: 8))
    let error = #expect(throws: PlanError.self) { try CPUProgram(checking: plan) }
    #expect(error?.description == "'source' has no kernels for the CPU")
  }

  @Test func limitsNameEverySpaceThatIsGiven() {
    let text = refusal { g in
      _ = g.space(.given)
      graph(&g) { $1 }
    }
    #expect(text == "limits of 0 given spaces for 1")
  }
}
