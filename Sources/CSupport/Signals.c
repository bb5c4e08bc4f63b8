// SIGINT and SIGTERM, by an async-signal-safe handler.

#include "CSupport.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t received = 0;
static volatile sig_atomic_t isGraceful = 0;

static void handle(int number) {
  if (!isGraceful || received) _exit(128 + number);
  received = number;
}

void ott_signals_install(bool graceful) {
  isGraceful = graceful;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handle;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  // A program inherits the mask of the thread that started it.
  sigset_t both;
  sigemptyset(&both);
  sigaddset(&both, SIGINT);
  sigaddset(&both, SIGTERM);
  sigprocmask(SIG_UNBLOCK, &both, NULL);
}

int ott_signal_received(void) { return received; }
