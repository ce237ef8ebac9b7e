#include "read/stream.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "read/permute.h"

/* A shard in the order's queue: from its prefetch until the last block with samples of it is
 * released. */
typedef struct node {
  stream_shard shard;
  int64_t epoch, place;
  int refs; /* held by the queue and by each segment */
  bool is_ready, is_begun;
  err failure;
  struct node *next;
} node;

/* How much of a block is tried before other shards are, and the shards kept open for that. */
enum { BLOCK_TRIES = 32, KEPT_SPARES = 4 };

/* A shard outside the order's queue, from which samples that cannot be decoded are replaced. Kept
 * open, with what it has of bad samples, for those that follow. */
typedef struct spare {
  stream_shard shard;
  int refs; /* held by the stream and by each walk */
} spare;

/* Samples of one shard in a block. */
typedef struct {
  node *from;
  int64_t first, count; /* of the shard */
  int64_t at;           /* their start in the block, before the shuffle */
} segment;

struct stream_block {
  int refs; /* held by the stream while it returns samples from it, and by each run */
  int64_t count;
  stream_position start, after;
  segment *segments;
  size_t segment_count, capacity;
};

struct stream {
  stream_config c;
  pthread_mutex_t lock;           /* protects everything below */
  pthread_cond_t ready, wanted;   /* a shard is open; more are to be opened */
  node *head, *tail;              /* in order; the next block begins at the head */
  int64_t next_epoch, next_place; /* to be opened */
  int64_t queued, untouched;      /* samples, and shards, that are in no block yet */
  int64_t open_shards;
  bool is_stopping; /* also read without it */
  bool has_failed;
  stream_position at; /* start of the next block */
  int64_t skip;       /* samples of the first block that an earlier process returned */
  stream_block *block;
  int64_t place; /* next position in the block */
  strbuf lines, remarks;
  size_t line_count;
  pthread_t *threads;
  int started;
  pthread_mutex_t sparing;   /* protects the following; held while a spare is opened */
  spare *kept[KEPT_SPARES];  /* may be NULL */
  int64_t opened;            /* spares so far */
  int64_t *dead, dead_count; /* shards none of whose samples can be decoded */
};

static const char position_format[] = "epoch=%" PRId64 " shard=%" PRId64 " sample=%" PRId64
                                      " before=%" PRId64 " left_out=%" PRId64 " place=%" PRId64;

void stream_position_write(const stream_position *p, char text[STREAM_POSITION_SIZE]) {
  snprintf(text, STREAM_POSITION_SIZE, position_format, p->epoch, p->shard, p->sample, p->before,
           p->left_out, p->place);
}

err stream_position_read(const char *text, stream_position *p) {
  int end = 0;
  int found = sscanf(text,
                     "epoch=%" SCNd64 " shard=%" SCNd64 " sample=%" SCNd64 " before=%" SCNd64
                     " left_out=%" SCNd64 " place=%" SCNd64 "%n",
                     &p->epoch, &p->shard, &p->sample, &p->before, &p->left_out, &p->place, &end);
  if (found == 6 && !text[end] && p->epoch >= 0 && p->shard >= 0 && p->sample >= 0 &&
      p->before >= 0 && p->left_out >= 0 && p->place >= 0)
    return NULL;
  return err_new(ERR_INPUT, "'%.100s' is not a position in data.order: stream", text);
}

void stream_shard_close(stream_shard *one) {
  shard_close(&one->tar);
  strbuf_free(&one->lines);
  free((void *)one->is_bad);
  *one = (stream_shard){0};
}

static bool is_stopping(const void *context) {
  return __atomic_load_n(&((const stream *)context)->is_stopping, __ATOMIC_RELAXED);
}

/* Opens the shard at a position, with room to mark undecodable samples. */
static err open_place(const stream *s, int64_t epoch, int64_t place, stream_shard *out) {
  const stream_shards *from = &s->c.shards;
  const command_stop stop = {is_stopping, s};
  int64_t number = from->at(from->context, s->c.seed, s->c.is_shuffled, epoch, place);
  err error = from->open(from->context, number, &stop, out);
  if (error) return error;
  out->is_bad = mem_zeroed((size_t)out->count + 1, sizeof *out->is_bad);
  if (out->is_bad) return NULL;
  stream_shard_close(out);
  return mem_error((size_t)out->count, "a shard");
}

