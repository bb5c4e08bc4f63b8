// Products of bfloat16 pairs summed in single precision. See CKernels.h for the layouts.

#include "BFloat16.h"

#if OTT_HAS_BF16

bool ott_bf16_is_built(void) { return true; }

// MARK: GELU

/// σ(2u) with u = √(2/π)(x + 0.044715x³): GELU(x) = x·σ(2u).
INLINE __m512 gate(__m512 x, __m512 square) {
  const __m512 one = _mm512_set1_ps(1), bound = _mm512_set1_ps(126);
  const __m512 u = _mm512_mul_ps(x, _mm512_fmadd_ps(square, _mm512_set1_ps(0.044715f), one));
  const __m512 t = _mm512_mul_ps(u, _mm512_set1_ps(-1.5957691f * 1.44269504f));
  // NaN is the second operand, which the CPU then chooses.
  const __m512 bounded = _mm512_max_ps(_mm512_sub_ps(_mm512_setzero_ps(), bound),
                                       _mm512_min_ps(bound, t));
  return _mm512_div_ps(one, _mm512_add_ps(one, powerOfTwo(bounded)));
}

INLINE __m512 gelu(__m512 x) { return _mm512_mul_ps(x, gate(x, _mm512_mul_ps(x, x))); }

/// GELU(x), and in `slope` its derivative σ + x·σ(1 − σ)·d(2u)/dx.
INLINE __m512 geluAndSlope(__m512 x, __m512 *slope) {
  const __m512 square = _mm512_mul_ps(x, x), s = gate(x, square), y = _mm512_mul_ps(x, s);
  const __m512 inner = _mm512_fmadd_ps(square, _mm512_set1_ps(3 * 0.044715f * 1.5957691f),
                                       _mm512_set1_ps(1.5957691f));
  *slope = _mm512_fmadd_ps(_mm512_fnmadd_ps(y, s, y), inner, s);
  return y;
}

// MARK: Packing

INLINE void rows(float *target, const float *source, ptrdiff_t stride, ptrdiff_t rows,
                 ptrdiff_t columns, const bool isActivated) {
  const ptrdiff_t pairs = (columns + 1) / 2;
  for (ptrdiff_t row = 0; row < rows; row++) {
    const float *from = source + row * stride;
    float *to = target + row * pairs;
    for (ptrdiff_t column = 0; column < columns; column += 32) {
      const ptrdiff_t rest = columns - column;
      __m512 a = _mm512_maskz_loadu_ps(lanes(rest), from + column);
      __m512 b = _mm512_maskz_loadu_ps(lanes(rest - 16), from + column + 16);
      if (isActivated) {
        a = gelu(a);
        b = gelu(b);
      }
      _mm512_mask_storeu_epi32(to + column / 2, lanes((rest + 1) / 2), rounded(a, b));
    }
  }
}

void ott_bf16_rows(float *target, const float *source, ptrdiff_t stride, ptrdiff_t count,
                   ptrdiff_t columns) {
  rows(target, source, stride, count, columns, false);
}

void ott_bf16_gelu_rows(float *target, const float *source, ptrdiff_t stride, ptrdiff_t count,
                        ptrdiff_t columns) {
  rows(target, source, stride, count, columns, true);
}

/// Of two rows, 32 columns from `from` on: what `mask0` and `mask1` leave of them.
typedef struct {
  __m512 e0, e1, o0, o1;
} Quad;

INLINE Quad loaded(const float *from, ptrdiff_t stride, bool isWhole, __mmask16 mask0,
                   __mmask16 mask1) {
  const __mmask16 odd0 = isWhole ? mask0 : 0, odd1 = isWhole ? mask1 : 0;
  return (Quad){_mm512_maskz_loadu_ps(mask0, from), _mm512_maskz_loadu_ps(mask1, from + 16),
                _mm512_maskz_loadu_ps(odd0, from + stride),
                _mm512_maskz_loadu_ps(odd1, from + stride + 16)};
}

