#define _GNU_SOURCE
#include "CSupport.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <unistd.h>

extern char **environ;

int ott_spawn(int *id, const char *program, char *const arguments[], char *const environment[],
              const char *directory, const char *output, const char *errors) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  const int create = O_WRONLY | O_CREAT | O_TRUNC;
  if (output) posix_spawn_file_actions_addopen(&actions, 1, output, create, 0644);
  if (errors) posix_spawn_file_actions_addopen(&actions, 2, errors, create, 0644);
  if (directory) posix_spawn_file_actions_addchdir_np(&actions, directory);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  sigset_t ordinary;
  sigemptyset(&ordinary);
  sigaddset(&ordinary, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &ordinary);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t child = 0;
  int status = posix_spawnp(&child, program, &actions, &attributes, arguments,
                            environment ? environment : environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  *id = child;
  return status;
}
