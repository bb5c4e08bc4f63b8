import CKernels

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The label head: logits = X·Wᵀ for X (N, C), W (V, C), then the softmax, in chunks of rows so
/// that the logits of all rows never exist together.
///
/// Bit-reproducible: a row's softmax depends on its logits alone, sums run in sixteen lanes in
/// label order, weight gradients are summed over rows in order. Losses leave in nats, one Float a
/// row; sum them in Double.

/// Rows of logits that exist at a time.
package func headChunk(V: Int) -> Int { max(16, min(256, (1 << 19) / padded(V))) }

/// Floats of scratch that the head needs; see `head` for `isRowwise`.
package func headScratch(C: Int, V: Int, isRowwise: Bool = false) -> Int {
  headChunk(V: V) * padded(V) + (isRowwise || isSmallHead(C: C, V: V) ? C * padded(V) : 0)
}

/// Floats of scratch that the head with packed weights needs.
package func packedHeadScratch(C: Int, V: Int) -> Int {
  let chunk = headChunk(V: V)
  return chunk * padded(V)
    + max(
      128 * ((C + 1) / 2), (chunk + 1) / 2 * (padded(V) + padded(C)) + chunk * ((V + 1) / 2))
}

private func isSmallHead(C: Int, V: Int) -> Bool { isSmallMatmul(K: C, M: padded(V)) }

/// Log-probabilities without gradients.
///
/// - Parameters:
///   - labelLogProbabilities: (N), log p of each row's label in nats, or empty.
///   - logProbabilities: (N, V), or empty when the full rows are not wanted.
///   - labels: (N), or empty when `labelLogProbabilities` is; −1 is no label, whose log p is 0.
///   - isRowwise: whether the bits of a row may not depend on the other rows of the call.
package func head(
  labelLogProbabilities: inout MutableSpan<Float>, logProbabilities: inout MutableSpan<Float>,
  _ x: Span<Float>, _ w: Span<Float>, labels: Span<Int32>, N: Int, C: Int, V: Int,
  isRowwise: Bool = false, scratch: inout MutableSpan<Float>
) {
  let wantsLabels = labelLogProbabilities.count > 0
  let wantsRows = logProbabilities.count > 0
  precondition(
    x.count == N * C && w.count == V * C && (!wantsRows || logProbabilities.count == N * V)
      && (!wantsLabels || labelLogProbabilities.count == N && labels.count == N)
      && scratch.count >= headScratch(C: C, V: V, isRowwise: isRowwise),
    "head: x \(x.count), w \(w.count), rows \(logProbabilities.count) for N \(N), C \(C), V \(V)")
  let logits = Logits(w, packed: Span(), C: C, V: V, isRowwise: isRowwise, scratch: &scratch)
  let (perLabel, perRow, source) = (labelLogProbabilities.base, logProbabilities.base, x.base)
  for start in stride(from: 0, to: N, by: logits.chunk) {
    let count = min(logits.chunk, N - start)
    logits.compute(source + start * C, rows: count)
    for i in 0..<count {
      let row = logits.values + i * logits.stride
      let (largest, total) = softmaxSums(row, V: V)
      let normaliser = largest + logf(total)
      if wantsLabels {
        let label = checkedLabel(labels[start &+ i], V)
        perLabel[start &+ i] = label.map { row[$0] - normaliser } ?? 0
      }
      if wantsRows {
        let to = perRow + (start &+ i) &* V
        forEachVector(V) {
          to.store(row.load($0, $1) - Vector(repeating: normaliser), $0, $1)
        }
      }
    }
  }
}