void ott_bf16_pack(float *target, float *inRows, float *sums, const float *source, ptrdiff_t stride,
                   ptrdiff_t rows, ptrdiff_t columns) {
  const ptrdiff_t pairs = (rows + 1) / 2, rowPairs = (columns + 1) / 2;
  for (ptrdiff_t first = 0; first < columns; first += 64) {
    const ptrdiff_t width = smaller(64, (columns - first + 15) & ~15);
    float *panel = target + first * pairs;
    __m512 totals[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                        _mm512_setzero_ps()};
    for (ptrdiff_t pair = 0; pair < pairs; pair++) {
      const float *from = source + 2 * pair * stride + first;
      const bool isWhole = 2 * pair + 1 < rows;
      UNROLLED for (int half = 0; half < 2; half++) {
        const ptrdiff_t column = 32 * half, rest = columns - first - column;
        if (column >= width) break;
        const Quad x = loaded(from + column, stride, isWhole, lanes(rest), lanes(rest - 16));
        const __m512i even = rounded(x.e0, x.e1), odd = rounded(x.o0, x.o1);
        float *to = panel + pair * width + column;
        _mm512_storeu_si512(to, paired(even, odd, false));
        if (column + 16 < width) _mm512_storeu_si512(to + 16, paired(even, odd, true));
        if (inRows) {
          float *row = inRows + 2 * pair * rowPairs + (first + column) / 2;
          const __mmask16 mask = lanes((rest + 1) / 2);
          _mm512_mask_storeu_epi32(row, mask, even);
          if (isWhole) _mm512_mask_storeu_epi32(row + rowPairs, mask, odd);
        }
        if (sums) {
          totals[2 * half] = _mm512_add_ps(totals[2 * half], _mm512_add_ps(x.e0, x.o0));
          totals[2 * half + 1] = _mm512_add_ps(totals[2 * half + 1], _mm512_add_ps(x.e1, x.o1));
        }
      }
    }
    if (sums)
      for (int i = 0; i < 4; i++) {
        const __mmask16 mask = lanes(columns - first - 16 * i);
        float *to = sums + first + 16 * i;
        _mm512_mask_storeu_ps(to, mask, _mm512_add_ps(_mm512_maskz_loadu_ps(mask, to), totals[i]));
      }
  }
}

void ott_bf16_gelu_pack(float *target, float *slopes, const float *source, ptrdiff_t stride,
                        ptrdiff_t rows, ptrdiff_t columns) {
  const ptrdiff_t pairs = (rows + 1) / 2;
  // Row by row: the source comes from main memory, where whole rows are read several times as fast.
  for (ptrdiff_t pair = 0; pair < pairs; pair++) {
    const bool isWhole = 2 * pair + 1 < rows;
    for (ptrdiff_t column = 0; column < columns; column += 32) {
      const ptrdiff_t first = column & ~(ptrdiff_t)63, rest = columns - column;
      const ptrdiff_t width = smaller(64, (columns - first + 15) & ~15);
      const ptrdiff_t at = 2 * pair * stride + column;
      const __mmask16 mask0 = lanes(rest), mask1 = lanes(rest - 16);
      const Quad x = loaded(source + at, stride, isWhole, mask0, mask1);
      Quad y, slope;
      y.e0 = geluAndSlope(x.e0, &slope.e0);
      y.e1 = geluAndSlope(x.e1, &slope.e1);
      y.o0 = geluAndSlope(x.o0, &slope.o0);
      y.o1 = geluAndSlope(x.o1, &slope.o1);
      _mm512_mask_storeu_ps(slopes + at, mask0, slope.e0);
      _mm512_mask_storeu_ps(slopes + at + 16, mask1, slope.e1);
      if (isWhole) {
        _mm512_mask_storeu_ps(slopes + at + stride, mask0, slope.o0);
        _mm512_mask_storeu_ps(slopes + at + stride + 16, mask1, slope.o1);
      }
      const __m512i even = rounded(y.e0, y.e1), odd = rounded(y.o0, y.o1);
      float *to = target + first * pairs + pair * width + (column - first);
      _mm512_storeu_si512(to, paired(even, odd, false));
      if (rest > 16) _mm512_storeu_si512(to + 16, paired(even, odd, true));
    }
  }
}