/* With the lock held. A block lies within one epoch, so of the next epoch only as many shards are
 * opened as keep the openers busy. */
static bool wants_more(const stream *s) {
  if (s->has_failed) return false;
  if (s->next_epoch > s->at.epoch + 1) return false;
  if (s->untouched < s->c.openers) return true;
  return s->next_epoch == s->at.epoch && s->queued < s->c.buffer;
}

/* With the lock held: an entry in the queue, to be filled by the caller. */
static node *append_node(stream *s) {
  node *n = mem_zeroed(1, sizeof *n);
  if (!n) return NULL;
  *n = (node){.epoch = s->next_epoch, .place = s->next_place, .refs = 1};
  if (s->tail)
    s->tail->next = n;
  else
    s->head = n;
  s->tail = n;
  s->untouched++;
  s->open_shards++;
  if (++s->next_place == s->c.shards.places) {
    s->next_place = 0;
    s->next_epoch++;
  }
  return n;
}

static void *open_ahead(void *argument) {
  stream *s = argument;
  pthread_mutex_lock(&s->lock);
  while (!s->is_stopping) {
    node *n = wants_more(s) ? append_node(s) : NULL;
    if (!n) {
      pthread_cond_wait(&s->wanted, &s->lock);
      continue;
    }
    pthread_mutex_unlock(&s->lock);
    stream_shard opened;
    err failure = open_place(s, n->epoch, n->place, &opened);
    pthread_mutex_lock(&s->lock);
    if (!failure) n->shard = opened;
    n->failure = failure;
    s->has_failed = s->has_failed || failure;
    s->queued += n->shard.count;
    n->is_ready = true;
    pthread_cond_broadcast(&s->ready);
  }
  pthread_mutex_unlock(&s->lock);
  return NULL;
}

err stream_open(const stream_config *config, const stream_position *from, stream **out) {
  stream *s = mem_zeroed(1, sizeof *s);
  if (!s) return mem_error(sizeof *s, "the order of samples");
  err error = NULL;
  s->c = *config;
  s->at = *from;
  s->at.place = 0;
  s->skip = from->place;
  s->next_epoch = from->epoch;
  s->next_place = from->shard;
  pthread_mutex_init(&s->lock, NULL);
  pthread_mutex_init(&s->sparing, NULL);
  pthread_cond_init(&s->ready, NULL);
  pthread_cond_init(&s->wanted, NULL);
  if (from->shard >= config->shards.places)
    FAIL(ERR_INPUT,
         "the checkpoint's position is in shard %" PRId64 " of the epoch, which has %" PRId64,
         from->shard + 1, config->shards.places);
  s->threads = mem_zeroed((size_t)config->openers, sizeof *s->threads);
  if (!s->threads) FAIL(ERR_MEMORY, "out of memory: threads that open shards");
  for (; s->started < config->openers; s->started++) {
    int code = pthread_create(&s->threads[s->started], NULL, open_ahead, s);
    if (code) {
      error = err_errno(code, "starting a thread that opens shards");
      goto cleanup;
    }
  }
cleanup:
  if (error)
    stream_close(s);
  else
    *out = s;
  return error;
}

void stream_stop(stream *s) {
  pthread_mutex_lock(&s->lock);
  __atomic_store_n(&s->is_stopping, true, __ATOMIC_RELAXED);
  pthread_cond_broadcast(&s->ready);
  pthread_cond_broadcast(&s->wanted);
  pthread_mutex_unlock(&s->lock);
}

/* With the lock held; shards no longer needed are moved to *unneeded, to be closed without it. */
static void leave_node(stream *s, node *n, node **unneeded) {
  if (--n->refs) return;
  n->next = *unneeded;
  *unneeded = n;
  s->open_shards--;
}

static void leave_block(stream *s, stream_block *b, node **unneeded) {
  if (--b->refs) return;
  for (size_t i = 0; i < b->segment_count; i++) leave_node(s, b->segments[i].from, unneeded);
  free(b->segments);
  free(b);
}

static void close_nodes(node *unneeded) {
  while (unneeded) {
    node *next = unneeded->next;
    stream_shard_close(&unneeded->shard);
    err_free(unneeded->failure);
    free(unneeded);
    unneeded = next;
  }
}

