// SHA-256 compression (FIPS 180-4), by the CPU's own instructions where there are any.

#include "CSupport.h"

#include <string.h>

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static inline uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

void ott_sha256_blocks_portable(uint32_t state[8], const uint8_t *data, size_t blocks) {
  for (; blocks > 0; blocks--, data += 64) {
    uint32_t w[64];
    for (int i = 0; i < 16; i++)
      w[i] = (uint32_t)data[4 * i] << 24 | (uint32_t)data[4 * i + 1] << 16 |
             (uint32_t)data[4 * i + 2] << 8 | data[4 * i + 3];
    for (int i = 16; i < 64; i++) {
      uint32_t a = w[i - 15], b = w[i - 2];
      w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7] +
             (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int i = 0; i < 64; i++) {
      uint32_t t1 = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) +
                    K[i] + w[i];
      uint32_t t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
  }
}

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

static bool detect(void) {
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  return (b >> 29 & 1) != 0 && __builtin_cpu_supports("sse4.1");
}

bool ott_has_sha_instructions(void) {
  static int known; // 0 unknown, 1 no, 2 yes: every thread computes the same value
  int value = __atomic_load_n(&known, __ATOMIC_RELAXED);
  if (value == 0) {
    value = detect() ? 2 : 1;
    __atomic_store_n(&known, value, __ATOMIC_RELAXED);
  }
  return value == 2;
}

#define NATIVE __attribute__((target("sha,sse4.1")))

/// State as the instructions want it: words ABEF and CDGH.
typedef struct {
  __m128i abef, cdgh, w[4];
} Lane;

NATIVE static inline __attribute__((always_inline)) void load_state(Lane *lane, const uint32_t *state) {
  __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)&state[0]), 0xB1);
  __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)&state[4]), 0x1B);
  lane->abef = _mm_alignr_epi8(low, high, 8);
  lane->cdgh = _mm_blend_epi16(high, low, 0xF0);
}

NATIVE static inline __attribute__((always_inline)) void store_state(const Lane *lane, uint32_t *state) {
  __m128i low = _mm_shuffle_epi32(lane->abef, 0x1B);
  __m128i high = _mm_shuffle_epi32(lane->cdgh, 0xB1);
  _mm_storeu_si128((__m128i *)&state[0], _mm_blend_epi16(low, high, 0xF0));
  _mm_storeu_si128((__m128i *)&state[4], _mm_alignr_epi8(high, low, 8));
}

NATIVE static inline __attribute__((always_inline)) void load_block(Lane *lane, const uint8_t *data) {
  const __m128i order = _mm_set_epi64x(0x0c0d0e0f08090a0bULL, 0x0405060700010203ULL);
  for (int i = 0; i < 4; i++)
    lane->w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data + 16 * i)), order);
}

/// Rounds 4i..<4i+4 and the message words that they make free.
NATIVE static inline __attribute__((always_inline)) void four_rounds(Lane *lane, int i) {
  __m128i m = lane->w[i & 3];
  __m128i mk = _mm_add_epi32(m, _mm_loadu_si128((const __m128i *)&K[4 * i]));
  lane->cdgh = _mm_sha256rnds2_epu32(lane->cdgh, lane->abef, mk);
  lane->abef = _mm_sha256rnds2_epu32(lane->abef, lane->cdgh, _mm_shuffle_epi32(mk, 0x0E));
  if (i < 12) {
    __m128i w3 = lane->w[(i + 3) & 3];
    __m128i next = _mm_sha256msg1_epu32(m, lane->w[(i + 1) & 3]);
    next = _mm_add_epi32(next, _mm_alignr_epi8(w3, lane->w[(i + 2) & 3], 4));
    lane->w[i & 3] = _mm_sha256msg2_epu32(next, w3);
  }
}

NATIVE static void native_blocks(uint32_t state[8], const uint8_t *data, size_t blocks) {
  Lane lane;
  load_state(&lane, state);
  for (; blocks > 0; blocks--, data += 64) {
    const __m128i abef = lane.abef, cdgh = lane.cdgh;
    load_block(&lane, data);
#pragma clang loop unroll(full)
    for (int i = 0; i < 16; i++) four_rounds(&lane, i);
    lane.abef = _mm_add_epi32(lane.abef, abef);
    lane.cdgh = _mm_add_epi32(lane.cdgh, cdgh);
  }
  store_state(&lane, state);
}

