#pragma once
#include <stdint.h>

/// Blocks that the calling thread has asked of malloc and its kin since it began; 0 for ever where
/// the C library cannot be watched (`ott_counts_allocations`).
uint64_t ott_allocations_of_this_thread(void);

/// Whether allocations are counted on this system: with glibc only.
int ott_counts_allocations(void);
