// The three standard streams, as a process finds them at its start.

#define _GNU_SOURCE
#include "CSupport.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>

void ott_streams_install(void) {
  // A file that is opened later would get the number of a closed stream, and with it whatever is
  // meant for that stream. What takes the number here can be neither read nor written.
  for (int stream = 0; stream <= 2; stream++)
    if (fcntl(stream, F_GETFD) == -1 && errno == EBADF && open("/", O_PATH) < 0) return;
  signal(SIGPIPE, SIG_IGN);
}
