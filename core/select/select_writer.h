/* Internal to select.h: writes the output files of a selection. */
#ifndef FLIP_SELECT_SELECT_WRITER_H
#define FLIP_SELECT_SELECT_WRITER_H

#include "base/progress.h"
#include "select/select.h"
#include "read/shard_swap.h"

typedef struct {
  shard_writer *shards;
  shard_swap swap;
  strbuf left_out; /* the lines of left_out.tsv */
  int64_t kept, rejected;
  int64_t incomplete; /* of the removed: those that the data set itself skipped */
  progress bar;
} select_writer;

/* A sample to be written. Initialise with {0}; release after select_prepare, also on error. */
typedef struct {
  const char *caption, *extension; /* caption, image: the sample's, which outlives this */
  const void *image;
  size_t image_bytes;
  char *json;
  uint8_t *owned;
} select_prepared;

/* Called from many threads. */
err select_prepare(const dataset_sample *sample, select_prepared *p) ERR_MUST_CHECK;
void select_prepared_free(select_prepared *p);

/* Starts with the samples that the data set skipped when it was opened. */
err select_writer_open(const select_output *output, const char *label, const dataset *data,
                       select_writer *w) ERR_MUST_CHECK;
err select_writer_keep(select_writer *w, const select_prepared *p) ERR_MUST_CHECK;
void select_writer_reject(select_writer *w, const dataset_sample *sample, const char *reason,
                          const char *detail);
/* Closes the shards, which take the place of an earlier selection's, and writes both files. Until
 * then an earlier selection is unchanged. rules: a JSON object; reasons: names and counts. */
err select_writer_finish(select_writer *w, const select_output *output, const char *rules,
                         const char *const *reasons, const int64_t *counts, size_t reason_count,
                         select_result *result) ERR_MUST_CHECK;
void select_writer_close(select_writer *w);

#endif
