/* Whether the files that a finished cell was trained on have changed since, as far as can be
 * determined without reading them: names, sizes and times. Internal to sweep/.
 *
 * The trainer records a fingerprint of the data it trains on (store/inputs.h). A stamp detects
 * earlier, and for cells that are not trained again, that the files may have changed. */
#ifndef FLIPBENCH_SWEEP_STAMP_H
#define FLIPBENCH_SWEEP_STAMP_H

#include "sweep/run.h"

/* "HOST DIGEST" of the files in data.train and text.vocabulary; the caller frees. "" when not all
 * of them can be listed (pipes, patterns that only the trainer expands). NULL when out of
 * memory. */
char *stamp_make(const settings *s);
/* Sets has_changed_files for the finished cells whose stamp, made on this machine, differs now. */
err stamps_compare(store *s, run_sweep *sweep) ERR_MUST_CHECK;

#endif
