/* Scores the similarity of each sample's image and caption under a model: for `flip data
 * filter`. */
#ifndef FLIP_CLI_DATA_SCORE_H
#define FLIP_CLI_DATA_SCORE_H

#include "base/options.h"
#include "read/dataset.h"

/* scores [samples of data]: the cosine of both embeddings, NaN for a sample that cannot be read;
 * the caller frees. sets: changes to the model's settings. */
err data_scores(const dataset *data, const char *model, const option_list *sets, bool has_progress,
                float **scores) ERR_MUST_CHECK;

#endif
