import Kernels

extension OverEncodingSum: CPUOperation {
  package func scratch(_ limits: Limits) -> Int { productScratch(K: K, M: C, limits) }

  package func forward(_ w: borrowing Workspace) {
    w.linear(into: output, rows, weight: projection)
    var x = w.value(output).mutableSpan
    if tableScale != 1 { multiply(&x, by: tableScale) }
    let (ids, width) = w.ids(of: output)
    if let tokens {
      embedding(
        into: &x, w.weight(tokens).span, IDColumn(ids.span, width: width), C: C,
        adding: true)
    }
    if let base { add(w.value(base).span, to: &x) }
    if scale != 1 { multiply(&x, by: scale) }
    if let positions {
      embedding(
        into: &x, w.weight(positions).span, IDColumn(w.positions(of: output).span), C: C,
        adding: true)
    }
  }

  package func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    let dX = w.gradient(output)
    let (ids, width) = w.ids(of: output)
    if let positions {
      var dPositions = w.gradient(positions).mutableSpan
      embeddingBackward(
        into: &dPositions, dX.span, IDColumn(w.positions(of: output).span), C: C,
        adding: accumulation.addsParameter(tokens == nil ? 1 : 2))
    }
    // Nothing else reads dX: from here on it is the gradient of the sum, then that of the product.
    if scale != 1 {
      var dSum = dX.mutableSpan
      multiply(&dSum, by: scale)
    }
    if let tokens {
      var dTokens = w.gradient(tokens).mutableSpan
      embeddingBackward(
        into: &dTokens, dX.span, IDColumn(ids.span, width: width), C: C,
        adding: accumulation.addsParameter(1))
    }
    if let base {
      var dBase = w.gradient(base).mutableSpan
      if accumulation.addsInput(1) { add(dX.span, to: &dBase) } else { copy(dX.span, into: &dBase) }
    }
    if tableScale != 1 {
      var dProduct = dX.mutableSpan
      multiply(&dProduct, by: tableScale)
    }
    w.linearBackward(
      output, input: rows, weight: projection, addsInput: accumulation.addsInput(0),
      addsWeight: accumulation.addsParameter(0))
  }
}