INLINE __m512 evenOdd(__m512 a, __m512 b, bool upper) {
  return upper ? __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30,
                                         15, 31)
               : __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7,
                                         23);
}

/// One round of a 16 × 16 transposition by perfect shuffles.
INLINE void shuffle(__m512 to[16], const __m512 from[16]) {
  UNROLLED for (int i = 0; i < 8; i++) {
    to[2 * i] = evenOdd(from[i], from[i + 8], false);
    to[2 * i + 1] = evenOdd(from[i], from[i + 8], true);
  }
}

void ott_bf16_pack_transposed(float *target, const float *source, ptrdiff_t stride, ptrdiff_t rows,
                              ptrdiff_t columns) {
  const ptrdiff_t pairs = (columns + 1) / 2;
  for (ptrdiff_t first = 0; first < rows; first += 64) {
    const ptrdiff_t width = smaller(64, (rows - first + 15) & ~15);
    float *panel = target + first * pairs;
    for (ptrdiff_t row = 0; row < width; row += 16) {
      const ptrdiff_t height = rows - first - row;
      for (ptrdiff_t column = 0; column < columns; column += 32) {
        const ptrdiff_t rest = columns - column;
        const __mmask16 low = lanes(rest), high = lanes(rest - 16);
        __m512 a[16], b[16];
        UNROLLED for (int i = 0; i < 16; i++) {
          const float *from = source + (first + row + i) * stride + column;
          const __mmask16 isThere = i < height ? 0xFFFF : 0;
          a[i] = _mm512_castsi512_ps(rounded(_mm512_maskz_loadu_ps(low & isThere, from),
                                             _mm512_maskz_loadu_ps(high & isThere, from + 16)));
        }
        shuffle(b, a);
        shuffle(a, b);
        shuffle(b, a);
        shuffle(a, b);
        const ptrdiff_t count = smaller(16, pairs - column / 2);
        float *to = panel + column / 2 * width + row;
        for (int i = 0; i < count; i++) _mm512_storeu_ps(to + i * width, a[i]);
      }
    }
  }
}

// MARK: Looking ahead

/// What this thread will read after its next products: two ranges, of which the first may be done.
static _Thread_local struct {
  const char *next, *end;
  const char *later, *laterEnd;
} ahead;

void ott_bf16_look_ahead(const float *first, ptrdiff_t firstCount, const float *second,
                         ptrdiff_t secondCount) {
  ahead.next = (const char *)first;
  ahead.end = (const char *)(first + firstCount);
  ahead.later = (const char *)second;
  ahead.laterEnd = (const char *)(second + secondCount);
}

/// One line for the time of some thirty instructions, as fast as main memory delivers.
static __attribute__((noinline)) void lookAhead(ptrdiff_t rows, ptrdiff_t pairs) {
  const char *next = ahead.next;
  for (ptrdiff_t lines = rows * pairs / 8; lines > 0 && next < ahead.end; lines--, next += 64)
    __builtin_prefetch(next, 0, 2);
  ahead.next = next;
  if (next >= ahead.end) {
    ahead.next = ahead.later;
    ahead.end = ahead.laterEnd;
    ahead.later = ahead.laterEnd;
  }
}

void ott_bf16_ask_ahead(ptrdiff_t rows, ptrdiff_t pairs) {
  if (ahead.next < ahead.end) lookAhead(rows, pairs);
}

// MARK: Product