/* With `sparing` held. */
static void leave_spare(spare *one) {
  if (!one || --one->refs) return;
  stream_shard_close(&one->shard);
  free(one);
}

void stream_close(stream *s) {
  node *unneeded = NULL;
  if (!s) return;
  stream_stop(s);
  for (int i = 0; i < s->started; i++) pthread_join(s->threads[i], NULL);
  if (s->block) leave_block(s, s->block, &unneeded);
  while (s->head) {
    node *n = s->head;
    s->head = n->next;
    leave_node(s, n, &unneeded);
  }
  close_nodes(unneeded);
  for (int i = 0; i < KEPT_SPARES; i++) leave_spare(s->kept[i]);
  free(s->dead);
  free(s->threads);
  strbuf_free(&s->lines);
  strbuf_free(&s->remarks);
  pthread_mutex_destroy(&s->lock);
  pthread_mutex_destroy(&s->sparing);
  pthread_cond_destroy(&s->ready);
  pthread_cond_destroy(&s->wanted);
  free(s);
}

/* The current shard of the order, once it is open. With the lock held. */
static err wait_for_head(stream *s, node **out) {
  pthread_cond_broadcast(&s->wanted);
  while (!s->is_stopping && !(s->head && s->head->is_ready)) pthread_cond_wait(&s->ready, &s->lock);
  if (s->is_stopping) return err_new(ERR_INTERRUPTED, "the loader is closing");
  node *n = s->head;
  *out = n;
  if (n->failure) return err_new(err_kind_of(n->failure), "%s", err_message(n->failure));
  if (s->at.sample > n->shard.count)
    return err_new(ERR_INPUT,
                   "%s: has %" PRId64 " samples, but the checkpoint's position is after %" PRId64
                   ": the shard has changed",
                   n->shard.tar.path, n->shard.count, s->at.sample);
  if (n->is_begun) return NULL;
  n->is_begun = true;
  s->untouched--;
  const char *lines = strbuf_string(&n->shard.lines);
  for (const char *c = lines; *c; c++) s->line_count += *c == '\n';
  strbuf_append(&s->lines, lines);
  strbuf_free(&n->shard.lines);
  return NULL;
}

static err add_segment(stream_block *b, node *from, int64_t first, int64_t count) {
  if (b->segment_count == b->capacity) {
    size_t larger = b->capacity ? 2 * b->capacity : 8;
    segment *segments = mem_resize(b->segments, larger, sizeof *segments);
    if (!segments) return mem_error(larger * sizeof *segments, "the order of samples");
    b->segments = segments;
    b->capacity = larger;
  }
  b->segments[b->segment_count++] = (segment){from, first, count, b->count};
  b->count += count;
  from->refs++;
  return NULL;
}

/* Reports the contents of an epoch, once all its shards have been seen. */
static err end_epoch(stream *s, int64_t samples) {
  const stream_position *at = &s->at;
  if (!samples)
    return err_new(ERR_INPUT, "data.train: no samples in the shards (%" PRId64 " left out)",
                   at->left_out);
  strbuf_format(&s->remarks, "epoch %" PRId64 " had %" PRId64 " %s in %" PRId64 " %s",
                at->epoch + 1, samples, text_plural(samples, "sample", "samples"),
                s->c.shards.places, text_plural(s->c.shards.places, "shard", "shards"));
  if (s->c.shards.expected && s->c.shards.expected != samples)
    strbuf_format(&s->remarks, ", but the counts next to the shards give %" PRId64,
                  s->c.shards.expected);
  strbuf_format(&s->remarks, "; %" PRId64 " left out\n", at->left_out);
  s->at = (stream_position){.epoch = at->epoch + 1};
  return NULL;
}

/* Adds the current shard's samples to the block, and advances to the next shard when it is
 * exhausted. */
