#include "CKernels.h"

/// The tree over `count` arrays of the sixteen places from `place` on, in registers.
static inline __attribute__((always_inline)) void sumVectors(float *const *arrays, const int count,
                                                             ptrdiff_t place, size_t bytes) {
  ott_float16 x[16];
#pragma clang loop unroll(full)
  for (int i = 0; i < count; i++) {
    x[i] = (ott_float16)0.0f;
    __builtin_memcpy(&x[i], arrays[i] + place, bytes);
  }
#pragma clang loop unroll(full)
  for (int distance = 1; distance < count; distance *= 2)
#pragma clang loop unroll(full)
    for (int i = 0; i + distance < count; i += 2 * distance) x[i] += x[i + distance];
  __builtin_memcpy(arrays[0] + place, &x[0], bytes);
}

#define TREE(COUNT)                                                                                \
  case COUNT:                                                                                      \
    for (; place + 16 <= end; place += 16) sumVectors(arrays, COUNT, place, sizeof(ott_float16));  \
    for (; place < end; place++) sumVectors(arrays, COUNT, place, sizeof(float));                  \
    break;

void ott_sum_tree(float *const *arrays, int count, ptrdiff_t first, ptrdiff_t end) {
  ptrdiff_t place = first;
  switch (count) {
    TREE(2)
    TREE(4)
    TREE(8)
    TREE(16)
  }
}
