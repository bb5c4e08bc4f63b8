// Products of bfloat16 pairs summed in single precision. See CVector.h for the layouts.

#include "CVector.h"

#if defined(__AVX512BF16__) && defined(__AVX512BW__) && defined(__AVX512VL__)

#include <immintrin.h>

bool ott_bf16_is_built(void) { return true; }

/// Lanes below `count`, which may be negative or beyond 16.
static inline __mmask16 lanes(ptrdiff_t count) {
  return count >= 16 ? 0xFFFF : count <= 0 ? 0 : (__mmask16)((1u << count) - 1);
}

static inline ptrdiff_t smaller(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

/// 32 floats rounded to nearest even: `low` in the lower 16 places.
static inline __m512i rounded(__m512 low, __m512 high) {
  return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

// MARK: Packing

void ott_bf16_rows(float *target, const float *source, ptrdiff_t stride, ptrdiff_t rows,
                   ptrdiff_t columns) {
  const ptrdiff_t pairs = (columns + 1) / 2;
  for (ptrdiff_t row = 0; row < rows; row++) {
    const float *from = source + row * stride;
    float *to = target + row * pairs;
    ptrdiff_t column = 0;
    for (; column + 32 <= columns; column += 32)
      _mm512_storeu_si512(
          to + column / 2, rounded(_mm512_loadu_ps(from + column), _mm512_loadu_ps(from + column + 16)));
    if (column < columns) {
      const ptrdiff_t rest = columns - column;
      const __m512i values = rounded(_mm512_maskz_loadu_ps(lanes(rest), from + column),
                                     _mm512_maskz_loadu_ps(lanes(rest - 16), from + column + 16));
      _mm512_mask_storeu_epi32(to + column / 2, lanes((rest + 1) / 2), values);
    }
  }
}

void ott_bf16_pack(float *target, float *inRows, float *sums, const float *source, ptrdiff_t stride,
                   ptrdiff_t rows, ptrdiff_t columns) {
  const __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8,
                                       39, 7, 38, 6, 37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
  const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
  const ptrdiff_t pairs = (rows + 1) / 2, rowPairs = (columns + 1) / 2;
  for (ptrdiff_t first = 0; first < columns; first += 64) {
    const ptrdiff_t width = smaller(64, (columns - first + 15) & ~15);
    float *panel = target + first * pairs;
    __m512 totals[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                        _mm512_setzero_ps()};
    for (ptrdiff_t pair = 0; pair < pairs; pair++) {
      const float *from = source + 2 * pair * stride + first;
      const bool isWhole = 2 * pair + 1 < rows;
#pragma clang loop unroll(full)
      for (int half = 0; half < 2; half++) {
        const ptrdiff_t column = 32 * half, rest = columns - first - column;
        if (column >= width) break;
        const __mmask16 mask0 = lanes(rest), mask1 = lanes(rest - 16);
        const __mmask16 odd0 = isWhole ? mask0 : 0, odd1 = isWhole ? mask1 : 0;
        const __m512 e0 = _mm512_maskz_loadu_ps(mask0, from + column);
        const __m512 e1 = _mm512_maskz_loadu_ps(mask1, from + column + 16);
        const __m512 o0 = _mm512_maskz_loadu_ps(odd0, from + stride + column);
        const __m512 o1 = _mm512_maskz_loadu_ps(odd1, from + stride + column + 16);
        const __m512i even = rounded(e0, e1), odd = rounded(o0, o1);
        float *to = panel + pair * width + column;
        _mm512_storeu_si512(to, _mm512_permutex2var_epi16(even, low, odd));
        if (column + 16 < width)
          _mm512_storeu_si512(to + 16, _mm512_permutex2var_epi16(even, high, odd));
        if (inRows) {
          float *row = inRows + 2 * pair * rowPairs + (first + column) / 2;
          const __mmask16 mask = lanes((rest + 1) / 2);
          _mm512_mask_storeu_epi32(row, mask, even);
          if (isWhole) _mm512_mask_storeu_epi32(row + rowPairs, mask, odd);
        }
        if (sums) {
          totals[2 * half] = _mm512_add_ps(totals[2 * half], _mm512_add_ps(e0, o0));
          totals[2 * half + 1] = _mm512_add_ps(totals[2 * half + 1], _mm512_add_ps(e1, o1));
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

static inline __m512 evenOdd(__m512 a, __m512 b, bool upper) {
  return upper ? __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30,
                                         15, 31)
               : __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7,
                                         23);
}

/// One round of a 16 × 16 transposition by perfect shuffles.
static inline __attribute__((always_inline)) void shuffle(__m512 to[16], const __m512 from[16]) {
#pragma clang loop unroll(full)
  for (int i = 0; i < 8; i++) {
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
#pragma clang loop unroll(full)
        for (int i = 0; i < 16; i++) {
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

// MARK: Product

/// `ROWS` rows by `WIDTH` vectors of the product over one panel.
#define TILE(ROWS, WIDTH)                                                                          \
  static void tile_##ROWS##_##WIDTH(float *c, ptrdiff_t cRow, const float *plus,                   \
                                    const float *bias, const float *a, ptrdiff_t aRow,             \
                                    ptrdiff_t aStep, const float *b, ptrdiff_t bStep,              \
                                    ptrdiff_t pairs, ptrdiff_t columns) {                          \
    __m512 sums[ROWS][WIDTH];                                                                      \
    for (int i = 0; i < ROWS; i++)                                                                 \
      for (int j = 0; j < WIDTH; j++) sums[i][j] = _mm512_setzero_ps();                            \
    if (plus)                                                                                      \
      for (int i = 0; i < ROWS; i++)                                                               \
        for (int j = 0; j < WIDTH; j++)                                                            \
          _mm_prefetch((const char *)(plus + i * cRow + 16 * j), _MM_HINT_T0);                     \
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
      const __m512 shift = bias ? _mm512_maskz_loadu_ps(mask, bias + 16 * j) : _mm512_setzero_ps(); \
      for (int i = 0; i < ROWS; i++) {                                                             \
        __m512 sum = sums[i][j];                                                                   \
        if (bias) sum = _mm512_add_ps(sum, shift);                                                 \
        if (plus)                                                                                  \
          sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask, plus + i * cRow + 16 * j));         \
        _mm512_mask_storeu_ps(c + i * cRow + 16 * j, mask, sum);                                   \
      }                                                                                            \
    }                                                                                              \
  }

TILE(4, 4) TILE(1, 4) TILE(4, 3) TILE(1, 3) TILE(8, 2) TILE(1, 2) TILE(8, 1) TILE(1, 1)

#define ROWS(HEIGHT, WIDTH)                                                                        \
  {                                                                                                \
    ptrdiff_t row = 0;                                                                             \
    for (; row + HEIGHT <= rows; row += HEIGHT)                                                    \
      tile_##HEIGHT##_##WIDTH(c + row * cRow + first, cRow, plus ? plus + row * cRow + first : 0,  \
                              bias ? bias + first : 0, a + row * aRow, aRow, aStep, panel, width,  \
                              pairs, columns - first);                                             \
    for (; row < rows; row++)                                                                      \
      tile_1_##WIDTH(c + row * cRow + first, cRow, plus ? plus + row * cRow + first : 0,           \
                     bias ? bias + first : 0, a + row * aRow, aRow, aStep, panel, width, pairs,    \
                     columns - first);                                                             \
    break;                                                                                         \
  }

void ott_bf16_product(float *c, ptrdiff_t cRow, const float *plus, const float *bias, const float *a,
                      ptrdiff_t aRow, ptrdiff_t aStep, const float *b, ptrdiff_t bPairs,
                      ptrdiff_t bColumns, ptrdiff_t bFirst, ptrdiff_t rows, ptrdiff_t pairs,
                      ptrdiff_t columns) {
  for (ptrdiff_t first = 0; first < columns; first += 64) {
    const ptrdiff_t width = smaller(64, (bColumns - first + 15) & ~15);
    const float *panel = b + first * bPairs + bFirst * width;
    switch (smaller(4, (columns - first + 15) / 16)) {
    case 4: ROWS(4, 4)
    case 3: ROWS(4, 3)
    case 2: ROWS(8, 2)
    case 1: ROWS(8, 1)
    }
  }
}

#else

bool ott_bf16_is_built(void) { return false; }

void ott_bf16_rows(float *target, const float *source, ptrdiff_t stride, ptrdiff_t rows,
                   ptrdiff_t columns) {
  __builtin_trap();
}
void ott_bf16_pack(float *target, float *inRows, float *sums, const float *source, ptrdiff_t stride,
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

#endif