static err take_of_shard(stream *s, stream_block *b, node *n, bool *is_epoch_over,
                         node **unneeded) {
  int64_t left = n->shard.count - s->at.sample, room = s->c.buffer - b->count;
  int64_t take = left < room ? left : room;
  err error = take ? add_segment(b, n, s->at.sample, take) : NULL;
  if (error) return error;
  s->at.sample += take;
  s->queued -= take;
  if (s->at.sample < n->shard.count) return NULL;
  s->at.left_out += n->shard.left_out;
  s->at.shard++;
  s->at.sample = 0;
  s->head = n->next;
  if (!s->head) s->tail = NULL;
  *is_epoch_over = s->at.shard == s->c.shards.places;
  leave_node(s, n, unneeded);
  return NULL;
}

/* The next block that has samples; with the lock held, which is released while shards are being
 * opened. */
static err form_block(stream *s, node **unneeded) {
  stream_block *b = mem_zeroed(1, sizeof *b);
  if (!b) return mem_error(sizeof *b, "the order of samples");
  b->refs = 1;
  err error = NULL;
  while (!b->count) {
    bool is_epoch_over = false;
    b->start = s->at;
    while (b->count < s->c.buffer && !is_epoch_over) {
      node *n = NULL;
      TRY(wait_for_head(s, &n));
      TRY(take_of_shard(s, b, n, &is_epoch_over, unneeded));
    }
    s->at.before += b->count;
    if (is_epoch_over) TRY(end_epoch(s, s->at.before));
  }
  b->after = s->at;
  if (s->skip >= b->count)
    FAIL(ERR_INPUT,
         "the checkpoint's place is %" PRId64 " of a buffer that has %" PRId64
         " samples: the shards have changed",
         s->skip, b->count);
  s->place = s->skip;
  s->skip = 0;
  s->block = b;
  pthread_cond_broadcast(&s->wanted);
cleanup:
  if (error) leave_block(s, b, unneeded);
  return error;
}

err stream_take(stream *s, int64_t most, stream_run *run) {
  node *unneeded = NULL;
  pthread_mutex_lock(&s->lock);
  err error = s->block ? NULL : form_block(s, &unneeded);
  if (!error) {
    stream_block *b = s->block;
    int64_t left = b->count - s->place, count = left < most ? left : most;
    *run = (stream_run){b, s->place, count, b->start};
    b->refs++;
    s->place += count;
    run->after.place = s->place;
    if (s->place == b->count) {
      run->after = b->after;
      s->block = NULL;
      leave_block(s, b, &unneeded);
    }
  }
  pthread_mutex_unlock(&s->lock);
  close_nodes(unneeded);
  return error;
}

void stream_release(stream *s, stream_run *run) {
  node *unneeded = NULL;
  pthread_mutex_lock(&s->lock);
  leave_block(s, run->block, &unneeded);
  pthread_mutex_unlock(&s->lock);
  run->block = NULL;
  close_nodes(unneeded);
}

/* The segment, and the sample of its shard, at a position of the shuffled block. */
static const segment *find_place(const stream *s, const stream_block *b, int64_t place,
                                 int64_t *index) {
  int64_t number = b->start.before / s->c.buffer, at = place;
  /* the epoch's blocks use permutations different from those of its shards */
  int64_t round = INT64_C(1) << 62 | b->start.epoch << 38 | number;
  if (s->c.is_shuffled) at = permute(s->c.seed, round, b->count, place);
  size_t low = 0, high = b->segment_count;
  while (high - low > 1) {
    size_t middle = (low + high) / 2;
    if (b->segments[middle].at <= at)
      low = middle;
    else
      high = middle;
  }
  *index = b->segments[low].first + at - b->segments[low].at;
  return &b->segments[low];
}

stream_walk stream_walk_start(stream *s, const stream_run *run, int64_t place) {
  return (stream_walk){.s = s, .run = run, .place = place};
}

/* Identifies the position for permute_spare. */
static uint64_t number_of(const stream_walk *w) {
  const stream_position *start = &w->run->block->start;
  return (uint64_t)start->epoch << 40 ^ (uint64_t)(start->before + w->place);
}

static bool step_in_block(stream_walk *w) {
  const stream_block *b = w->run->block;
  int64_t drawn = b->count < BLOCK_TRIES ? b->count : BLOCK_TRIES;
  while (w->tried < 2 + drawn) {
    int64_t t = w->tried++, place = (w->place + t) % b->count;
    if (t >= 2) place = permute_spare(w->s->c.seed, number_of(w), b->count, t - 2);
    const segment *g = find_place(w->s, b, place, &w->index);
    w->shard = &g->from->shard;
    if (!atomic_load(&w->shard->is_bad[w->index])) return true;
  }
  return false;
}