NATIVE static void native_blocks_pair(
    uint32_t stateA[8], const uint8_t *a, uint32_t stateB[8], const uint8_t *b, size_t blocks) {
  Lane first, second;
  load_state(&first, stateA);
  load_state(&second, stateB);
  for (; blocks > 0; blocks--, a += 64, b += 64) {
    const __m128i abefA = first.abef, cdghA = first.cdgh;
    const __m128i abefB = second.abef, cdghB = second.cdgh;
    load_block(&first, a);
    load_block(&second, b);
#pragma clang loop unroll(full)
    for (int i = 0; i < 16; i++) {
      four_rounds(&first, i);
      four_rounds(&second, i);
    }
    first.abef = _mm_add_epi32(first.abef, abefA);
    first.cdgh = _mm_add_epi32(first.cdgh, cdghA);
    second.abef = _mm_add_epi32(second.abef, abefB);
    second.cdgh = _mm_add_epi32(second.cdgh, cdghB);
  }
  store_state(&first, stateA);
  store_state(&second, stateB);
}

#elif defined(__aarch64__) && defined(__ARM_FEATURE_SHA2)
#include <arm_neon.h>

bool ott_has_sha_instructions(void) { return true; }

static void native_blocks(uint32_t state[8], const uint8_t *data, size_t blocks) {
  uint32x4_t abcd = vld1q_u32(&state[0]), efgh = vld1q_u32(&state[4]);
  for (; blocks > 0; blocks--, data += 64) {
    const uint32x4_t abcdBefore = abcd, efghBefore = efgh;
    uint32x4_t w[4];
    for (int i = 0; i < 4; i++)
      w[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(data + 16 * i)));
    for (int i = 0; i < 16; i++) {
      uint32x4_t mk = vaddq_u32(w[i & 3], vld1q_u32(&K[4 * i]));
      if (i < 12)
        w[i & 3] = vsha256su1q_u32(
            vsha256su0q_u32(w[i & 3], w[(i + 1) & 3]), w[(i + 2) & 3], w[(i + 3) & 3]);
      uint32x4_t before = abcd;
      abcd = vsha256hq_u32(abcd, efgh, mk);
      efgh = vsha256h2q_u32(efgh, before, mk);
    }
    abcd = vaddq_u32(abcd, abcdBefore);
    efgh = vaddq_u32(efgh, efghBefore);
  }
  vst1q_u32(&state[0], abcd);
  vst1q_u32(&state[4], efgh);
}

static void native_blocks_pair(
    uint32_t stateA[8], const uint8_t *a, uint32_t stateB[8], const uint8_t *b, size_t blocks) {
  native_blocks(stateA, a, blocks);
  native_blocks(stateB, b, blocks);
}

#else
bool ott_has_sha_instructions(void) { return false; }

static void native_blocks(uint32_t state[8], const uint8_t *data, size_t blocks) {
  ott_sha256_blocks_portable(state, data, blocks);
}

static void native_blocks_pair(
    uint32_t stateA[8], const uint8_t *a, uint32_t stateB[8], const uint8_t *b, size_t blocks) {
  native_blocks(stateA, a, blocks);
  native_blocks(stateB, b, blocks);
}
#endif

void ott_sha256_blocks(uint32_t state[8], const uint8_t *data, size_t blocks) {
  if (ott_has_sha_instructions())
    native_blocks(state, data, blocks);
  else
    ott_sha256_blocks_portable(state, data, blocks);
}

void ott_sha256_blocks_pair(
    uint32_t stateA[8], const uint8_t *a, uint32_t stateB[8], const uint8_t *b, size_t blocks) {
  if (ott_has_sha_instructions()) {
    native_blocks_pair(stateA, a, stateB, b, blocks);
  } else {
    ott_sha256_blocks_portable(stateA, a, blocks);
    ott_sha256_blocks_portable(stateB, b, blocks);
  }
}
