/* A checkpoint's state file, step-N.state.json: what is not bit-reproducible (times), what came
 * after the weights (whether their evaluation was recorded), and the run's inputs. It is committed
 * before the weights, so that weights without it are a copy made by hand. */
#ifndef FLIP_TRAIN_BESIDE_H
#define FLIP_TRAIN_BESIDE_H

#include <stdbool.h>

#include "train/given.h"

#define BESIDE_SUFFIX ".state.json"

typedef struct {
  double train_seconds, data_wait_seconds; /* of all processes so far */
  bool is_evaluated; /* the evaluation of this step, if one is due, is in the event stream */
  given given;
} beside;

void beside_free(beside *b);

/* Its text, and then the file: atomic and on disk when it returns. `checkpoint`: path of the
 * weights. */
err beside_describe(const beside *b, strbuf *text) ERR_MUST_CHECK;
err beside_write(const char *checkpoint, const strbuf *text) ERR_MUST_CHECK;
/* Of weights that could not be written. */
void beside_remove(const char *checkpoint);
/* *is_there false, and `b` empty, where there is none. Reads the times that earlier versions kept
 * in step-N.times.yaml, too. */
err beside_load(const char *checkpoint, beside *b, bool *is_there) ERR_MUST_CHECK;

#endif
