/* Inside of select.h: the files that a selection writes. */
#ifndef FLIP_SELECT_SELECT_WRITER_H
#define FLIP_SELECT_SELECT_WRITER_H

#include "base/progress.h"
#include "select/select.h"
#include "read/shard_writer.h"

typedef struct {
  shard_writer *shards;
  strbuf left_out; /* the lines of left_out.tsv */
  int64_t kept, rejected;
  int64_t incomplete; /* of the rejected: what the data set itself left out */
  progress bar;
} select_writer;

/* Begins with what the data set left out when it was opened. */
err select_writer_open(const select_output *output, const char *label, const dataset *data,
                       select_writer *w) ERR_MUST_CHECK;
err select_writer_keep(select_writer *w, const dataset_sample *sample) ERR_MUST_CHECK;
void select_writer_reject(select_writer *w, const dataset_sample *sample, const char *reason,
                          const char *detail);
/* Ends the shards and writes both files. rules: a JSON object; reasons: names and counts. */
err select_writer_finish(select_writer *w, const select_output *output, const char *rules,
                         const char *const *reasons, const int64_t *counts, size_t reason_count,
                         select_result *result) ERR_MUST_CHECK;
void select_writer_close(select_writer *w);

#endif
