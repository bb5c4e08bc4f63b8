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

/// `x` with `value` in one lane.
static inline __attribute__((always_inline)) ott_float16 ott_with_lane(ott_float16 x, int lane,
                                                                       float value) {
  const ott_int16 lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return lanes == (ott_int16)lane ? (ott_float16)value : x;
}

/// The larger of both in each lane; `b` where either is NaN.
static inline __attribute__((always_inline)) ott_float16 ott_larger(ott_float16 a, ott_float16 b) {
  return a > b ? a : b;
}

/// The largest lane, by halves. Comparisons stand here themselves: without AVX-512 clang passes no vector of
/// 64 bytes from C to C.
static inline __attribute__((always_inline)) float ott_largest(ott_float16 x) {
  ott_float16 other =
      __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
  ott_float16 best = x > other ? x : other;
  other = __builtin_shufflevector(best, best, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
  best = best > other ? best : other;
  other = __builtin_shufflevector(best, best, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
  best = best > other ? best : other;
  return best[0] > best[1] ? best[0] : best[1];
}

/// target (16, 16) = source (height, 16)ᵀ, both with row strides; columns height…16 of the target are
/// zeros. Rows are interleaved by ones, by pairs and twice by fours.
static inline __attribute__((always_inline)) void ott_transpose_tile(float *target,
                                                                     ptrdiff_t targetRow,
                                                                     const float *source,
                                                                     ptrdiff_t sourceRow,
                                                                     ptrdiff_t height) {
  ott_float16 a[16], b[16];
#pragma clang loop unroll(full)
  for (int i = 0; i < 16; i++) {
    a[i] = (ott_float16)0.0f;
    if (i < height) __builtin_memcpy(&a[i], source + i * sourceRow, sizeof a[i]);
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < 16; i += 2) {
    b[i] = __builtin_shufflevector(a[i], a[i + 1], 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
    b[i + 1] = __builtin_shufflevector(a[i], a[i + 1], 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < 16; i += 4) {
    a[i] = __builtin_shufflevector(b[i], b[i + 2], 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
    a[i + 1] = __builtin_shufflevector(b[i], b[i + 2], 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
    a[i + 2] = __builtin_shufflevector(b[i + 1], b[i + 3], 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
    a[i + 3] = __builtin_shufflevector(b[i + 1], b[i + 3], 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
  }
  // Four floats l of a[i + c] are column 4·l + c of the rows i to i + 3.
#pragma clang loop unroll(full)
  for (int c = 0; c < 4; c++) {
    b[c] = __builtin_shufflevector(a[c], a[c + 4], 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
    b[c + 4] = __builtin_shufflevector(a[c], a[c + 4], 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
    b[c + 8] = __builtin_shufflevector(a[c + 8], a[c + 12], 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
    b[c + 12] = __builtin_shufflevector(a[c + 8], a[c + 12], 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
  }
#pragma clang loop unroll(full)
  for (int c = 0; c < 4; c++) {
    a[c] = __builtin_shufflevector(b[c], b[c + 8], 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
    a[c + 8] = __builtin_shufflevector(b[c], b[c + 8], 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
    a[c + 4] = __builtin_shufflevector(b[c + 4], b[c + 12], 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
    a[c + 12] = __builtin_shufflevector(b[c + 4], b[c + 12], 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < 16; i++) __builtin_memcpy(target + i * targetRow, &a[i], sizeof a[i]);
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

// MARK: Sums

/// arrays[0] = the binary tree over `count` arrays, 2, 4, 8 or 16: (0 + 1) + (2 + 3) and so on, for the
/// places first ..< end. Each array is read once, and only the first is written.
void ott_sum_tree(float *const *arrays, int count, ptrdiff_t first, ptrdiff_t end);

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

/// What multiplies pairs: vectors (AVX512-BF16), the tiles of AMX, or the same tiles in plain C, which
/// have AMX's bits and are some hundred times as slow.
enum { ott_bf16_vectors = 0, ott_bf16_amx = 1, ott_bf16_emulated_amx = 2 };

/// Whether this CPU, its system and this build have it; of AMX also whether it makes the bits that the tiles
/// in plain C make, which a process of its own tries out once.
bool ott_bf16_has(int kernel);

/// Chooses one that is there for the whole process, before anything is multiplied.
void ott_bf16_use(int kernel);

/// The one that was chosen last.
int ott_bf16_used(void);

/// The rows layout of `source` (rows, columns), pairs along columns.
void ott_bf16_rows(float *target, const float *source, ptrdiff_t stride, ptrdiff_t rows,
                   ptrdiff_t columns);

/// The same of GELU(source). Here and below GELU is that of GPT-2, ½x(1 + tanh(√(2/π)(x + 0.044715x³))),
/// with an error below 6e-6 of its value and 1e-12.
void ott_bf16_gelu_rows(float *target, const float *source, ptrdiff_t stride, ptrdiff_t rows,
                        ptrdiff_t columns);

/// The panels of `source` (rows, columns), pairs along rows: ⌈rows / 2⌉ · padded columns floats. In the
/// same pass, where not null: the rows layout, and sums[column] += the sum of the column before
/// rounding, by pairs of rows in order.
void ott_bf16_pack(float *target, float *inRows, float *sums, const float *source, ptrdiff_t stride,
                   ptrdiff_t rows, ptrdiff_t columns);

/// The same panels of GELU(source); `slopes`, rows like those of `source`, gets GELU′(source).
void ott_bf16_gelu_pack(float *target, float *slopes, const float *source, ptrdiff_t stride,
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

/// C (rows, columns) = (A·B) ∘ C, A in rows of `pairs` pairs, B in the panels of 2 · pairs rows.
void ott_bf16_product_times(float *c, ptrdiff_t cRow, const float *a, const float *b, ptrdiff_t rows,
                            ptrdiff_t pairs, ptrdiff_t columns);

/// Says what this thread reads after its next products, which then ask for it line by line; replaces
/// what was said before.
void ott_bf16_look_ahead(const float *first, ptrdiff_t firstCount, const float *second,
                         ptrdiff_t secondCount);

// MARK: Attention in bfloat16, one head of one segment

/// Rows of scores s of the queries first ..< first + rows against the keys up to each query itself:
/// `p`, rows layout with ⌈(first + rows) / 2⌉ pairs, gets e^(scale · (s − max s)) and zeros,
/// `tops` scale · max s and `totals` the sum of the row before rounding. `scale` is positive.
void ott_bf16_softmax(float *p, float *tops, float *totals, const float *scores, ptrdiff_t stride,
                      ptrdiff_t rows, ptrdiff_t first, float scale);

/// Of `rows` queries, the first of them `ahead` rows beyond the first of up to 64 keys, where `ahead`
/// is 0 or at least 64:
///
///     p = e^(scale · q·k − logSumExp), dS = scale · p ∘ (dO·v − dot), both zero for keys beyond q.
///
/// \param p, dS (⌈rows / 2⌉, 64) pairs along queries, with room for ⌈rows / 8⌉ · 4 pairs. For ahead 0
///   the first 64 queries have vectors of sixteen keys up to their own, the rest stays as it is.
/// \param dSRows (rows, 32) likewise, pairs along keys.
/// \param queries, gradients rows of q and dO, `pairs` each.
/// \param keys, values one panel of kᵀ and vᵀ, `width` wide: 64 unless all rows are among the first 64.
/// \param logSumExp, dot of each query: Σ o ∘ dO.
void ott_bf16_attention_gradients(float *p, float *dS, float *dSRows, const float *queries,
                                  const float *gradients, const float *keys, const float *values,
                                  const float *logSumExp, const float *dot, ptrdiff_t pairs,
                                  ptrdiff_t width, ptrdiff_t rows, ptrdiff_t ahead, float scale);
