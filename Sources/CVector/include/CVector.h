#pragma once

/// Sixteen floats; Swift sees SIMD16<Float>.
typedef float ott_float16 __attribute__((ext_vector_type(16)));

/// a·b + c in each lane with one rounding. Swift's own `addingProduct` is a loop over lanes that the
/// optimizer does not always put together again.
static inline __attribute__((always_inline)) ott_float16 ott_fma(ott_float16 a, ott_float16 b,
                                                                 ott_float16 c) {
  return __builtin_elementwise_fma(a, b, c);
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
