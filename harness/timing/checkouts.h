/* The temporary folder of checkouts that are measured, and what a killed process left of its own.
 */
#ifndef FLIPBENCH_TIMING_CHECKOUTS_H
#define FLIPBENCH_TIMING_CHECKOUTS_H

#include "base/err.h"

typedef struct {
  char path[512]; /* "": there is none */
  int lock_fd;
} checkouts_folder;

/* A new folder below $TMPDIR, locked until this process and all that it started have ended. */
err checkouts_begin(checkouts_folder *f) ERR_MUST_CHECK;
/* Removes the folder, whose checkouts have been removed. */
void checkouts_end(checkouts_folder *f);
/* Removes the repository's checkouts in such folders that no process uses any more: it was killed
 * before it could. What cannot be removed is left. */
void checkouts_remove_left(const char *repository);

#endif
