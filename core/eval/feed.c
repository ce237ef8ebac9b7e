#include "eval/feed.h"

#include <stdlib.h>

#include "base/mem.h"

err feed_open(feed *f, clip_model *model, size_t bytes) {
  ops *o = clip_weights(model)->o;
  const int wanted = clip_queue_depth(model) + 1;
  *f = (feed){.model = model};
  for (; f->count < wanted && f->count < FEED_MOST; f->count++) {
    uint8_t *buffer = mem_aligned(bytes);
    if (!buffer) return mem_error(bytes, "images to be encoded");
    f->buffers[f->count] = buffer;
    err error = o->call->pin ? o->call->pin(o, buffer, bytes) : NULL;
    if (error) {
      free(buffer);
      f->buffers[f->count] = NULL;
      return error;
    }
  }
  return NULL;
}

uint8_t *feed_next(feed *f) {
  uint8_t *buffer = f->buffers[f->next];
  f->next = (f->next + 1) % f->count;
  return buffer;
}

err feed_close(feed *f, err error) {
  if (!f->model) return error;
  ops *o = clip_weights(f->model)->o;
  error = clip_queue_finish(f->model, error);
  for (int i = 0; i < f->count; i++) {
    if (o->call->unpin) o->call->unpin(o, f->buffers[i]);
    free(f->buffers[i]);
  }
  *f = (feed){0};
  return error;
}
