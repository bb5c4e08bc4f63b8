// A layer between a program and its files, for tests: build it as a shared object and name that in
// LD_PRELOAD. It writes down every call that changes a file below FAULT_ROOT, in order, and can make
// one of them fail or be the last thing that the process does.
//
//   FAULT_ROOT   absolute prefix of the paths that count
//   FAULT_LOG    file that gets one line a call: operation, path, for renames the new path
//   FAULT_AT     number of the call, from 1, at which the fault strikes; later calls succeed again
//                unless the fault is a full disk, which stays full
//   FAULT_KIND   kill: SIGKILL before the call; torn: half of a write, then SIGKILL;
//                full: ENOSPC after half of the bytes of a write; broken: EIO
//   FAULT_NAME   only processes whose executable has this name take part

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FILES = 4096 };
enum kind { NONE, KILL, TORN, FULL, BROKEN };

static char *paths[FILES];
static const char *root;
static int log_file = -1;
static long strike_at;
static enum kind kind;
static atomic_long calls;

__attribute__((constructor)) static void start(void) {
  const char *name = getenv("FAULT_NAME"), *given = getenv("FAULT_ROOT");
  if (!given || (name && strcmp(program_invocation_short_name, name) != 0)) return;
  const char *log = getenv("FAULT_LOG"), *at = getenv("FAULT_AT"), *what = getenv("FAULT_KIND");
  if (log) log_file = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  strike_at = at ? atol(at) : 0;
  if (what)
    kind = !strcmp(what, "kill") ? KILL : !strcmp(what, "torn") ? TORN : !strcmp(what, "full") ? FULL : BROKEN;
  root = given;
}

static bool counts(const char *path) { return root && path && strncmp(path, root, strlen(root)) == 0; }

static const char *absolute(int directory, const char *path, char *buffer) {
  if (!path || path[0] == '/' || directory != AT_FDCWD) return path;
  if (!getcwd(buffer, PATH_MAX)) return path;
  size_t length = strlen(buffer);
  snprintf(buffer + length, PATH_MAX - length, "/%s", path);
  return buffer;
}

static const char *of(int descriptor) {
  return descriptor >= 0 && descriptor < FILES ? paths[descriptor] : NULL;
}

static void write_line(const char *operation, const char *path, const char *other) {
  if (log_file < 0) return;
  char line[2 * PATH_MAX + 64];
  int size = snprintf(line, sizeof line, "%s\t%s\t%s\n", operation, path, other ? other : "");
  syscall(SYS_write, log_file, line, size);
}

/// Counts a call on a path that counts; says whether it must fail, and with what.
static int strike(const char *operation, const char *path, const char *other, int descriptor,
                  const void *bytes, size_t size) {
  if (!counts(path)) return 0;
  long number = atomic_fetch_add(&calls, 1) + 1;
  bool hits = strike_at && kind != NONE && (kind == FULL ? number >= strike_at : number == strike_at);
  // A full disk refuses what needs room.
  bool needs_room = bytes || !strcmp(operation, "create") || !strcmp(operation, "mkdir");
  if (hits && kind == FULL && !needs_room) hits = false;
  if (!hits) {
    write_line(operation, path, other);
    return 0;
  }
  if ((kind == TORN || kind == FULL) && bytes && number == strike_at)
    syscall(SYS_write, descriptor, bytes, size / 2);
  if (kind == KILL || kind == TORN) syscall(SYS_kill, getpid(), SIGKILL);
  return kind == FULL ? ENOSPC : EIO;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define GUARD(...)                                                                                 \
  do {                                                                                             \
    int fault = strike(__VA_ARGS__);                                                               \
    if (fault) {                                                                                   \
      errno = fault;                                                                               \
      return -1;                                                                                   \
    }                                                                                              \
  } while (0)

static int opened(const char *path, int flags, int mode) {
  char buffer[PATH_MAX];
  const char *full = absolute(AT_FDCWD, path, buffer);
  bool changes = (flags & O_ACCMODE) != O_RDONLY;
  if (counts(full) && changes) {
    struct stat status;
    bool creates = (flags & O_CREAT) && stat(full, &status) != 0;
    GUARD(creates ? "create" : (flags & O_TRUNC) ? "truncate" : "open", full, NULL, -1, NULL, 0);
  }
  int descriptor = syscall(SYS_openat, AT_FDCWD, path, flags, mode);
  if (descriptor >= 0 && descriptor < FILES) {
    free(paths[descriptor]);
    paths[descriptor] = counts(full) ? strdup(full) : NULL;
  }
  return descriptor;
}

#define OPEN(name)                                                                                 \
  int name(const char *path, int flags, ...) {                                                     \
    va_list list;                                                                                  \
    va_start(list, flags);                                                                         \
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, int) : 0;                              \
    va_end(list);                                                                                  \
    return opened(path, flags, mode);                                                              \
  }
OPEN(open)
OPEN(open64)

int close(int descriptor) {
  if (descriptor >= 0 && descriptor < FILES) {
    free(paths[descriptor]);
    paths[descriptor] = NULL;
  }
  return syscall(SYS_close, descriptor);
}

ssize_t write(int descriptor, const void *bytes, size_t size) {
  GUARD("write", of(descriptor), NULL, descriptor, bytes, size);
  return syscall(SYS_write, descriptor, bytes, size);
}

static ssize_t written_at(int descriptor, const void *bytes, size_t size, off_t offset) {
  GUARD("write", of(descriptor), NULL, descriptor, bytes, size);
  return syscall(SYS_pwrite64, descriptor, bytes, size, offset);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t size, off_t offset) {
  return written_at(descriptor, bytes, size, offset);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t size, off64_t offset) {
  return written_at(descriptor, bytes, size, offset);
}

int ftruncate(int descriptor, off_t size) {
  GUARD("write", of(descriptor), NULL, descriptor, NULL, 0);
  return syscall(SYS_ftruncate, descriptor, size);
}

int ftruncate64(int descriptor, off64_t size) { return ftruncate(descriptor, size); }

int fsync(int descriptor) {
  GUARD("sync", of(descriptor), NULL, descriptor, NULL, 0);
  return syscall(SYS_fsync, descriptor);
}

int fdatasync(int descriptor) {
  GUARD("sync", of(descriptor), NULL, descriptor, NULL, 0);
  return syscall(SYS_fdatasync, descriptor);
}

int rename(const char *from, const char *to) {
  char first[PATH_MAX], second[PATH_MAX];
  GUARD("rename", absolute(AT_FDCWD, from, first), absolute(AT_FDCWD, to, second), -1, NULL, 0);
  return NEXT(rename)(from, to);
}

int unlink(const char *path) {
  char buffer[PATH_MAX];
  GUARD("unlink", absolute(AT_FDCWD, path, buffer), NULL, -1, NULL, 0);
  return NEXT(unlink)(path);
}

int mkdir(const char *path, mode_t mode) {
  char buffer[PATH_MAX];
  GUARD("mkdir", absolute(AT_FDCWD, path, buffer), NULL, -1, NULL, 0);
  return NEXT(mkdir)(path, mode);
}
