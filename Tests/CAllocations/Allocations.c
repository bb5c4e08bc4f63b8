// The test program's own malloc family: counts, then hands on to glibc. A definition in the program
// takes the place of the library's for every caller, Swift's runtime among them.
#include "CAllocations.h"

#include <errno.h>
#include <features.h>
#include <stddef.h>

static _Thread_local uint64_t allocations = 0;

uint64_t ott_allocations_of_this_thread(void) { return allocations; }

#ifdef __GLIBC__

int ott_counts_allocations(void) { return 1; }

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *block, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);

void *malloc(size_t bytes) {
  allocations += 1;
  return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes) {
  allocations += 1;
  return __libc_calloc(count, bytes);
}

void *realloc(void *block, size_t bytes) {
  allocations += 1;
  return __libc_realloc(block, bytes);
}

void *memalign(size_t alignment, size_t bytes) {
  allocations += 1;
  return __libc_memalign(alignment, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes) { return memalign(alignment, bytes); }

int posix_memalign(void **block, size_t alignment, size_t bytes) {
  void *result = memalign(alignment, bytes);
  if (result == NULL) return ENOMEM;
  *block = result;
  return 0;
}

#else

int ott_counts_allocations(void) { return 0; }

#endif
