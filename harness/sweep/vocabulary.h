/* The entries of a cell's vocabulary, for predictions. Cells mostly have the same, which is read
 * once. */
#ifndef FLIPBENCH_SWEEP_VOCABULARY_H
#define FLIPBENCH_SWEEP_VOCABULARY_H

#include "config/settings.h"

/* The one that was read last. Begins zeroed. */
typedef struct {
  char *path;
  int tokenizer;
  int64_t size; /* 0: it cannot be read */
} vocabulary_read;

/* Those of text.vocabulary, or of the published one where it cannot be read (*is_published); those
 * of text.vocabulary_rows, where set, and for a classifier any. The only error is ERR_MEMORY. */
err vocabulary_count_of(vocabulary_read *last, const settings *s, int64_t *count,
                        bool *is_published) ERR_MUST_CHECK;
void vocabulary_free(vocabulary_read *last);

#endif
