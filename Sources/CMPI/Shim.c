// What the program uses of an MPI (3.1), compiled by that MPI's compiler into a library of its own. Only
// operations that move bytes: sums have an order of their own, which no MPI may choose.

#include "CMPI.h"

#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static MPI_Comm ranks;
/// Of the operation that is under way.
static MPI_Request *requests;
static int request_count, request_capacity;

/// The place of a new request; NULL without memory.
static MPI_Request *next_request(void) {
  if (request_count == request_capacity) {
    int capacity = request_capacity ? 2 * request_capacity : 16;
    MPI_Request *grown = realloc(requests, (size_t)capacity * sizeof *grown);
    if (!grown) return NULL;
    requests = grown;
    request_capacity = capacity;
  }
  return &requests[request_count++];
}

static int begin(int *rank, int *size, char *library, size_t capacity) {
  int provided, length, error;
#ifdef MPICH
  // On one machine, shared memory alone: UCX else reads the memory of other processes, and aborts this one
  // where another has died.
  const char *near = getenv("MPI_LOCALNRANKS"), *all = getenv("PMI_SIZE");
  if (near && all && !strcmp(near, all)) setenv("UCX_TLS", "posix,sysv,self", 0);
#endif
  if ((error = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided))) return error;
  if (provided < MPI_THREAD_FUNNELED) return MPI_ERR_OTHER;
#ifdef MPICH
  // By this signal hydra tells of a rank that has died, and MPICH would ask it for details and wait.
  signal(SIGUSR1, SIG_IGN);
#endif
  if ((error = MPI_Comm_dup(MPI_COMM_WORLD, &ranks))) return error;
  if ((error = MPI_Comm_set_errhandler(ranks, MPI_ERRORS_RETURN))) return error;
  if ((error = MPI_Comm_rank(ranks, rank))) return error;
  if ((error = MPI_Comm_size(ranks, size))) return error;
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  if ((error = MPI_Get_library_version(text, &length))) return error;
  snprintf(library, capacity, "%s", text);
  return 0;
}

static void open_operation(void) { request_count = 0; }

static int exchange(const void *sent, size_t sent_bytes, int target, void *received,
                    size_t received_bytes, int source, size_t most) {
  for (size_t start = 0; start < received_bytes; start += most) {
    size_t count = received_bytes - start < most ? received_bytes - start : most;
    MPI_Request *request = next_request();
    if (!request) return MPI_ERR_NO_MEM;
    int error = MPI_Irecv((char *)received + start, (int)count, MPI_BYTE, source, 0, ranks, request);
    if (error) return error;
  }
  for (size_t start = 0; start < sent_bytes; start += most) {
    size_t count = sent_bytes - start < most ? sent_bytes - start : most;
    MPI_Request *request = next_request();
    if (!request) return MPI_ERR_NO_MEM;
    int error = MPI_Isend((const char *)sent + start, (int)count, MPI_BYTE, target, 0, ranks, request);
    if (error) return error;
  }
  return 0;
}

static int broadcast(void *bytes, size_t total, int root, size_t most) {
  for (size_t start = 0; start < total; start += most) {
    size_t count = total - start < most ? total - start : most;
    MPI_Request *request = next_request();
    if (!request) return MPI_ERR_NO_MEM;
    int error = MPI_Ibcast((char *)bytes + start, (int)count, MPI_BYTE, root, ranks, request);
    if (error) return error;
  }
  return 0;
}

static int barrier(void) {
  MPI_Request *request = next_request();
  return request ? MPI_Ibarrier(ranks, request) : MPI_ERR_NO_MEM;
}

static int test(int *is_done) {
  return MPI_Testall(request_count, requests, is_done, MPI_STATUSES_IGNORE);
}

static void describe(int error, char *text, size_t capacity) {
  char message[MPI_MAX_ERROR_STRING];
  int length;
  if (MPI_Error_string(error, message, &length)) strcpy(message, "an unknown error");
  snprintf(text, capacity, "%s", message);
}

static int end(void) { return MPI_Finalize(); }

const struct ott_mpi *ott_mpi(void);
const struct ott_mpi *ott_mpi(void) {
  static const struct ott_mpi table = {
      .layout = OTT_MPI_LAYOUT,
      .begin = begin,
      .open = open_operation,
      .exchange = exchange,
      .broadcast = broadcast,
      .barrier = barrier,
      .test = test,
      .describe = describe,
      .end = end,
  };
  return &table;
}
