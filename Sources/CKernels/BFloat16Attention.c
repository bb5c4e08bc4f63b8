// What lies between the products of causal attention in bfloat16. See CKernels.h for the layouts.

#include "BFloat16.h"

#if OTT_HAS_BF16

// MARK: Softmax

void ott_bf16_softmax(float *p, float *tops, float *totals, const float *scores, ptrdiff_t stride,
                      ptrdiff_t rows, ptrdiff_t first, float scale) {
  const ptrdiff_t pairs = (first + rows + 1) / 2;
  const __m512 factor = _mm512_set1_ps(scale * log2OfE), zero = _mm512_setzero_ps();
  for (ptrdiff_t row = 0; row < rows; row++) {
    const float *from = scores + row * stride;
    float *to = p + row * pairs;
    const ptrdiff_t seen = first + row + 1, whole = seen & ~(ptrdiff_t)31;
    const __mmask16 mask0 = lanes(seen - whole), mask1 = lanes(seen - whole - 16);
    const __m512 last0 = _mm512_maskz_loadu_ps(mask0, from + whole);
    const __m512 last1 = _mm512_maskz_loadu_ps(mask1, from + whole + 16);
    __m512 best0 = _mm512_set1_ps(from[0]), best1 = best0;
    for (ptrdiff_t k = 0; k < whole; k += 32) {
      best0 = _mm512_max_ps(best0, _mm512_loadu_ps(from + k));
      best1 = _mm512_max_ps(best1, _mm512_loadu_ps(from + k + 16));
    }
    best0 = _mm512_mask_max_ps(best0, mask0, best0, last0);
    best1 = _mm512_mask_max_ps(best1, mask1, best1, last1);
    const float top = _mm512_reduce_max_ps(_mm512_max_ps(best0, best1));
    const __m512 shift = _mm512_set1_ps(-top * scale * log2OfE);
    __m512 total0 = zero, total1 = zero;
    for (ptrdiff_t k = 0; k < whole; k += 32) {
      const __m512 e0 = powerOfTwo(_mm512_fmadd_ps(_mm512_loadu_ps(from + k), factor, shift));
      const __m512 e1 = powerOfTwo(_mm512_fmadd_ps(_mm512_loadu_ps(from + k + 16), factor, shift));
      total0 = _mm512_add_ps(total0, e0);
      total1 = _mm512_add_ps(total1, e1);
      _mm512_storeu_si512(to + k / 2, rounded(e0, e1));
    }
    const __m512 e0 =
        _mm512_mask_mov_ps(zero, mask0, powerOfTwo(_mm512_fmadd_ps(last0, factor, shift)));
    const __m512 e1 =
        _mm512_mask_mov_ps(zero, mask1, powerOfTwo(_mm512_fmadd_ps(last1, factor, shift)));
    _mm512_mask_storeu_epi32(to + whole / 2, lanes(pairs - whole / 2), rounded(e0, e1));
    tops[row] = top * scale;
    totals[row] = _mm512_reduce_add_ps(
        _mm512_add_ps(_mm512_add_ps(total0, e0), _mm512_add_ps(total1, e1)));
  }
}

// MARK: Gradients of the scores

/// `ROWS` rows by `WIDTH` vectors of a product with a factor whose panel is `width` wide; `products` has
/// them where tiles have made them.
#define SCORES(sums, ROWS, WIDTH, left, panel, products)                                           \
  if (t->products) {                                                                               \
    for (int i = 0; i < ROWS; i++) {                                                               \
      const float *from = t->products + (smaller(row + i, t->rows - 1) % TILED) * 64;              \
      for (int j = 0; j < WIDTH; j++) sums[i][j] = _mm512_loadu_ps(from + 16 * j);                 \
    }                                                                                              \
  } else {                                                                                         \
    const float *b = panel;                                                                        \
    for (int i = 0; i < ROWS; i++)                                                                 \
      for (int j = 0; j < WIDTH; j++) sums[i][j] = _mm512_setzero_ps();                            \
    for (ptrdiff_t k = 0; k < t->pairs; k++, b += t->width) {                                      \
      __m512bh right[WIDTH];                                                                       \
      for (int j = 0; j < WIDTH; j++) right[j] = (__m512bh)_mm512_loadu_ps(b + 16 * j);            \
      for (int i = 0; i < ROWS; i++) {                                                             \
        const __m512bh factor = (__m512bh)_mm512_set1_ps(left[source[i] + k]);                     \
        for (int j = 0; j < WIDTH; j++)                                                            \
          sums[i][j] = _mm512_dpbf16_ps(sums[i][j], factor, right[j]);                             \
      }                                                                                            \
    }                                                                                              \
  }

/// Queries against one block of keys: the arguments of `ott_bf16_attention_gradients`.
typedef struct {
  float *p, *dS, *dSRows;
  const float *queries, *gradients, *keys, *values;
  const float *logSumExp, *dot;
  ptrdiff_t pairs, width, rows, ahead;
  float scale;
  /// By tiles: queries · keys and gradients · values of the rows from the last multiple of TILED on,
  /// 64 apart; else null.
  float *scores, *slopes;
} Block;

/// Rows that tiles multiply at a time.
enum { TILED = 32 };

/// Makes the products of the rows from `row` on, if they are tiles' and none are there.
INLINE void multiply(const Block *t, ptrdiff_t row) {
  if (!t->scores || row % TILED != 0) return;
  const ptrdiff_t at = row * t->pairs, rows = smaller(TILED, t->rows - row);
  ott_tiles_product(t->scores, 64, 0, false, 0, t->queries + at, t->pairs, 1, t->keys, t->pairs,
                    t->width, 0, rows, t->pairs, t->width);
  ott_tiles_product(t->slopes, 64, 0, false, 0, t->gradients + at, t->pairs, 1, t->values, t->pairs,
                    t->width, 0, rows, t->pairs, t->width);
}

