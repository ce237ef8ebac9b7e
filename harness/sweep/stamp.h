/* Whether the files that a finished cell was trained on have changed since, as far as can be
 * determined without reading them: names, sizes and times. Internal to sweep/.
 *
 * The trainer records a fingerprint of the data it trains on (store/inputs.h). A stamp detects
 * earlier, and for cells that are not trained again, that the files may have changed. */
#ifndef FLIPBENCH_SWEEP_STAMP_H
#define FLIPBENCH_SWEEP_STAMP_H

#include "sweep/run.h"

/* "HOST DIGEST" of the files in data.train and text.vocabulary, "HOST lexicon:DIGEST" where a
 * lexicon is one of them, "HOST set:DIGEST" of a classifier's labelled set; the caller frees. ""
 * when not all of them can be listed (pipes, missing files). NULL when out of memory. */
char *stamp_make(const settings *s);
/* For finished cells: sets has_changed_files where the stamp, made on this machine, differs now,
 * and has_unknown_files where there are no two stamps to compare. */
err stamps_compare(store *s, run_sweep *sweep) ERR_MUST_CHECK;

#endif
