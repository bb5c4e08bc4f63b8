#pragma once

// What the files on bfloat16 share; they need the instructions AVX512-BF16.

#include "CKernels.h"

#if defined(__AVX512BF16__) && defined(__AVX512BW__) && defined(__AVX512VL__)

#define OTT_HAS_BF16 1

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))
#define UNROLLED _Pragma("clang loop unroll(full)")

/// Lanes below `count`, which may be negative or beyond 16.
INLINE __mmask16 lanes(ptrdiff_t count) {
  return count >= 16 ? 0xFFFF : count <= 0 ? 0 : (__mmask16)((1u << count) - 1);
}

INLINE ptrdiff_t smaller(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

/// 32 floats rounded to nearest even: `low` in the lower 16 places.
INLINE __m512i rounded(__m512 low, __m512 high) {
  return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

/// Pairs of two rows of 32 bfloat16: those of their lower or upper 16 columns.
INLINE __m512i paired(__m512i even, __m512i odd, bool upper) {
  const __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8,
                                       39, 7, 38, 6, 37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
  const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
  return _mm512_permutex2var_epi16(even, upper ? high : low, odd);
}

static const float log2OfE = 1.44269504f;

/// 2^t = 2^n · p(t − n) with n the integer next to t and p of degree 4, least in relative error:
/// below 3e-6, a thousandth of what rounding to bfloat16 costs. 0 from t < −150 on; NaN stays NaN,
/// as it is for infinite t.
INLINE __m512 powerOfTwo(__m512 t) {
  const __m512 n = _mm512_roundscale_ps(t, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 f = _mm512_sub_ps(t, n);
  __m512 p = _mm512_set1_ps(9.582853e-3f);
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(5.5906426e-2f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(2.4024099e-1f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(6.931242e-1f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1));
  return _mm512_scalef_ps(p, n);
}

// MARK: Tiles

/// Whether products are those of Tiles.c.
bool ott_tiles_are_used(void);

/// As `ott_bf16_product`; `isMultiple`, for A in rows, multiplies by `other` instead of adding it.
void ott_tiles_product(float *c, ptrdiff_t cRow, const float *other, bool isMultiple,
                       const float *bias, const float *a, ptrdiff_t aRow, ptrdiff_t aStep,
                       const float *b, ptrdiff_t bPairs, ptrdiff_t bColumns, ptrdiff_t bFirst,
                       ptrdiff_t rows, ptrdiff_t pairs, ptrdiff_t columns);

/// Asks for lines of what was announced while a tile of `rows` rows sums up `pairs` pairs.
void ott_bf16_ask_ahead(ptrdiff_t rows, ptrdiff_t pairs);

#else

#define OTT_HAS_BF16 0

#endif
