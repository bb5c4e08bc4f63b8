// Products of bfloat16 pairs by AMX, whose registers are tiles of sixteen rows of 64 bytes, and by the
// same tiles in plain C. See CKernels.h for the layouts: the panels of B are tiles as they are.
//
// A multiplication of tiles adds to each element of C, over up to sixteen pairs, a chain of the first and
// a chain of the second of each pair, then both together (Intel's manual, TDPBF16PS), with subnormal
// numbers as zeros. So bits are other than those of AVX512-BF16, and depend on an element's row and column
// alone, too.

#include "BFloat16.h"

#if OTT_HAS_BF16

#include <cpuid.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/// Rows and columns of C at a time.
enum { SIDE = 32 };

/// What tiles are configured for.
typedef struct {
  ptrdiff_t rows, depth;
} Shape;

INLINE void prefetch(const float *from, ptrdiff_t stride, ptrdiff_t rows, ptrdiff_t columns) {
  for (ptrdiff_t row = 0; row < rows; row++) {
    __builtin_prefetch(from + row * stride, 1);
    if (columns > 16) __builtin_prefetch(from + row * stride + 16, 1);
  }
}

/// C (rows, up to 32 columns) = sums + bias, plus or times `other`.
static void finish(float *c, ptrdiff_t cRow, const float *other, bool isMultiple, const float *bias,
                   const float *sums, ptrdiff_t rows, ptrdiff_t columns) {
  UNROLLED for (int j = 0; j < SIDE / 16; j++) {
    const __mmask16 mask = lanes(columns - 16 * j);
    const __m512 shift = bias ? _mm512_maskz_loadu_ps(mask, bias + 16 * j) : _mm512_setzero_ps();
    for (ptrdiff_t row = 0; row < rows && mask; row++) {
      __m512 sum = _mm512_add_ps(_mm512_load_ps(sums + row * SIDE + 16 * j), shift);
      if (other) {
        const __m512 factor = _mm512_maskz_loadu_ps(mask, other + row * cRow + 16 * j);
        sum = isMultiple ? _mm512_mul_ps(sum, factor) : _mm512_add_ps(sum, factor);
      }
      _mm512_mask_storeu_ps(c + row * cRow + 16 * j, mask, sum);
    }
  }
}

// MARK: AMX

/// What LDTILECFG reads.
typedef struct {
  unsigned char palette, start, reserved[14];
  unsigned short rowBytes[16];
  unsigned char rows[16];
} Configuration;

INLINE Configuration configuration(ptrdiff_t rows, ptrdiff_t depth) {
  Configuration result = {.palette = 1};
  const unsigned char upper = (unsigned char)smaller(16, rows), lower = (unsigned char)(rows - upper);
  const unsigned char heights[8] = {upper, upper, lower, lower, upper, lower,
                                    (unsigned char)depth, (unsigned char)depth};
  for (int tile = 0; tile < 8; tile++) {
    if (heights[tile] == 0) continue;
    result.rows[tile] = heights[tile];
    result.rowBytes[tile] = tile == 4 || tile == 5 ? (unsigned short)(4 * depth) : 64;
  }
  return result;
}

#define MADE(name) amx_##name
#define TARGET __attribute__((target("amx-tile,amx-bf16")))
#define CONFIGURE(rows, depth)                                                                     \
  {                                                                                                \
    const Configuration wanted = configuration(rows, depth);                                       \
    _tile_loadconfig(&wanted);                                                                     \
  }
#define ZERO(tile) _tile_zero(tile)
#define LOAD(tile, from, stride) _tile_loadd(tile, from, stride)
#define STORE(tile, to, stride) _tile_stored(tile, to, stride)
#define MULTIPLY(c, a, b) _tile_dpbf16ps(c, a, b)
#include "TiledProduct.h"

/// Whether the processor has AMX with bfloat16 and the system lets this process use it.
static bool hasAMX(void) {
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  const unsigned both = 1u << 24 | 1u << 22;
  if ((d & both) != both) return false;
  enum { requestPermission = 0x1023, tileData = 18 };
  return syscall(SYS_arch_prctl, requestPermission, tileData) == 0;
}

