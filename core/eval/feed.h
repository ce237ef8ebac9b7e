/* Buffers for images on their way to a model that queues batches (clip_queue_images): while the
 * device encodes those of one or two buffers, the next is filled. */
#ifndef FLIP_EVAL_FEED_H
#define FLIP_EVAL_FEED_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model/clip.h"

enum { FEED_MOST = 3 };

typedef struct {
  clip_model *model;
  uint8_t *buffers[FEED_MOST];
  int count, next;
} feed;

/* Buffers of `bytes` each, pinned where that helps. feed_close must follow, also after an error. */
err feed_open(feed *f, clip_model *model, size_t bytes) ERR_MUST_CHECK;
/* A buffer that no batch under way reads, if each one handed out before was queued at once. */
uint8_t *feed_next(feed *f);
/* Waits for everything queued (clip_queue_finish) and frees the buffers. */
err feed_close(feed *f, err error) ERR_MUST_CHECK;

#endif
