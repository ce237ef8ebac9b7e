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
/* The cells of an experiment use few sets of files, in any order: each set's stamp is made once.
 * Starts as {0}. */
typedef struct {
  const settings *of; /* the first that named these files */
  char *text;
} made_stamp;
typedef struct {
  made_stamp *items;
  size_t count;
} stamps;
/* *text belongs to `made`, which keeps a pointer to `s`. */
err stamps_find(stamps *made, const settings *s, const char **text) ERR_MUST_CHECK;
void stamps_free(stamps *made);
/* For finished cells: sets has_changed_files where the stamp, made on this machine, differs now,
 * and has_unknown_files where there are no two stamps to compare. */
err stamps_compare(store *s, run_sweep *sweep) ERR_MUST_CHECK;

#endif