// MARK: The same in C

static _Thread_local struct {
  Configuration shapes;
  float values[8][16][16];
} emulated;

static void emulatedConfigure(ptrdiff_t rows, ptrdiff_t depth) {
  emulated.shapes = configuration(rows, depth);
  __builtin_memset(emulated.values, 0, sizeof emulated.values);
}

static void emulatedZero(int tile) {
  __builtin_memset(emulated.values[tile], 0, sizeof emulated.values[tile]);
}

static void emulatedLoad(int tile, const float *from, size_t stride) {
  if (emulated.shapes.rows[tile] == 0) __builtin_trap();
  emulatedZero(tile);
  for (int row = 0; row < emulated.shapes.rows[tile]; row++)
    __builtin_memcpy(emulated.values[tile][row], (const char *)from + row * stride,
                     emulated.shapes.rowBytes[tile]);
}

static void emulatedStore(int tile, float *to, size_t stride) {
  if (emulated.shapes.rows[tile] == 0) __builtin_trap();
  for (int row = 0; row < emulated.shapes.rows[tile]; row++)
    __builtin_memcpy((char *)to + row * stride, emulated.values[tile][row],
                     emulated.shapes.rowBytes[tile]);
}

/// A number of bfloat16 in the upper half; zero if it is subnormal.
static float half(unsigned bits) {
  float x;
  if ((bits & 0x7F800000) == 0) bits &= 0x80000000;
  __builtin_memcpy(&x, &bits, sizeof x);
  return x;
}

static float flushed(float x) { return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x; }

static void emulatedMultiply(int c, int a, int b) {
  const Configuration *shapes = &emulated.shapes;
  // What the processor answers by a fault.
  if (shapes->rows[c] == 0 || shapes->rows[a] != shapes->rows[c] ||
      shapes->rowBytes[a] != 4 * shapes->rows[b] || shapes->rowBytes[b] != shapes->rowBytes[c])
    __builtin_trap();
  for (int row = 0; row < shapes->rows[c]; row++)
    for (int column = 0; column < shapes->rowBytes[c] / 4; column++) {
      float first = 0, second = 0;
      for (int pair = 0; pair < shapes->rows[b]; pair++) {
        unsigned x, y;
        __builtin_memcpy(&x, &emulated.values[a][row][pair], sizeof x);
        __builtin_memcpy(&y, &emulated.values[b][pair][column], sizeof y);
        first = flushed(fmaf(half(x << 16), half(y << 16), first));
        second = flushed(fmaf(half(x & 0xFFFF0000), half(y & 0xFFFF0000), second));
      }
      float *sum = &emulated.values[c][row][column];
      *sum = flushed(flushed(*sum) + flushed(first + second));
    }
}

#define MADE(name) emulated_##name
#define TARGET
#define CONFIGURE(rows, depth) emulatedConfigure(rows, depth)
#define ZERO(tile) emulatedZero(tile)
#define LOAD(tile, from, stride) emulatedLoad(tile, from, stride)
#define STORE(tile, to, stride) emulatedStore(tile, to, stride)
#define MULTIPLY(c, a, b) emulatedMultiply(c, a, b)
#include "TiledProduct.h"

// MARK: Choice

/// Whether both make the same bits of a product with edges on all sides.
static bool agree(typeof(emulated_product) *one, typeof(emulated_product) *other) {
  enum { rows = 41, pairs = 37, columns = 55, width = 64 };
  static float a[rows * pairs], b[pairs * width], c[2][rows * columns];
  unsigned state = 1;
  for (int i = 0; i < rows * pairs + pairs * width; i++) {
    unsigned pair = 0;
    for (int half = 0; half < 2; half++) {
      state = state * 1664525 + 1013904223;
      // A sign, 2⁻² to 2¹, seven bits.
      pair = pair << 16 | (state >> 31) << 15 | (125 + (state >> 29 & 3)) << 7 | (state >> 20 & 127);
    }
    __builtin_memcpy(i < rows * pairs ? &a[i] : &b[i - rows * pairs], &pair, sizeof pair);
  }
  for (int i = 0; i < rows * columns; i++) c[0][i] = c[1][i] = (float)(i % 7);
  one(c[0], columns, c[0], false, b, a, pairs, b, pairs, columns, 0, rows, pairs, columns);
  other(c[1], columns, c[1], false, b, a, pairs, b, pairs, columns, 0, rows, pairs, columns);
  return __builtin_memcmp(c[0], c[1], sizeof c[0]) == 0;
}

