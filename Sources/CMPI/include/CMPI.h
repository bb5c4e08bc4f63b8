#pragma once

#include <stddef.h>
#include <stdint.h>

// MARK: MPI, as a library of its own makes it

/// The number of this table's layout; a library with another one is refused.
#define OTT_MPI_LAYOUT 2

/// What the program uses of an MPI. `Shim.c`, which is compiled by an MPI's own compiler into a library
/// of its own (tools/build-mpi), fills it; so one program serves every MPI, and is built without any.
///
/// One thread calls these. One operation is under way at a time: `open`, any number of messages that begin,
/// and it is done when `test` says so. Bytes go in messages of at most `most` bytes, since MPI counts with
/// an int. Each function returns 0, or an error code of the MPI.
struct ott_mpi {
  int layout;
  /// Initializes with MPI_THREAD_FUNNELED. `library`: name and version.
  int (*begin)(int *rank, int *size, char *library, size_t capacity);
  void (*open)(void);
  /// Sends to one rank and receives from another at the same time.
  int (*exchange)(const void *sent, size_t sent_bytes, int target, void *received,
                  size_t received_bytes, int source, size_t most);
  int (*broadcast)(void *bytes, size_t count, int root, size_t most);
  int (*barrier)(void);
  int (*test)(int *is_done);
  void (*describe)(int error, char *text, size_t capacity);
  int (*end)(void);
};

/// Opens the library at `path`; NULL, with `error` saying why, where it cannot be used.
const struct ott_mpi *ott_mpi_load(const char *path, char *error, size_t capacity);

// MARK: Stream sockets between ranks

/// A socket that listens on a free port of all addresses of this machine; -1 with errno.
int ott_listen(uint16_t *port);

/// The next connection to such a socket; -1 with errno.
int ott_accept(int listener);

/// The numeric addresses of this machine that others may reach, separated by spaces; loopback is left
/// out. As many as fit.
void ott_addresses(char *text, size_t capacity);

/// A connection to a numeric address; -1 with errno where there is none within the time.
int ott_connect(const char *address, uint16_t port, int milliseconds);

/// Makes calls on a connection wait, a write for at most a second, and small messages leave at once.
void ott_prepare_stream(int descriptor);