/// Stores two rows of `vectors` vectors: their pairs along rows, and where given the rows.
INLINE void store(float *pairsTo, float *rowsTo, const __m512 *even, const __m512 *odd,
                  const int vectors) {
  const __m512 zero = _mm512_setzero_ps();
  UNROLLED for (int j = 0; j < vectors; j += 2) {
    const bool isWhole = j + 1 < vectors;
    const __m512i e = rounded(even[j], isWhole ? even[j + 1] : zero);
    const __m512i o = rounded(odd[j], isWhole ? odd[j + 1] : zero);
    _mm512_storeu_si512(pairsTo + 16 * j, paired(e, o, false));
    if (isWhole) _mm512_storeu_si512(pairsTo + 16 * j + 16, paired(e, o, true));
    if (rowsTo) {
      _mm512_storeu_si512(rowsTo + 8 * j, e);
      _mm512_storeu_si512(rowsTo + 32 + 8 * j, o);
    }
  }
}

/// p and dS of `ROWS` rows from `row` on for the first 16 · `WIDTH` keys; if `MASKED`, with zeros for
/// rows that are not there and for keys beyond the row's own.
#define GRADIENTS(ROWS, WIDTH, MASKED)                                                             \
  static void gradients_##ROWS##_##WIDTH##_##MASKED(const Block *t, ptrdiff_t row) {               \
    __m512 p[ROWS][WIDTH], dS[ROWS][WIDTH];                                                        \
    ptrdiff_t source[ROWS];                                                                        \
    for (int i = 0; i < ROWS; i++) source[i] = smaller(row + i, t->rows - 1) * t->pairs;           \
    SCORES(p, ROWS, WIDTH, t->queries, t->keys, scores)                                            \
    const __m512 factor = _mm512_set1_ps(t->scale * log2OfE);                                      \
    for (int i = 0; i < ROWS; i++) {                                                               \
      const bool isThere = row + i < t->rows;                                                      \
      const __m512 shift = _mm512_set1_ps(isThere ? -t->logSumExp[row + i] * log2OfE : 0);         \
      for (int j = 0; j < WIDTH; j++) {                                                            \
        p[i][j] = powerOfTwo(_mm512_fmadd_ps(p[i][j], factor, shift));                             \
        if (MASKED)                                                                                \
          p[i][j] =                                                                                \
              _mm512_maskz_mov_ps(isThere ? lanes(t->ahead + row + i + 1 - 16 * j) : 0, p[i][j]);  \
      }                                                                                            \
    }                                                                                              \
    SCORES(dS, ROWS, WIDTH, t->gradients, t->values, slopes)                                       \
    const __m512 scale = _mm512_set1_ps(t->scale);                                                 \
    for (int i = 0; i < ROWS; i++) {                                                               \
      const __m512 dot = _mm512_set1_ps(row + i < t->rows ? t->dot[row + i] : 0);                  \
      for (int j = 0; j < WIDTH; j++)                                                              \
        dS[i][j] = _mm512_mul_ps(p[i][j], _mm512_mul_ps(_mm512_sub_ps(dS[i][j], dot), scale));     \
    }                                                                                              \
    for (int i = 0; i < ROWS; i += 2) {                                                            \
      const ptrdiff_t at = (row + i) * 32;                                                         \
      store(t->p + at, 0, p[i], p[i + 1], WIDTH);                                                  \
      store(t->dS + at, t->dSRows + at, dS[i], dS[i + 1], WIDTH);                                  \
    }                                                                                              \
  }

GRADIENTS(4, 4, false)
GRADIENTS(4, 4, true) GRADIENTS(4, 3, true) GRADIENTS(8, 2, true) GRADIENTS(8, 1, true)

void ott_bf16_attention_gradients(float *p, float *dS, float *dSRows, const float *queries,
                                  const float *gradients, const float *keys, const float *values,
                                  const float *logSumExp, const float *dot, ptrdiff_t pairs,
                                  ptrdiff_t width, ptrdiff_t rows, ptrdiff_t ahead, float scale) {
  static _Thread_local float products[2][TILED * 64];
  const bool isTiled = ott_tiles_are_used();
  const Block block = {p,         dS,  dSRows, queries, gradients, keys,  values,
                       logSumExp, dot, pairs,  width,   rows,      ahead, scale,
                       isTiled ? products[0] : 0, isTiled ? products[1] : 0};
  ptrdiff_t row = 0;
  while (ahead == 0 && row < smaller(64, rows)) {
    multiply(&block, row);
    switch (row / 16) {
    case 0: gradients_8_1_true(&block, row), row += 8; break;
    case 1: gradients_8_2_true(&block, row), row += 8; break;
    case 2: gradients_4_3_true(&block, row), row += 4; break;
    default: gradients_4_4_true(&block, row), row += 4;
    }
  }
  for (; row + 4 <= rows; row += 4) {
    multiply(&block, row);
    gradients_4_4_false(&block, row);
  }
  if (row < rows) {
    multiply(&block, row);
    gradients_4_4_true(&block, row);
  }
}

#else

void ott_bf16_softmax(float *p, float *tops, float *totals, const float *scores, ptrdiff_t stride,
                      ptrdiff_t rows, ptrdiff_t first, float scale) {
  __builtin_trap();
}
void ott_bf16_attention_gradients(float *p, float *dS, float *dSRows, const float *queries,
                                  const float *gradients, const float *keys, const float *values,
                                  const float *logSumExp, const float *dot, ptrdiff_t pairs,
                                  ptrdiff_t width, ptrdiff_t rows, ptrdiff_t ahead, float scale) {
  __builtin_trap();
}

#endif
