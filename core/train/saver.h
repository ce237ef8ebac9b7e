/* A checkpoint written by a thread of its own while training goes on. */
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
  double blocked_seconds; /* for which training stood still */
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

/* Takes the image and the text of the state file, fails or not. What the events say so far is on
 * disk before the checkpoint. `start`: when the copy began (clock_seconds). result: the path is
 * taken, too; step and samples are kept for saver_finish. Nothing may be under way. */
err saver_start(saver *s, const event_stream *events, checkpoint_image *image, strbuf times,
                saved result, double start) ERR_MUST_CHECK;
/* *is_new: one has ended that was not reported yet; *out is then what it was, or the error why it
 * failed is returned. is_waiting: waits for the one under way. The caller frees out->path. */
err saver_finish(saver *s, bool is_waiting, saved *out, bool *is_new) ERR_MUST_CHECK;
/* Waits for what is under way and forgets its outcome. */
void saver_close(saver *s);

#endif
