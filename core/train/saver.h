/* Writes a checkpoint in a separate thread while training continues. */
#ifndef FLIP_TRAIN_SAVER_H
#define FLIP_TRAIN_SAVER_H

#include <pthread.h>
#include <stdatomic.h>

#include "train/checkpoint.h"
#include "train/events.h"

typedef struct {
  int64_t step, samples;
  char *path;
  size_t bytes;
  double seconds;         /* from the start of the copy until all is on disk */
  double blocked_seconds; /* for which training was blocked */
} saved;

typedef struct {
  bool is_busy;
  atomic_bool is_over;
  pthread_t thread;
  const event_stream *events;
  checkpoint_image *image;
  strbuf times;
  double start;
  saved result;
  err error;
} saver;

/* Takes ownership of the image and the text of the state file, also on failure. Events so far are
 * on disk before the checkpoint. `start`: when the copy began (clock_seconds). result: takes
 * ownership of the path; step and samples are kept for saver_finish. No other save may be in
 * progress. */
err saver_start(saver *s, const event_stream *events, checkpoint_image *image, strbuf times,
                saved result, double start) ERR_MUST_CHECK;
/* *is_new: a save has ended that was not reported yet: *out describes it, or its error is returned.
 * is_waiting: waits for the one in progress. The caller frees out->path. */
err saver_finish(saver *s, bool is_waiting, saved *out, bool *is_new) ERR_MUST_CHECK;
/* Waits for the save in progress and discards its result. */
void saver_close(saver *s);

#endif
