#define _GNU_SOURCE
#include "CHost.h"

#include <unistd.h>

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
