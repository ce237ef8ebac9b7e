/* Whether the files that a finished cell was trained on have changed since, as far as that can be
 * told without reading them: names, sizes and times. Internal to sweep/.
 *
 * What the data held is recorded by the trainer (store/given.h), when it is trained on. A stamp
 * says earlier, and of cells that nobody trains again, that it may hold something else now. */
#ifndef FLIPBENCH_SWEEP_STAMP_H
#define FLIPBENCH_SWEEP_STAMP_H

#include "sweep/run.h"

/* "HOST DIGEST" of the files that data.train and text.vocabulary name; the caller frees. "" when
 * not all of them can be listed (pipes, patterns that only the trainer expands). NULL when memory
 * is short. */
char *stamp_make(const settings *s);
/* Sets has_changed_files of the finished cells whose stamp, made on this machine, is another now.
 */
err stamps_compare(store *s, run_sweep *sweep) ERR_MUST_CHECK;

#endif
