#pragma once
#include <stdint.h>
#include <string.h>

// Byte classes of a block of 64 bytes as bit masks, bit i for byte i, in the compiler's portable
// vector types: one compare and one mask move per class where the CPU has AVX-512, a few
// instructions more on SSE2 and NEON.

typedef uint8_t scan_block __attribute__((ext_vector_type(64)));
typedef _Bool scan_bits __attribute__((ext_vector_type(64)));

typedef struct {
  uint64_t letters;      // A-Z a-z
  uint64_t digits;       // 0-9
  uint64_t spaces;       // TAB LF VT FF CR SPACE
  uint64_t newlines;     // LF CR
  uint64_t blanks;       // SPACE
  uint64_t apostrophes;  // '
  uint64_t high;         // 0x80-0xFF
} scan_masks;

static inline __attribute__((always_inline)) uint64_t scan_pack(scan_bits bits) {
  uint64_t mask;
  memcpy(&mask, &bits, sizeof mask);
  return mask;
}

#define SCAN_MASK(condition) scan_pack(__builtin_convertvector(condition, scan_bits))

/// Classes of the 64 bytes at `bytes`, which need no alignment.
static inline __attribute__((always_inline)) scan_masks scan_classify(const uint8_t *bytes) {
  scan_block c;
  memcpy(&c, bytes, sizeof c);
  scan_masks m;
  m.letters = SCAN_MASK(((c | 0x20) - 'a') < 26);
  m.digits = SCAN_MASK((c - '0') < 10);
  m.blanks = SCAN_MASK(c == ' ');
  m.spaces = m.blanks | SCAN_MASK((c - '\t') < 5);
  m.newlines = SCAN_MASK((c == '\n') | (c == '\r'));
  m.apostrophes = SCAN_MASK(c == '\'');
  m.high = SCAN_MASK(c >= 0x80);
  return m;
}

/// Upper-case letters A-Z of the 64 bytes at `bytes`.
static inline __attribute__((always_inline)) uint64_t scan_uppers(const uint8_t *bytes) {
  scan_block c;
  memcpy(&c, bytes, sizeof c);
  return SCAN_MASK((c - 'A') < 26);
}

/// Which of the 64 bytes at `bytes` are `byte`.
static inline __attribute__((always_inline)) uint64_t scan_equal(
    const uint8_t *bytes, uint8_t byte) {
  scan_block c;
  memcpy(&c, bytes, sizeof c);
  return SCAN_MASK(c == byte);
}

/// Which of the 64 bytes at `bytes` end plain text of a JSON string: quotes, backslashes, controls.
static inline __attribute__((always_inline)) uint64_t scan_string_stops(const uint8_t *bytes) {
  scan_block c;
  memcpy(&c, bytes, sizeof c);
  return SCAN_MASK((c == '"') | (c == '\\') | (c < 0x20));
}

/// Asks for the cache line at `address`; never faults.
static inline __attribute__((always_inline)) void scan_prefetch(const void *address) {
  __builtin_prefetch(address, 0, 3);
}

/// Bit i set where byte i is `first` and byte i + 1 is `second`; reads 65 bytes at `bytes`.
static inline __attribute__((always_inline)) uint64_t scan_pair(
    const uint8_t *bytes, uint8_t first, uint8_t second) {
  scan_block a, b;
  memcpy(&a, bytes, sizeof a);
  memcpy(&b, bytes + 1, sizeof b);
  return SCAN_MASK((a == first) & (b == second));
}

/// Whether one of the 64 bytes at `bytes` is `least` or more.
static inline __attribute__((always_inline)) uint64_t scan_at_least(
    const uint8_t *bytes, uint8_t least) {
  scan_block a;
  memcpy(&a, bytes, sizeof a);
  return SCAN_MASK(a >= least);
}

/// The least of `8 * groups` numbers at `numbers`, which need no alignment.
static inline __attribute__((always_inline)) uint64_t scan_least(
    const uint64_t *numbers, long groups) {
  typedef uint64_t scan_numbers __attribute__((ext_vector_type(8)));
  scan_numbers least, next;
  memcpy(&least, numbers, sizeof least);
  for (long group = 1; group < groups; group++) {
    memcpy(&next, numbers + 8 * group, sizeof next);
    least = __builtin_elementwise_min(least, next);
  }
  return __builtin_reduce_min(least);
}
