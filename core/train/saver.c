#include "train/saver.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"

static void *write_image(void *argument) {
  saver *s = argument;
  s->error = events_sync(s->events);
  if (!s->error) s->error = checkpoint_write(s->result.path, s->image, &s->times, &s->result.bytes);
  s->result.seconds = clock_seconds() - s->start;
  atomic_store(&s->is_over, true);
  return NULL;
}

static void release(saver *s) {
  checkpoint_image_free(s->image);
  strbuf_free(&s->times);
  s->image = NULL;
  s->is_busy = false;
}

err saver_start(saver *s, const event_stream *events, checkpoint_image *image, strbuf times,
                saved result, double start) {
  s->events = events;
  s->image = image;
  s->times = times;
  s->result = result;
  s->start = start;
  s->error = NULL;
  atomic_store(&s->is_over, false);
  s->result.blocked_seconds = clock_seconds() - start;
  int failed = pthread_create(&s->thread, NULL, write_image, s);
  if (!failed) {
    s->is_busy = true;
    return NULL;
  }
  free(s->result.path);
  release(s);
  return err_errno(failed, "cannot start a thread for a checkpoint");
}

err saver_finish(saver *s, bool is_waiting, saved *out, bool *is_new) {
  *is_new = s->is_busy && (is_waiting || atomic_load(&s->is_over));
  if (!*is_new) return NULL;
  pthread_join(s->thread, NULL);
  release(s);
  *out = s->result;
  if (!s->error) return NULL;
  free(out->path);
  *is_new = false;
  return s->error;
}

void saver_close(saver *s) {
  saved out;
  bool is_new;
  err_free(saver_finish(s, true, &out, &is_new));
  if (is_new) free(out.path);
}
