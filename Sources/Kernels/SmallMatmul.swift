import CKernels

/// Matrix products whose right factor fits the first caches: a register tile over unpacked rows.
/// Every element is one chain of fused multiply-adds in the order of k, whatever the tile that
/// computes it, so its bits depend neither on the number of rows nor on the machine.

/// Some vectors side by side in registers.
protocol Strip {
  static var width: Int { get }
  init()
  init(_ source: UnsafePointer<Float>)
  mutating func add(_ factor: Float, times other: Self)
  func store(_ target: UnsafeMutablePointer<Float>)
  func storeSum(_ target: UnsafeMutablePointer<Float>)
}

struct Strip1: Strip {
  var a: Vector
  static var width: Int { 16 }
  @inline(__always) init() { a = .zero }
  @inline(__always) init(_ source: UnsafePointer<Float>) { a = source.vector(0) }
  @inline(__always) mutating func add(_ factor: Float, times other: Self) {
    a = a.plus(Vector(repeating: factor), other.a)
  }
  @inline(__always) func store(_ target: UnsafeMutablePointer<Float>) { target.store(a, 0) }
  @inline(__always) func storeSum(_ target: UnsafeMutablePointer<Float>) {
    target.store(target.vector(0) + a, 0)
  }
}

/// Two strips side by side.
struct Pair<Half: Strip>: Strip {
  var a: Half
  var b: Half
  static var width: Int { 2 &* Half.width }
  @inline(__always) init() {
    a = Half()
    b = Half()
  }
  @inline(__always) init(_ source: UnsafePointer<Float>) {
    a = Half(source)
    b = Half(source + Half.width)
  }
  @inline(__always) mutating func add(_ factor: Float, times other: Self) {
    a.add(factor, times: other.a)
    b.add(factor, times: other.b)
  }
  @inline(__always) func store(_ target: UnsafeMutablePointer<Float>) {
    a.store(target)
    b.store(target + Half.width)
  }
  @inline(__always) func storeSum(_ target: UnsafeMutablePointer<Float>) {
    a.storeSum(target)
    b.storeSum(target + Half.width)
  }
}

typealias Strip2 = Pair<Strip1>
typealias Strip4 = Pair<Strip2>

/// A matrix read through two strides: element (i, k) is at `base[i · row + k · column]`.
struct StridedMatrix {
  var base: UnsafePointer<Float>
  var row: Int
  var column: Int

  @inline(__always)
  init(_ base: UnsafePointer<Float>, row: Int, column: Int = 1) {
    self.base = base
    self.row = row
    self.column = column
  }
}

/// C (rows, columns) = or += A (rows, depth) · B (depth, columns); `columns` a multiple of 16, rows
/// of B and C contiguous with strides `bRow`, `cRow`. C overlaps neither A nor B.
///
/// - Parameter bias: (columns) or nil; added to what C holds, or to nothing, before the product is.
func smallMatmul(
  _ c: UnsafeMutablePointer<Float>, cRow: Int, _ a: StridedMatrix, _ b: UnsafePointer<Float>,
  bRow: Int, rows: Int, depth: Int, columns: Int, bias: UnsafePointer<Float>? = nil, adding: Bool
) {
  var column = 0
  while column &+ 64 <= columns {
    panel4(
      c + column, cRow, a, b + column, bRow, rows: rows, depth: depth,
      End(bias: bias.map { $0 + column }, adding: adding),
      as: Strip4.self)
    column &+= 64
  }
  if column &+ 32 <= columns {
    panel8(
      c + column, cRow, a, b + column, bRow, rows: rows, depth: depth,
      End(bias: bias.map { $0 + column }, adding: adding),
      as: Strip2.self)
    column &+= 32
  }
  if column < columns {
    panel8(
      c + column, cRow, a, b + column, bRow, rows: rows, depth: depth,
      End(bias: bias.map { $0 + column }, adding: adding),
      as: Strip1.self)
  }
}

@inline(__always)
private func panel8<S: Strip>(
  _ c: UnsafeMutablePointer<Float>, _ cRow: Int, _ a: StridedMatrix, _ b: UnsafePointer<Float>,
  _ bRow: Int, rows: Int, depth: Int, _ end: End, as _: S.Type
) {
  var row = 0
  while row &+ 8 <= rows {
    let left = a.base + row &* a.row
    var (s0, s1, s2, s3) = (S(), S(), S(), S())
    var (s4, s5, s6, s7) = (S(), S(), S(), S())
    var (p, q, right) = (left, left + 4 &* a.row, b)
    for _ in 0..<depth {
      let strip = S(right)
      s0.add(p[0], times: strip)
      s1.add(p[a.row], times: strip)
      s2.add(p[2 &* a.row], times: strip)
      s3.add(p[3 &* a.row], times: strip)
      s4.add(q[0], times: strip)
      s5.add(q[a.row], times: strip)
      s6.add(q[2 &* a.row], times: strip)
      s7.add(q[3 &* a.row], times: strip)
      p += a.column
      q += a.column
      right += bRow
    }
    let target = c + row &* cRow
    end.store(s0, target)
    end.store(s1, target + cRow)
    end.store(s2, target + 2 &* cRow)
    end.store(s3, target + 3 &* cRow)
    end.store(s4, target + 4 &* cRow)
    end.store(s5, target + 5 &* cRow)
    end.store(s6, target + 6 &* cRow)
    end.store(s7, target + 7 &* cRow)
    row &+= 8
  }
  if row < rows {
    panel4(
      c + row &* cRow, cRow, StridedMatrix(a.base + row &* a.row, row: a.row, column: a.column), b,
      bRow, rows: rows &- row, depth: depth, end, as: S.self)
  }
}

