#pragma once

#include <stddef.h>
#include <stdint.h>

/// True in a build that is instrumented for libFuzzer and linked with it.
int ott_has_guide(void);

/// libFuzzer's loop over `read`, by its own command line; ends the process.
void ott_guide(int count, char **arguments, void (*read)(const uint8_t *bytes, size_t count));
