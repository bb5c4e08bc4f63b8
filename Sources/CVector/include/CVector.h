#pragma once

#include <stdbool.h>
#include <stddef.h>

/// Sixteen floats; Swift sees SIMD16<Float>.
typedef float ott_float16 __attribute__((ext_vector_type(16)));

/// a·b + c in each lane with one rounding. Swift's own `addingProduct` is a loop over lanes that the
/// optimizer does not always put together again.
static inline __attribute__((always_inline)) ott_float16 ott_fma(ott_float16 a, ott_float16 b,
                                                                 ott_float16 c) {
  return __builtin_elementwise_fma(a, b, c);
}

/// √x in each lane, correctly rounded. Swift's own `squareRoot` is a loop over lanes.
static inline __attribute__((always_inline)) ott_float16 ott_square_root(ott_float16 x) {
  return __builtin_elementwise_sqrt(x);
}

typedef int ott_int16 __attribute__((ext_vector_type(16)));

/// The lanes below `count` of `x`, and `other` in the rest.
static inline __attribute__((always_inline)) ott_float16 ott_first_lanes(ott_float16 x, int count,
                                                                         float other) {
  const ott_int16 lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return lanes < (ott_int16)count ? x : (ott_float16)other;
}

/// The larger of both in each lane; `b` where either is NaN.
static inline __attribute__((always_inline)) ott_float16 ott_larger(ott_float16 a, ott_float16 b) {
  return a > b ? a : b;
}

/// The largest lane, by halves.
static inline __attribute__((always_inline)) float ott_largest(ott_float16 x) {
  ott_float16 best = ott_larger(x, __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1,
                                                           2, 3, 4, 5, 6, 7));
  best = ott_larger(best, __builtin_shufflevector(best, best, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15,
                                                  8, 9, 10, 11));
  best = ott_larger(best, __builtin_shufflevector(best, best, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9,
                                                  14, 15, 12, 13));
  return best[0] > best[1] ? best[0] : best[1];
}

typedef unsigned int ott_uint16 __attribute__((ext_vector_type(16)));
typedef unsigned long long ott_ulong16 __attribute__((ext_vector_type(16)));

/// The upper half of the 64-bit product in each lane.
static inline __attribute__((always_inline)) ott_uint16 ott_multiply_high(ott_uint16 a,
                                                                          unsigned int b) {
  return __builtin_convertvector(
      (__builtin_convertvector(a, ott_ulong16) * (ott_ulong16)b) >> 32, ott_uint16);
}

/// Stores 64 bytes past the caches where the CPU can: for lines that are written whole and not read
/// again soon. `target` is aligned to 64 bytes. Others see it after `ott_fence`.
static inline __attribute__((always_inline)) void ott_stream(float *target, ott_float16 x) {
  __builtin_nontemporal_store(x, (ott_float16 *)target);
}

/// Stores sixteen 16-bit numbers likewise. `target` is aligned to 32 bytes.
typedef unsigned short ott_ushort16 __attribute__((ext_vector_type(16)));
static inline __attribute__((always_inline)) void ott_stream16(unsigned short *target,
                                                               ott_ushort16 x) {
  __builtin_nontemporal_store(x, (ott_ushort16 *)target);
}

/// Completes the streams of this thread.
static inline __attribute__((always_inline)) void ott_fence(void) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
#if defined(__x86_64__)
  __builtin_ia32_sfence();
#endif
}

/// Asks for the cache line at `address`, which need not be mapped.
static inline __attribute__((always_inline)) void ott_prefetch(const void *address) {
  __builtin_prefetch(address, 0, 3);
}

// MARK: bfloat16

// Pairs of bfloat16 neighbours along the summed dimension, in 32 bits that are passed around as a
// float. Floats are rounded to nearest even; subnormal ones become zero. A missing neighbour is zero.
//
// Two layouts of a matrix (depth, columns) or its like:
//   rows    (rows, ⌈depth / 2⌉): a left factor, row by row;
//   panels  for each 64 columns (⌈depth / 2⌉, width): a right factor, or a transposed left one; width
//           is 64, and in the last panel the columns that are left, rounded up to 16.

/// Whether this build has the functions below; without, they trap. The build needs a CPU with the
/// instructions AVX512-BF16.
bool ott_bf16_is_built(void);

/// The rows layout of `source` (rows, columns), pairs along columns.
void ott_bf16_rows(float *target, const float *source, ptrdiff_t stride, ptrdiff_t rows,
                   ptrdiff_t columns);

/// The panels of `source` (rows, columns), pairs along rows: ⌈rows / 2⌉ · padded columns floats. In the
/// same pass, where not null: the rows layout, and sums[column] += the sum of the column before
/// rounding, by pairs of rows in order.
void ott_bf16_pack(float *target, float *inRows, float *sums, const float *source, ptrdiff_t stride,
                   ptrdiff_t rows, ptrdiff_t columns);

/// The panels of the transpose of `source` (rows, columns), pairs along its columns:
/// ⌈columns / 2⌉ · padded rows floats.
void ott_bf16_pack_transposed(float *target, const float *source, ptrdiff_t stride, ptrdiff_t rows,
                              ptrdiff_t columns);

/// C (rows, columns) = A·B + bias + plus. Element (i, k) of A, a pair, is at a[i · aRow + k · aStep];
/// B is in the panels of a matrix of 2 · bPairs rows and bColumns columns, its pairs from bFirst on.
/// Every element is one chain of pair products over k, so that its bits depend on its row and column
/// alone. `bias` (columns) and `plus` (as C, may be C) may be null.
void ott_bf16_product(float *c, ptrdiff_t cRow, const float *plus, const float *bias, const float *a,
                      ptrdiff_t aRow, ptrdiff_t aStep, const float *b, ptrdiff_t bPairs,
                      ptrdiff_t bColumns, ptrdiff_t bFirst, ptrdiff_t rows, ptrdiff_t pairs,
                      ptrdiff_t columns);