/// `ROWS` rows by `WIDTH` vectors of the product over one panel; `COMBINE` brings in `other`.
#define TILE(NAME, COMBINE, ROWS, WIDTH)                                                           \
  static void NAME##_##ROWS##_##WIDTH(float *c, ptrdiff_t cRow, const float *other,                \
                                    const float *bias, const float *a, ptrdiff_t aRow,             \
                                    ptrdiff_t aStep, const float *b, ptrdiff_t bStep,              \
                                    ptrdiff_t pairs, ptrdiff_t columns) {                          \
    __m512 sums[ROWS][WIDTH];                                                                      \
    if (ahead.next < ahead.end) lookAhead(ROWS, pairs);                                            \
    for (int i = 0; i < ROWS; i++)                                                                 \
      for (int j = 0; j < WIDTH; j++) sums[i][j] = _mm512_setzero_ps();                            \
    for (int i = 0; i < ROWS; i++)                                                                 \
      for (int j = 0; j < WIDTH; j++) {                                                            \
        __builtin_prefetch(c + i * cRow + 16 * j, 1);                                              \
        if (other) __builtin_prefetch(other + i * cRow + 16 * j);                                  \
      }                                                                                            \
    for (ptrdiff_t k = 0; k < pairs; k++) {                                                        \
      __m512bh right[WIDTH];                                                                       \
      for (int j = 0; j < WIDTH; j++) right[j] = (__m512bh)_mm512_loadu_ps(b + 16 * j);            \
      for (int i = 0; i < ROWS; i++) {                                                             \
        const __m512bh left = (__m512bh)_mm512_set1_ps(a[i * aRow]);                               \
        for (int j = 0; j < WIDTH; j++)                                                            \
          sums[i][j] = _mm512_dpbf16_ps(sums[i][j], left, right[j]);                               \
      }                                                                                            \
      a += aStep;                                                                                  \
      b += bStep;                                                                                  \
    }                                                                                              \
    for (int j = 0; j < WIDTH; j++) {                                                              \
      const __mmask16 mask = lanes(columns - 16 * j);                                              \
      const __m512 shift = bias ? _mm512_maskz_loadu_ps(mask, bias + 16 * j) : _mm512_setzero_ps();\
      for (int i = 0; i < ROWS; i++) {                                                             \
        __m512 sum = sums[i][j];                                                                   \
        if (bias) sum = _mm512_add_ps(sum, shift);                                                 \
        if (other)                                                                                 \
          sum = COMBINE(sum, _mm512_maskz_loadu_ps(mask, other + i * cRow + 16 * j));              \
        _mm512_mask_storeu_ps(c + i * cRow + 16 * j, mask, sum);                                   \
      }                                                                                            \
    }                                                                                              \
  }

#define TILES(NAME, COMBINE)                                                                       \
  TILE(NAME, COMBINE, 4, 4)                                                                        \
  TILE(NAME, COMBINE, 1, 4)                                                                        \
  TILE(NAME, COMBINE, 4, 3)                                                                        \
  TILE(NAME, COMBINE, 1, 3)                                                                        \
  TILE(NAME, COMBINE, 8, 2)                                                                        \
  TILE(NAME, COMBINE, 1, 2)                                                                        \
  TILE(NAME, COMBINE, 8, 1)                                                                        \
  TILE(NAME, COMBINE, 1, 1)

TILES(sum, _mm512_add_ps)
TILES(multiple, _mm512_mul_ps)

#define ROWS(NAME, OTHER, HEIGHT, WIDTH)                                                           \
  {                                                                                                \
    ptrdiff_t row = 0;                                                                             \
    for (; row + HEIGHT <= rows; row += HEIGHT)                                                    \
      NAME##_##HEIGHT##_##WIDTH(c + row * cRow + first, cRow, OTHER ? OTHER + row * cRow + first : 0,\
                                bias ? bias + first : 0, a + row * aRow, aRow, aStep, panel, width,\
                                pairs, columns - first);                                           \
    for (; row < rows; row++)                                                                      \
      NAME##_1_##WIDTH(c + row * cRow + first, cRow, OTHER ? OTHER + row * cRow + first : 0,       \
                       bias ? bias + first : 0, a + row * aRow, aRow, aStep, panel, width, pairs,  \
                       columns - first);                                                           \
    break;                                                                                         \
  }

