/* A checkpoint's state file, step-N.state.json: values that are not bit-reproducible (times), that
 * are known only after the weights were written (whether their evaluation was recorded), and the
 * run's inputs. It is committed before the weights, so that weights without it are a manual
 * copy. */
#ifndef FLIP_TRAIN_STATE_FILE_H
#define FLIP_TRAIN_STATE_FILE_H

#include <stdbool.h>

#include "train/run_inputs.h"

#define STATE_FILE_SUFFIX ".state.json"

typedef struct {
  double train_seconds, data_wait_seconds; /* totals over all processes so far */
  bool is_evaluated; /* the evaluation of this step, if one is due, is in the event stream */
  run_inputs inputs;
} state_file;

void state_file_free(state_file *b);

/* Appends the file's text to `text`. */
err state_file_describe(const state_file *b, strbuf *text) ERR_MUST_CHECK;
/* Atomic and on disk when it returns. `checkpoint`: path of the weights. */
err state_file_write(const char *checkpoint, const strbuf *text) ERR_MUST_CHECK;
/* Removes the state file when the weights could not be written. */
void state_file_remove(const char *checkpoint);
/* *is_there false, and `b` empty, if there is none. Also reads the times that earlier versions
 * stored in step-N.times.yaml. */
err state_file_load(const char *checkpoint, state_file *b, bool *is_there) ERR_MUST_CHECK;

#endif
