// The way to libFuzzer. Its library is there only in the build that `make fuzz-guided` makes.

#include "CFuzzing.h"

#include <signal.h>
#include <stdlib.h>

int LLVMFuzzerRunDriver(int *count, char ***arguments,
                        int (*read)(const uint8_t *, size_t)) __attribute__((weak));

static void (*reader)(const uint8_t *, size_t);

/// Has the name that the library's own `main` asks for when it is linked.
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
  reader(bytes, count);
  return 0;
}

int ott_has_guide(void) { return LLVMFuzzerRunDriver != NULL; }

void ott_guide(int count, char **arguments, void (*read)(const uint8_t *, size_t)) {
  reader = read;
  // It leaves handlers alone that stand already.
  const int signals[] = {SIGILL, SIGTRAP, SIGABRT, SIGSEGV, SIGBUS, SIGINT, SIGTERM};
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) signal(signals[i], SIG_DFL);
  if (LLVMFuzzerRunDriver) exit(LLVMFuzzerRunDriver(&count, &arguments, LLVMFuzzerTestOneInput));
  abort();
}
