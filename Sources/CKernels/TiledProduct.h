// The product over tiles, which Tiles.c includes once for each maker of tiles. It says what these are:
//
//   MADE(name)               the name of a function for this maker; TARGET, its attributes
//   CONFIGURE(rows, depth)   shapes for `rows` (1 to 32) rows of A and `depth` (1 to 16) pairs
//   ZERO(tile), LOAD(tile, from, stride), STORE(tile, to, stride) with strides in bytes
//   MULTIPLY(c, a, b)        C += A·B
//
// Tiles 0 to 3 are C, 4 and 5 A, 6 and 7 B: two by two of them.

/// One step of sixteen pairs or what is left of them.
#define STEP(k)                                                                                    \
  {                                                                                                \
    LOAD(4, a + (k), left);                                                                        \
    LOAD(6, b + (k) * width, right);                                                               \
    MULTIPLY(0, 4, 6);                                                                             \
    if (isWide) {                                                                                  \
      LOAD(7, b + (k) * width + 16, right);                                                        \
      MULTIPLY(1, 4, 7);                                                                           \
    }                                                                                              \
    if (isTall) {                                                                                  \
      LOAD(5, a + 16 * aRow + (k), left);                                                          \
      MULTIPLY(2, 5, 6);                                                                           \
      if (isWide) MULTIPLY(3, 5, 7);                                                               \
    }                                                                                              \
  }

/// What of C there is: `MOVE` is LOAD or STORE.
#define EACH(MOVE)                                                                                 \
  {                                                                                                \
    MOVE(0, sums, sumRow);                                                                         \
    if (isWide) MOVE(1, sums + 16, sumRow);                                                        \
    if (isTall) MOVE(2, sums + 16 * SIDE, sumRow);                                                 \
    if (isTall && isWide) MOVE(3, sums + 16 * SIDE + 16, sumRow);                                  \
  }

/// sums (rows, 16 or 32) = A (rows, pairs) · B; `shape` is that of the last block.
TARGET static void MADE(block)(Shape *shape, float *sums, const float *a, ptrdiff_t aRow,
                               const float *b, ptrdiff_t width, ptrdiff_t pairs, ptrdiff_t rows,
                               const bool isWide) {
  const ptrdiff_t whole = pairs & ~(ptrdiff_t)15, rest = pairs - whole;
  const size_t left = aRow * sizeof(float), right = width * sizeof(float);
  const size_t sumRow = SIDE * sizeof(float);
  const bool isTall = rows > 16;
  if (whole > 0) {
    if (shape->rows != rows || shape->depth != 16) CONFIGURE(rows, 16);
    *shape = (Shape){rows, 16};
    ZERO(0);
    ZERO(1);
    if (isTall) {
      ZERO(2);
      ZERO(3);
    }
    for (ptrdiff_t k = 0; k < whole; k += 16) STEP(k)
    EACH(STORE)
  }
  if (rest > 0) {
    // Other shapes are other tiles, and all of them zero.
    CONFIGURE(rows, rest);
    *shape = (Shape){rows, rest};
    if (whole > 0) EACH(LOAD)
    STEP(whole)
    EACH(STORE)
  }
}

/// As `ott_bf16_product` for A in rows; `isMultiple` multiplies by `other` instead of adding it.
TARGET static void MADE(product)(float *c, ptrdiff_t cRow, const float *other, bool isMultiple,
                                 const float *bias, const float *a, ptrdiff_t aRow, const float *b,
                                 ptrdiff_t bPairs, ptrdiff_t bColumns, ptrdiff_t bFirst,
                                 ptrdiff_t rows, ptrdiff_t pairs, ptrdiff_t columns) {
  _Alignas(64) float sums[SIDE * SIDE];
  Shape shape = {0, 0};
  if (pairs == 0) __builtin_memset(sums, 0, sizeof sums);
  for (ptrdiff_t column = 0; column < columns; column += SIDE) {
    const ptrdiff_t first = column & ~(ptrdiff_t)63;
    const ptrdiff_t width = smaller(64, (bColumns - first + 15) & ~15);
    const float *panel = b + first * bPairs + bFirst * width + (column - first);
    for (ptrdiff_t row = 0; row < rows; row += SIDE) {
      const ptrdiff_t height = smaller(SIDE, rows - row);
      float *to = c + row * cRow + column;
      ott_bf16_ask_ahead(1, pairs);
      prefetch(to, cRow, height, columns - column);
      if (other) prefetch(other + row * cRow + column, cRow, height, columns - column);
      MADE(block)(&shape, sums, a + row * aRow, aRow, panel, width, pairs, height,
                  columns - column > 16);
      finish(to, cRow, other ? other + row * cRow + column : 0, isMultiple,
             bias ? bias + column : 0, sums, height, columns - column);
    }
  }
}

#undef STEP
#undef EACH
#undef MADE
#undef TARGET
#undef CONFIGURE
#undef ZERO
#undef LOAD
#undef STORE
#undef MULTIPLY