static bool is_dead(const stream *s, int64_t number) {
  for (int64_t i = 0; i < s->dead_count; i++)
    if (s->dead[i] == number) return true;
  return false;
}

/* With `sparing` held: the shard of that number, opened if it is not kept. */
static err hold_spare(stream *s, int64_t epoch, int64_t place, int64_t number, spare **out) {
  for (int i = 0; i < KEPT_SPARES; i++)
    if (s->kept[i] && s->kept[i]->shard.number == number) {
      s->kept[i]->refs++;
      *out = s->kept[i];
      return NULL;
    }
  spare *one = mem_zeroed(1, sizeof *one);
  if (!one) return mem_error(sizeof *one, "a shard");
  err error = open_place(s, epoch, place, &one->shard);
  if (error) {
    free(one);
    return error;
  }
  spare **slot = &s->kept[s->opened++ % KEPT_SPARES];
  leave_spare(*slot);
  *slot = *out = one;
  one->refs = 2;
  return NULL;
}

/* Remembers a shard as dead; without memory for that it is only tried again. */
static void bury(stream *s, int64_t number) {
  if (is_dead(s, number)) return;
  int64_t *larger = mem_resize(s->dead, (size_t)s->dead_count + 1, sizeof *larger);
  if (!larger) return;
  s->dead = larger;
  s->dead[s->dead_count++] = number;
}

/* Leaves the walk's spare, which has been tried whole, for the next that is not dead; NULL when
 * the epoch has no more. */
static err next_spare(stream_walk *w) {
  stream *s = w->s;
  const stream_block *b = w->run->block;
  int64_t last = b->segments[b->segment_count - 1].from->place, places = s->c.shards.places;
  err error = NULL;
  pthread_mutex_lock(&s->sparing);
  if (w->spare) bury(s, w->spare->shard.number);
  leave_spare(w->spare);
  w->spare = NULL;
  w->spare_tried = 0;
  while (!error && !w->spare && w->spares < places) {
    int64_t place = (last + ++w->spares) % places;
    const stream_shards *from = &s->c.shards;
    int64_t number = from->at(from->context, s->c.seed, s->c.is_shuffled, b->start.epoch, place);
    if (!is_dead(s, number)) error = hold_spare(s, b->start.epoch, place, number, &w->spare);
  }
  pthread_mutex_unlock(&s->sparing);
  return error;
}

static bool step_in_spare(stream_walk *w) {
  if (!w->spare) return false;
  w->shard = &w->spare->shard;
  while (w->spare_tried < w->shard->count) {
    w->index = permute_spare(w->s->c.seed, number_of(w), w->shard->count, w->spare_tried++);
    if (!atomic_load(&w->shard->is_bad[w->index])) return true;
  }
  return false;
}

err stream_walk_next(stream_walk *w, bool *is_there) {
  *is_there = step_in_block(w) || step_in_spare(w);
  while (!*is_there) {
    err error = next_spare(w);
    if (error || !w->spare) return error;
    *is_there = step_in_spare(w);
  }
  return NULL;
}

bool stream_walk_has_moved(const stream_walk *w) {
  return w->tried > 1;
}

void stream_walk_end(stream_walk *w) {
  if (!w->spare) return;
  pthread_mutex_lock(&w->s->sparing);
  leave_spare(w->spare);
  pthread_mutex_unlock(&w->s->sparing);
  w->spare = NULL;
}

size_t stream_take_lines(stream *s, strbuf *lines, strbuf *remarks) {
  pthread_mutex_lock(&s->lock);
  size_t count = s->line_count;
  strbuf_append(lines, strbuf_string(&s->lines));
  strbuf_append(remarks, strbuf_string(&s->remarks));
  if (s->lines.is_broken) lines->is_broken = true;
  strbuf_clear(&s->lines);
  strbuf_clear(&s->remarks);
  s->line_count = 0;
  pthread_mutex_unlock(&s->lock);
  return count;
}

int64_t stream_open_shards(stream *s) {
  pthread_mutex_lock(&s->lock);
  int64_t count = s->open_shards;
  pthread_mutex_unlock(&s->lock);
  return count;
}
