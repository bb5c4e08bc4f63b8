#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// MARK: Threads

/// Tells the processor that this thread only waits for another.
static inline __attribute__((always_inline)) void ott_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// MARK: Host

/// Comma-separated names of the instruction-set extensions that this build was compiled for
/// ("avx2,fma,avx512f"); empty where the baseline suffices.
const char *ott_build_features(void);

/// Comma-separated names of those extensions of `ott_build_features` that the running CPU lacks;
/// empty when the build suits the CPU. The text lives as long as the process.
const char *ott_missing_features(void);

/// True where the CPU has instructions for SHA-256 and this build can use them.
bool ott_has_sha_instructions(void);

/// Name and version of the C library, "glibc 2.36"; "libc" where it does not say.
const char *ott_libc_version(void);

/// Threads the scheduler lets this process use at once.
int ott_thread_count(void);

// MARK: Memory

/// Begins to bring the cache line at `place` near. Any address will do.
static inline __attribute__((always_inline)) void ott_bring_near(const void *place) {
  __builtin_prefetch(place);
}

// MARK: SHA-256 (FIPS 180-4)

/// Feeds `blocks` blocks of 64 bytes into the eight state words. Uses the CPU's SHA instructions
/// where there are any (x86 SHA-NI, found at run time; arm64 where compiled in).
void ott_sha256_blocks(uint32_t state[8], const uint8_t *data, size_t blocks);

/// The same by plain C; the slow twin of `ott_sha256_blocks`.
void ott_sha256_blocks_portable(uint32_t state[8], const uint8_t *data, size_t blocks);

/// Feeds `blocks` blocks of `a` into `stateA` and as many of `b` into `stateB`, interleaved where the
/// CPU has SHA instructions: one stream alone waits for their latency half of the time.
void ott_sha256_blocks_pair(
    uint32_t stateA[8], const uint8_t *a, uint32_t stateB[8], const uint8_t *b, size_t blocks);

// MARK: Files

/// Gives each of two paths what the other has, in one step. Returns 0, or -1 with errno: ENOSYS or EINVAL
/// where the system or the file system cannot.
int ott_exchange_paths(const char *a, const char *b);

// MARK: Programs

/// Starts `program`, found in PATH if it has no slash, with no signal blocked, a broken pipe fatal as
/// usual, and an empty standard input. Null stands for this process's own environment, directory and streams. Returns 0 or an errno.
int ott_spawn(int *id, const char *program, char *const arguments[], char *const environment[],
              const char *directory, const char *output, const char *errors);

// MARK: Standard streams

/// Takes the numbers of standard streams that are closed, so that no file gets them: reading and writing
/// them stays an error. A write to a pipe without a reader is an error of the call from now on (EPIPE).
void ott_streams_install(void);

// MARK: Faults

/// Says that the system refused `what` and how to go on, and exits with 1. Safe in signal handlers.
void ott_exit_without(const char *what) __attribute__((noreturn));

/// Turns the traps and aborts by which the runtime and the libraries answer a failed allocation into
/// that exit where the process stands at its address-space limit; other traps end it as before. Makes
/// a write beyond the limit of file sizes an error of the call.
void ott_faults_install(void);

// MARK: Signals

/// Handles SIGINT and SIGTERM: with `graceful` false the process exits at once with 128 + signal;
/// with `graceful` true the first signal is only recorded and the second one exits. Unblocks both.
void ott_signals_install(bool graceful);

/// The recorded signal number, or 0.
int ott_signal_received(void);
