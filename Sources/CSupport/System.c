#define _GNU_SOURCE
#include "CSupport.h"

#include <stdlib.h>
#include <unistd.h>

#ifdef __GLIBC__
const char *ott_libc_version(void) {
  static char text[64];
  return confstr(_CS_GNU_LIBC_VERSION, text, sizeof text) > 0 ? text : "glibc";
}
#else
const char *ott_libc_version(void) { return "libc"; }
#endif

#if defined(__linux__)
#include <sched.h>

int ott_thread_count(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return (int)sysconf(_SC_NPROCESSORS_ONLN);
}
#else
int ott_thread_count(void) { return (int)sysconf(_SC_NPROCESSORS_ONLN); }
#endif

#if defined(__linux__)
#include <fcntl.h>
#include <stdio.h>

int ott_exchange_paths(const char *a, const char *b) {
  return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
}
#else
#include <errno.h>

int ott_exchange_paths(const char *a, const char *b) {
  (void)a;
  (void)b;
  errno = ENOSYS;
  return -1;
}
#endif