/// Cross-entropy with gradients in one pass: `losses[n]` = −log p(labels[n]) in nats,
/// dX = or += scale · (p − 1[label])·W, dW = or += scale · (p − 1[label])ᵀ·X. A row without a label,
/// −1, has neither loss nor gradient.
///
/// - Parameters:
///   - packed: the packed form of W, for products of bfloat16 factors; or empty.
///   - scale: 1 / (predicted positions of the whole batch).
/// - Complexity: 6·N·C·V FLOPs.
package func headCrossEntropy(
  losses: inout MutableSpan<Float>, dX: inout MutableSpan<Float>, dW: inout MutableSpan<Float>,
  _ x: Span<Float>, _ w: Span<Float>, packed: Span<Float>, labels: Span<Int32>, N: Int, C: Int,
  V: Int, scale: Float, addingInput: Bool = false, addingWeights: Bool,
  helpers: (any Helpers)? = nil, scratch: inout MutableSpan<Float>
) {
  precondition(
    x.count == N * C && dX.count == N * C && w.count == V * C && dW.count == V * C
      && losses.count == N && labels.count == N
      && scratch.count
        >= (packed.count > 0 ? packedHeadScratch(C: C, V: V) : headScratch(C: C, V: V)),
    "headCrossEntropy: x \(x.count), w \(w.count), labels \(labels.count) for N \(N), C \(C), V \(V)"
  )
  let logits = Logits(w, packed: packed, C: C, V: V, scratch: &scratch)
  let (loss, source, gradient, weightGradient) = (losses.base, x.base, dX.base, dW.base)
  if N == 0 && !addingWeights { weightGradient.update(repeating: 0, count: V * C) }
  for start in stride(from: 0, to: N, by: logits.chunk) {
    let count = min(logits.chunk, N - start)
    logits.compute(source + start * C, rows: count, helpers)
    // An exponential takes as long as some fifty FLOPs of a product.
    inRanges(helpers, count, grain: 1, least: worthSharing(flops: 50 * V)) { rows in
      for i in rows {
        let row = logits.values + i * logits.stride
        guard let label = checkedLabel(labels[start &+ i], V) else {
          loss[start &+ i] = 0
          row.update(repeating: 0, count: logits.stride)
          continue
        }
        let atLabel = row[label]
        let (largest, total) = exponentials(row, V: V)
        loss[start &+ i] = largest + logf(total) - atLabel
        let factor = Vector(repeating: scale / total)
        forEachVector(logits.stride) { index, _ in row.store(row.vector(index) * factor, index) }
        row[label] -= scale
      }
    }
    logits.backward(
      dX: gradient + start * C, dW: weightGradient, source + start * C, w.base, rows: count,
      addingInput: addingInput, addingWeights: addingWeights || start > 0, helpers)
  }
}

@inline(__always)
private func checkedLabel(_ label: Int32, _ V: Int) -> Int? {
  if label == -1 { return nil }
  precondition(label >= 0 && Int(label) < V, "head: label \(label) of \(V)")
  return Int(label)
}

/// A chunk of logits in scratch, rows padded to whole vectors.
private struct Logits {
  let values: UnsafeMutablePointer<Float>
  let chunk: Int
  let stride: Int
  let C: Int
  let V: Int
  let isSmall: Bool
  /// W as the forward product wants it: (C, padded V) in scratch when small, else W itself.
  let forwardWeights: UnsafePointer<Float>
  let packed: PackedWeights?
  /// What the rounded factors need beside the logits.
  let room: UnsafeMutablePointer<Float>

  init(
    _ w: Span<Float>, packed: Span<Float>, C: Int, V: Int, isRowwise: Bool = false,
    scratch: inout MutableSpan<Float>
  ) {
    (self.C, self.V) = (C, V)
    chunk = headChunk(V: V)
    stride = padded(V)
    values = scratch.base
    room = values + chunk * stride
    self.packed = packed.count > 0 ? PackedWeights(packed, K: V, M: C) : nil
    isSmall = packed.count == 0 && (isRowwise || isSmallHead(C: C, V: V))
    if isSmall {
      transpose(room, targetRow: stride, w.base, sourceRow: C, rows: V, columns: C)
      forwardWeights = UnsafePointer(room)
    } else {
      forwardWeights = w.base
    }
  }

  func compute(_ x: UnsafePointer<Float>, rows: Int, _ helpers: (any Helpers)? = nil) {
    if let packed {
      product(
        values, row: stride, x, row: C, packed.backward, rows: rows, depth: C, columns: V,
        helpers: helpers, scratch: room)
    } else if isSmall {
      inRanges(helpers, rows, grain: 8, least: worthSharing(flops: 2 * C * V, grain: 8)) { range in
        smallMatmul(
          values + range.lowerBound * stride, cRow: stride,
          StridedMatrix(x + range.lowerBound * C, row: C), forwardWeights, bRow: stride,
          rows: range.count, depth: C, columns: stride, adding: false)
      }
    } else {
      libraryMatmul(
        values, cRow: stride, MatrixOperand(base: x, stride: C),
        MatrixOperand(base: forwardWeights, stride: C, transposed: true), rows: rows, depth: C,
        columns: V, adding: false)
    }
  }

