// An MPI, opened at run time.

#include "CMPI.h"

#include <dlfcn.h>
#include <stdio.h>

const struct ott_mpi *ott_mpi_load(const char *path, char *error, size_t capacity) {
  // Global, since parts that Open MPI opens by itself look for the symbols of its library.
  void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
  if (!library) {
    snprintf(error, capacity, "%s", dlerror());
    return NULL;
  }
  const struct ott_mpi *(*table)(void) = (const struct ott_mpi *(*)(void))dlsym(library, "ott_mpi");
  if (!table) {
    snprintf(error, capacity, "%s", dlerror());
    return NULL;
  }
  const struct ott_mpi *mpi = table();
  if (mpi->layout != OTT_MPI_LAYOUT) {
    snprintf(error, capacity, "layout %d instead of %d", mpi->layout, OTT_MPI_LAYOUT);
    return NULL;
  }
  return mpi;
}
