#pragma once

/// Sixteen floats; Swift sees SIMD16<Float>.
typedef float ott_float16 __attribute__((ext_vector_type(16)));

/// a·b + c in each lane with one rounding. Swift's own `addingProduct` is a loop over lanes that the
/// optimizer does not always put together again.
static inline __attribute__((always_inline)) ott_float16 ott_fma(ott_float16 a, ott_float16 b,
                                                                 ott_float16 c) {
  return __builtin_elementwise_fma(a, b, c);
}