/// Whether two kernels agree, tried in a process of its own: an instruction that the processor or a virtual
/// machine does not have after all ends that one.
static bool agreeElsewhere(typeof(emulated_product) *one, typeof(emulated_product) *other) {
  const pid_t child = fork();
  if (child < 0) return false;
  if (child == 0) {
    signal(SIGILL, SIG_DFL);
    signal(SIGSEGV, SIG_DFL);
    _exit(agree(one, other) ? 0 : 1);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return false;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int kernel = ott_bf16_vectors;

bool ott_bf16_has(int wanted) {
  if (wanted != ott_bf16_amx) return true;
  // 0 is not known yet.
  static _Atomic int answer;
  if (answer == 0) answer = hasAMX() && agreeElsewhere(amx_product, emulated_product) ? 1 : -1;
  return answer == 1;
}

void ott_bf16_use(int wanted) { kernel = wanted; }

int ott_bf16_used(void) { return kernel; }

bool ott_tiles_are_used(void) { return kernel != ott_bf16_vectors; }

static void product(float *c, ptrdiff_t cRow, const float *other, bool isMultiple, const float *bias,
                    const float *a, ptrdiff_t aRow, const float *b, ptrdiff_t bPairs,
                    ptrdiff_t bColumns, ptrdiff_t bFirst, ptrdiff_t rows, ptrdiff_t pairs,
                    ptrdiff_t columns) {
  if (kernel == ott_bf16_amx)
    amx_product(c, cRow, other, isMultiple, bias, a, aRow, b, bPairs, bColumns, bFirst, rows, pairs,
                columns);
  else
    emulated_product(c, cRow, other, isMultiple, bias, a, aRow, b, bPairs, bColumns, bFirst, rows,
                     pairs, columns);
}

void ott_tiles_product(float *c, ptrdiff_t cRow, const float *other, bool isMultiple,
                       const float *bias, const float *a, ptrdiff_t aRow, ptrdiff_t aStep,
                       const float *b, ptrdiff_t bPairs, ptrdiff_t bColumns, ptrdiff_t bFirst,
                       ptrdiff_t rows, ptrdiff_t pairs, ptrdiff_t columns) {
  if (aStep == 1) {
    product(c, cRow, other, isMultiple, bias, a, aRow, b, bPairs, bColumns, bFirst, rows, pairs,
            columns);
    return;
  }
  // A from panels: its rows side by side, as many as stay in the second cache.
  enum { height = 64, depth = 256 };
  static _Thread_local _Alignas(64) float left[height * depth];
  for (ptrdiff_t row = 0; row < rows; row += height) {
    const ptrdiff_t count = smaller(height, rows - row);
    float *to = c + row * cRow;
    const float *base = other ? other + row * cRow : 0;
    for (ptrdiff_t pair = 0; pair < pairs; pair += depth) {
      const ptrdiff_t some = smaller(depth, pairs - pair);
      for (ptrdiff_t k = 0; k < some; k += 16)
        for (ptrdiff_t i = 0; i < count; i += 16)
          ott_transpose_tile(left + i * depth + k, depth, a + row + i + (pair + k) * aStep, aStep,
                             smaller(16, some - k));
      product(to, cRow, pair > 0 ? to : base, isMultiple, pair > 0 ? 0 : bias, left, depth, b, bPairs,
              bColumns, bFirst + pair, count, some, columns);
    }
  }
}

#else

bool ott_bf16_has(int wanted) { return false; }
void ott_bf16_use(int wanted) {}
int ott_bf16_used(void) { return ott_bf16_vectors; }

#endif
