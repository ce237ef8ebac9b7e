/* What runs recorded of the inputs that they read: the only evidence of what a number was made
 * from, since files may have changed after the run. Internal to exchange/ and `flipbench
 * reproduce`. */
#ifndef FLIPBENCH_EXCHANGE_RECORDED_H
#define FLIPBENCH_EXCHANGE_RECORDED_H

#include <jansson.h>

#include "exchange/localise.h"
#include "store/lineage.h"

/* Whether runs record the fingerprint that `flip inputs` prints for it: training data, vocabulary,
 * lexicon, weights. Of evaluation sets they record one of images, classes and templates together.
 */
bool recorded_has_kind(const json_t *input);
/* The distinct fingerprints of `input` in the results of the experiment's cells (results_find), an
 * array of texts; an empty one when no run that reads it recorded any. Free with json_decref. */
err recorded_fingerprints(store *s, const spec_experiment *e, const store_result *results,
                          const json_t *input, json_t **recorded) ERR_MUST_CHECK;

/* Compares the inputs of each cell's run in `again` with those of its run in `first` (results
 * folders, with their databases): data, vocabulary, evaluation sets, and initial weights that are
 * no other cell's. Appends one line per difference, with the cells, and counts it in `match`, where
 * it takes the place of differences that no run has a record of. */
err recorded_compare(const spec_experiment *e, const char *first, const char *again, strbuf *said,
                     localise_match *match) ERR_MUST_CHECK;

#endif