  func backward(
    dX: UnsafeMutablePointer<Float>, dW: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>,
    _ w: UnsafePointer<Float>, rows: Int, addingInput: Bool, addingWeights: Bool,
    _ helpers: (any Helpers)?
  ) {
    let dLogits = UnsafePointer(values)
    if let packed {
      let pairs = (V + 1) / 2
      let factors = TransposedFactors(rows: rows, K: V, M: C, in: room + chunk * pairs)
      factors.pack(dLogits, stride: stride, x, stride: C, leftRows: room, helpers: helpers)
      together(helpers, flops: 4 * rows * C * V, (V, 64), (rows, 8)) { columns in
        factors.multiply(into: dW, columns, adding: addingWeights)
      } _: { rows in
        let to = dX + rows.lowerBound * C
        ott_bf16_product(
          to, C, addingInput ? UnsafePointer(to) : nil, nil, room + rows.lowerBound * pairs, pairs,
          1, packed.forward, pairs, C, 0, rows.count, pairs, C)
      }
      return
    }
    let work = 4 * rows * C * V
    if isSmall {
      together(helpers, flops: work, (rows, 8), (V, 8)) { rows in
        smallMatmul(
          dX + rows.lowerBound * C, cRow: C,
          StridedMatrix(dLogits + rows.lowerBound * stride, row: stride), w, bRow: C,
          rows: rows.count, depth: V, columns: C, adding: addingInput)
      } _: { labels in
        smallMatmul(
          dW + labels.lowerBound * C, cRow: C,
          StridedMatrix(dLogits + labels.lowerBound, row: 1, column: stride), x, bRow: C,
          rows: labels.count, depth: rows, columns: C, adding: addingWeights)
      }
      return
    }
    together(helpers, flops: work, (1, 1), (1, 1)) { _ in
      libraryMatmul(
        dX, cRow: C, MatrixOperand(base: dLogits, stride: stride),
        MatrixOperand(base: w, stride: C), rows: rows, depth: V, columns: C, adding: addingInput)
    } _: { _ in
      libraryMatmul(
        dW, cRow: C, MatrixOperand(base: dLogits, stride: stride, transposed: true),
        MatrixOperand(base: x, stride: C), rows: V, depth: rows, columns: C, adding: addingWeights)
    }
  }
}

/// The largest of the first V values of a padded row, whose pad is set to that floor first.
@inline(__always)
private func largest(_ row: UnsafeMutablePointer<Float>, V: Int) -> Float {
  if V & 15 != 0 {
    let tail = V & ~15
    row.store(firstLanes(V & 15, of: row.vector(tail), else: -1e30), tail)
  }
  var best = row.vector(0)
  var index = 16
  while index < V {
    best = ott_larger(best, row.vector(index))
    index &+= 16
  }
  return maximum(best)
}

/// max and Σ e^(x − max) of a padded row.
@inline(__always)
private func softmaxSums(_ row: UnsafeMutablePointer<Float>, V: Int) -> (Float, Float) {
  let top = largest(row, V: V)
  var total = Vector.zero
  forEachVector(V) { index, lanes in
    let e = exponential(row.vector(index) - Vector(repeating: top))
    total += lanes == 16 ? e : firstLanes(lanes, of: e, else: 0)
  }
  return (top, sum(total))
}

/// The same sums; leaves e^(x − max) in the row and zeros in its pad.
@inline(__always)
private func exponentials(_ row: UnsafeMutablePointer<Float>, V: Int) -> (Float, Float) {
  let top = largest(row, V: V)
  var total = Vector.zero
  forEachVector(V) { index, lanes in
    let e = exponential(row.vector(index) - Vector(repeating: top))
    let kept = lanes == 16 ? e : firstLanes(lanes, of: e, else: 0)
    total += kept
    row.store(kept, index)
  }
  return (top, sum(total))
}
