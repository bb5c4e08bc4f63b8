// The end of a process that got no memory, no thread or no room: one message and exit 1, because
// nothing that was finished is lost and the same command goes on.

#define _GNU_SOURCE
#include "CSupport.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static void say(const char *text) {
  ssize_t written = write(2, text, strlen(text));
  (void)written;
}

void ott_exit_without(const char *what) {
  say("error: ");
  say(what);
  say(": the system refused it. Finished outputs are whole. "
      "Raise the limit (ulimit -a), free memory or use fewer THREADS and JOBS, "
      "and run the same command again\n");
  _exit(1);
}

/// True when the process stands at its address-space limit: a block that libraries ask for as a matter
/// of course is refused. Only system calls, so that a handler may ask.
static bool memory_is_exhausted(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return false;
  size_t size = limit.rlim_cur / 4;
  void *block = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (block == MAP_FAILED) return true;
  munmap(block, size);
  return false;
}

/// The runtime and the libraries stop by a trap or an abort where an allocation fails.
static void handle(int number) {
  if (memory_is_exhausted()) {
    // Two threads can fail at once: the first one speaks and ends the process.
    static atomic_flag spoken = ATOMIC_FLAG_INIT;
    while (atomic_flag_test_and_set(&spoken)) pause();
    ott_exit_without("out of memory");
  }
  signal(number, SIG_DFL);
  raise(number);
}

void ott_faults_install(void) {
  static char stack[1 << 14];
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  sigaltstack(&alternate, NULL);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handle;
  action.sa_flags = SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  const int signals[] = {SIGILL, SIGTRAP, SIGABRT, SIGSEGV, SIGBUS};
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
    sigaction(signals[i], &action, NULL);
  // A write beyond the limit of file sizes is then an error of the call (EFBIG), with its path.
  signal(SIGXFSZ, SIG_IGN);
}
