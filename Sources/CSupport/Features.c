// Compares the instruction set this build was compiled for with the one the CPU has.
// Swift code is compiled for the same target, so the check must come before any of it: it runs as a
// constructor, in functions compiled for the plain baseline.

#include "CSupport.h"

#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
#define BASELINE __attribute__((target("arch=x86-64"), noinline))

#define FEATURES(X)                                                                                \
  X(AVX, "avx") X(AVX2, "avx2") X(FMA, "fma") X(BMI, "bmi") X(BMI2, "bmi2") X(POPCNT, "popcnt")    \
  X(SSE42, "sse4.2") X(AVX512F, "avx512f") X(AVX512BW, "avx512bw") X(AVX512CD, "avx512cd")         \
  X(AVX512DQ, "avx512dq") X(AVX512VL, "avx512vl") X(AVX512VNNI, "avx512vnni")                      \
  X(AVX512BF16, "avx512bf16") X(AVX512VBMI, "avx512vbmi") X(AVX512VBMI2, "avx512vbmi2")            \
  X(AVX512IFMA, "avx512ifma") X(AVX512BITALG, "avx512bitalg")                                      \
  X(AVX512VPOPCNTDQ, "avx512vpopcntdq") X(GFNI, "gfni") X(VPCLMULQDQ, "vpclmulqdq")

#ifdef __AVX__
#define HAVE_AVX 1
#else
#define HAVE_AVX 0
#endif
#ifdef __AVX2__
#define HAVE_AVX2 1
#else
#define HAVE_AVX2 0
#endif
#ifdef __FMA__
#define HAVE_FMA 1
#else
#define HAVE_FMA 0
#endif
#ifdef __BMI__
#define HAVE_BMI 1
#else
#define HAVE_BMI 0
#endif
#ifdef __BMI2__
#define HAVE_BMI2 1
#else
#define HAVE_BMI2 0
#endif
#ifdef __POPCNT__
#define HAVE_POPCNT 1
#else
#define HAVE_POPCNT 0
#endif
#ifdef __SSE4_2__
#define HAVE_SSE42 1
#else
#define HAVE_SSE42 0
#endif
#ifdef __AVX512F__
#define HAVE_AVX512F 1
#else
#define HAVE_AVX512F 0
#endif
#ifdef __AVX512BW__
#define HAVE_AVX512BW 1
#else
#define HAVE_AVX512BW 0
#endif
#ifdef __AVX512CD__
#define HAVE_AVX512CD 1
#else
#define HAVE_AVX512CD 0
#endif
#ifdef __AVX512DQ__
#define HAVE_AVX512DQ 1
#else
#define HAVE_AVX512DQ 0
#endif
#ifdef __AVX512VL__
#define HAVE_AVX512VL 1
#else
#define HAVE_AVX512VL 0
#endif
#ifdef __AVX512VNNI__
#define HAVE_AVX512VNNI 1
#else
#define HAVE_AVX512VNNI 0
#endif
#ifdef __AVX512BF16__
#define HAVE_AVX512BF16 1
#else
#define HAVE_AVX512BF16 0
#endif
#ifdef __AVX512VBMI__
#define HAVE_AVX512VBMI 1
#else
#define HAVE_AVX512VBMI 0
#endif
#ifdef __AVX512VBMI2__
#define HAVE_AVX512VBMI2 1
#else
#define HAVE_AVX512VBMI2 0
#endif
#ifdef __AVX512IFMA__
#define HAVE_AVX512IFMA 1
#else
#define HAVE_AVX512IFMA 0
#endif
#ifdef __AVX512BITALG__
#define HAVE_AVX512BITALG 1
#else
#define HAVE_AVX512BITALG 0
#endif
#ifdef __AVX512VPOPCNTDQ__
#define HAVE_AVX512VPOPCNTDQ 1
#else
#define HAVE_AVX512VPOPCNTDQ 0
#endif
#ifdef __GFNI__
#define HAVE_GFNI 1
#else
#define HAVE_GFNI 0
#endif
#ifdef __VPCLMULQDQ__
#define HAVE_VPCLMULQDQ 1
#else
#define HAVE_VPCLMULQDQ 0
#endif
#else
#define BASELINE __attribute__((noinline))
#endif

static char built[512];
static char missing[512];

/// Appends by single bytes, so that no vectorised library routine is needed.
BASELINE static void append(char *list, const char *name) {
  size_t end = 0;
  while (list[end]) end++;
  if (end > 0 && end + 1 < sizeof built) list[end++] = ',';
  for (size_t i = 0; name[i] && end + 1 < sizeof built; i++) list[end++] = name[i];
}

BASELINE static void compare_features(void) {
  if (built[0] || missing[0]) return;
#if defined(__x86_64__)
  __builtin_cpu_init();
#define X(macro, name)                                                                             \
  if (HAVE_##macro) {                                                                              \
    append(built, name);                                                                           \
    if (!__builtin_cpu_supports(name)) append(missing, name);                                      \
  }
  FEATURES(X)
#undef X
#elif defined(__aarch64__)
  append(built, "neon");
#endif
}

const char *ott_build_features(void) {
  compare_features();
  return built;
}

const char *ott_missing_features(void) {
  compare_features();
  return missing;
}

BASELINE static void say(const char *text) {
  size_t length = 0;
  while (text[length]) length++;
  ssize_t written = write(2, text, length);
  (void)written;
}

__attribute__((constructor(101))) BASELINE static void require_build_features(void) {
  compare_features();
  if (!missing[0]) return;
  say("error: this program was built for a CPU with ");
  say(missing);
  say(", which this CPU lacks. Build it on this machine: make clean-build && make build\n");
  _exit(1);
}