#define PRODUCT(NAME, OTHER)                                                                       \
  for (ptrdiff_t first = 0; first < columns; first += 64) {                                        \
    const ptrdiff_t width = smaller(64, (bColumns - first + 15) & ~15);                            \
    const float *panel = b + first * bPairs + bFirst * width;                                      \
    switch (smaller(4, (columns - first + 15) / 16)) {                                             \
    case 4: ROWS(NAME, OTHER, 4, 4)                                                                \
    case 3: ROWS(NAME, OTHER, 4, 3)                                                                \
    case 2: ROWS(NAME, OTHER, 8, 2)                                                                \
    case 1: ROWS(NAME, OTHER, 8, 1)                                                                \
    }                                                                                              \
  }

void ott_bf16_product(float *c, ptrdiff_t cRow, const float *plus, const float *bias,
                      const float *a, ptrdiff_t aRow, ptrdiff_t aStep, const float *b,
                      ptrdiff_t bPairs, ptrdiff_t bColumns, ptrdiff_t bFirst, ptrdiff_t rows,
                      ptrdiff_t pairs, ptrdiff_t columns) {
  if (ott_tiles_are_used()) {
    ott_tiles_product(c, cRow, plus, false, bias, a, aRow, aStep, b, bPairs, bColumns, bFirst, rows,
                      pairs, columns);
    return;
  }
  PRODUCT(sum, plus)
}

void ott_bf16_product_times(float *c, ptrdiff_t cRow, const float *a, const float *b, ptrdiff_t rows,
                            ptrdiff_t pairs, ptrdiff_t columns) {
  const float *bias = 0;
  const ptrdiff_t aRow = pairs, aStep = 1, bPairs = pairs, bColumns = columns, bFirst = 0;
  if (ott_tiles_are_used()) {
    ott_tiles_product(c, cRow, c, true, bias, a, aRow, aStep, b, bPairs, bColumns, bFirst, rows, pairs,
                      columns);
    return;
  }
  PRODUCT(multiple, c)
}

#else

bool ott_bf16_is_built(void) { return false; }

void ott_bf16_rows(float *target, const float *source, ptrdiff_t stride, ptrdiff_t rows,
                   ptrdiff_t columns) {
  __builtin_trap();
}
void ott_bf16_gelu_rows(float *target, const float *source, ptrdiff_t stride, ptrdiff_t rows,
                        ptrdiff_t columns) {
  __builtin_trap();
}
void ott_bf16_pack(float *target, float *inRows, float *sums, const float *source, ptrdiff_t stride,
                   ptrdiff_t rows, ptrdiff_t columns) {
  __builtin_trap();
}
void ott_bf16_gelu_pack(float *target, float *slopes, const float *source, ptrdiff_t stride,
                        ptrdiff_t rows, ptrdiff_t columns) {
  __builtin_trap();
}
void ott_bf16_pack_transposed(float *target, const float *source, ptrdiff_t stride, ptrdiff_t rows,
                              ptrdiff_t columns) {
  __builtin_trap();
}
void ott_bf16_product(float *c, ptrdiff_t cRow, const float *plus, const float *bias, const float *a,
                      ptrdiff_t aRow, ptrdiff_t aStep, const float *b, ptrdiff_t bPairs,
                      ptrdiff_t bColumns, ptrdiff_t bFirst, ptrdiff_t rows, ptrdiff_t pairs,
                      ptrdiff_t columns) {
  __builtin_trap();
}

void ott_bf16_product_times(float *c, ptrdiff_t cRow, const float *a, const float *b, ptrdiff_t rows,
                            ptrdiff_t pairs, ptrdiff_t columns) {
  __builtin_trap();
}
void ott_bf16_look_ahead(const float *first, ptrdiff_t firstCount, const float *second,
                         ptrdiff_t secondCount) {}

#endif
