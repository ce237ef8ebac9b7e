/* That what a model computed are numbers: those of weights that are NaN or infinite, or that
 * overflow, would be scored like others. */
#ifndef FLIP_EVAL_FINITE_H
#define FLIP_EVAL_FINITE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* ERR_NUMERIC if a row of [count, width] has a NaN or an infinity: "NAME: the model's embeddings of
 * 3 of 40 ITEMS are not finite". is_bad [count]: rows that were not encoded, as their image could
 * not be decoded; NULL: none. The same on every rank that has the same rows. */
err finite_check(const char *name, const char *items, const float *rows, int64_t count,
                 int64_t width, const bool *is_bad) ERR_MUST_CHECK;

#endif