@inline(__always)
private func panel4<S: Strip>(
  _ c: UnsafeMutablePointer<Float>, _ cRow: Int, _ a: StridedMatrix, _ b: UnsafePointer<Float>,
  _ bRow: Int, rows: Int, depth: Int, _ end: End, as _: S.Type
) {
  var row = 0
  while row &+ 4 <= rows {
    var (s0, s1, s2, s3) = (S(), S(), S(), S())
    var (p, right) = (a.base + row &* a.row, b)
    for _ in 0..<depth {
      let strip = S(right)
      s0.add(p[0], times: strip)
      s1.add(p[a.row], times: strip)
      s2.add(p[2 &* a.row], times: strip)
      s3.add(p[3 &* a.row], times: strip)
      p += a.column
      right += bRow
    }
    let target = c + row &* cRow
    end.store(s0, target)
    end.store(s1, target + cRow)
    end.store(s2, target + 2 &* cRow)
    end.store(s3, target + 3 &* cRow)
    row &+= 4
  }
  while row < rows {
    var sum = S()
    var (p, right) = (a.base + row &* a.row, b)
    for _ in 0..<depth {
      sum.add(p[0], times: S(right))
      p += a.column
      right += bRow
    }
    end.store(sum, c + row &* cRow)
    row &+= 1
  }
}

/// How a tile's sums reach C.
private struct End {
  /// The bias of the tile's first column.
  let bias: UnsafePointer<Float>?
  let adding: Bool

  @inline(__always)
  func store<S: Strip>(_ sum: S, _ target: UnsafeMutablePointer<Float>) {
    guard let bias else {
      if adding { sum.storeSum(target) } else { sum.store(target) }
      return
    }
    var result = S(bias)
    if adding { result.add(1, times: S(target)) }
    result.add(1, times: sum)
    result.store(target)
  }
}

/// `smallMatmul` for any number of columns: the last, partial vector of a row of B is read, and of C
/// written, lane by lane as far as it goes. The same chain for every element.
func rowwiseMatmul(
  _ c: UnsafeMutablePointer<Float>, cRow: Int, _ a: StridedMatrix, _ b: UnsafePointer<Float>,
  bRow: Int, rows: Int, depth: Int, columns: Int, bias: UnsafePointer<Float>? = nil, adding: Bool
) {
  let whole = columns & ~15
  smallMatmul(
    c, cRow: cRow, a, b, bRow: bRow, rows: rows, depth: depth, columns: whole, bias: bias,
    adding: adding)
  let lanes = columns &- whole
  if lanes == 0 { return }
  let shift = bias.map { $0.load(whole, lanes) }
  var row = 0
  while row < rows {
    // Four rows at a time; the last ones may be done twice.
    let height = min(4, rows &- row)
    let place = { (i: Int) in (row &+ min(i, height &- 1)) &* a.row }
    let (p0, p1, p2, p3) = (
      a.base + place(0), a.base + place(1), a.base + place(2), a.base + place(3)
    )
    var (s0, s1, s2, s3) = (Vector.zero, Vector.zero, Vector.zero, Vector.zero)
    for k in 0..<depth {
      let strip = (b + k &* bRow).load(whole, lanes)
      let offset = k &* a.column
      s0 = s0.plus(Vector(repeating: p0[offset]), strip)
      s1 = s1.plus(Vector(repeating: p1[offset]), strip)
      s2 = s2.plus(Vector(repeating: p2[offset]), strip)
      s3 = s3.plus(Vector(repeating: p3[offset]), strip)
    }
    for i in 0..<height {
      let sum = i < 2 ? (i == 0 ? s0 : s1) : (i == 2 ? s2 : s3)
      let target = c + (row &+ i) &* cRow
      var result = sum
      if adding, let shift {
        result += target.load(whole, lanes) + shift
      } else if adding {
        result += target.load(whole, lanes)
      } else if let shift {
        result += shift
      }
      target.store(result, whole, lanes)
    }
    row &+= 4
  }
}

// MARK: - Transposition

/// target (columns, rows) = source (rows, columns)ᵀ, both with row strides. The target's stride is
/// at least `padded(rows)`: columns rows…padded(rows) of the target are filled with zeros.
func transpose(
  _ target: UnsafeMutablePointer<Float>, targetRow: Int, _ source: UnsafePointer<Float>,
  sourceRow: Int, rows: Int, columns: Int
) {
  var row = 0
  while row < rows {
    var column = 0
    let height = min(16, rows &- row)
    while column < columns {
      let width = min(16, columns &- column)
      let from = source + row &* sourceRow + column
      let to = target + column &* targetRow + row
      if width == 16 {
        ott_transpose_tile(to, targetRow, from, sourceRow, height)
      } else {
        for j in 0..<width {
          for i in 0..<height { to[j &* targetRow &+ i] = from[i &* sourceRow &+ j] }
          for i in height..<16 { to[j &* targetRow &+ i] = 0 }
        }
      }
      column &+= 16
    }
    row &+= 16
  }
}
