#include "read/in_order.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/interrupt.h"
#include "base/mem.h"

enum { MOST_ROWS = 4, LEAST_CHUNKS = 64 };

/* Neighbouring rows that one thread makes and later releases: what a thread allocated, it frees
 * itself, or the threads would wait for each other in the allocator. */
typedef struct chunk {
  enum { FREE, CLAIMED, MADE, TAKEN } state;
  int64_t first, end; /* rows */
  struct chunk *next; /* claimed by the same thread */
  char *places;       /* [end - first] */
} chunk;

/* The lock guards everything but the places; `make`, `take` and `release` run without it. */
typedef struct {
  const in_order_work *w;
  chunk *ring; /* [chunks]: rows r of chunk c = r / rows are in ring[c % chunks] */
  int64_t chunks, rows, total;
  int64_t claimed, taken; /* chunks before these were claimed, were taken */
  bool is_taking;         /* by some thread: no other may */
  int waiting;            /* threads */
  err error;
  pthread_mutex_t lock;
  pthread_cond_t changed;
} pipeline;

/* The chunks that a thread claimed and has not released, oldest first. */
typedef struct {
  chunk *first, *last;
} own_chunks;

static void *place_of(const pipeline *p, const chunk *c, int64_t row) {
  return c->places + (size_t)(row - c->first) * p->w->place_bytes;
}

static void wake(pipeline *p) {
  if (p->waiting) pthread_cond_broadcast(&p->changed);
}

static bool has_ready(const pipeline *p) {
  return !p->is_taking && p->taken < p->claimed && p->ring[p->taken % p->chunks].state == MADE;
}

static bool has_room(const pipeline *p) {
  return !p->error && p->claimed < p->total && p->ring[p->claimed % p->chunks].state == FREE;
}

static bool is_finished(const pipeline *p) {
  return p->taken == p->claimed && (p->error || p->claimed == p->total);
}

/* The next chunk; after an error its rows are left untaken. */
static void take_ready(pipeline *p) {
  chunk *c = &p->ring[p->taken % p->chunks];
  err error = NULL;
  if (!p->error && interrupt_is_requested())
    p->error = err_new(ERR_INTERRUPTED, "stopped while data was read");
  if (!p->error) {
    p->is_taking = true;
    pthread_mutex_unlock(&p->lock);
    for (int64_t row = c->first; row < c->end && !error; row++)
      error = p->w->take(p->w->context, row, place_of(p, c, row));
    pthread_mutex_lock(&p->lock);
    p->is_taking = false;
    p->error = error;
  }
  c->state = TAKEN;
  p->taken++;
  wake(p);
}

static void make_next(pipeline *p, own_chunks *own) {
  chunk *c = &p->ring[p->claimed % p->chunks];
  c->first = p->claimed * p->rows;
  c->end = c->first + p->rows < p->w->count ? c->first + p->rows : p->w->count;
  c->state = CLAIMED;
  c->next = NULL;
  *(own->first ? &own->last->next : &own->first) = c;
  own->last = c;
  p->claimed++;
  pthread_mutex_unlock(&p->lock);
  memset(c->places, 0, (size_t)p->rows * p->w->place_bytes);
  for (int64_t row = c->first; row < c->end; row++)
    p->w->make(p->w->context, row, place_of(p, c, row));
  pthread_mutex_lock(&p->lock);
  c->state = MADE;
  if (c->first == p->taken * p->rows) wake(p);
}

static void release_oldest(pipeline *p, own_chunks *own) {
  chunk *c = own->first;
  own->first = c->next;
  pthread_mutex_unlock(&p->lock);
  for (int64_t row = c->first; row < c->end; row++) p->w->release(place_of(p, c, row));
  pthread_mutex_lock(&p->lock);
  c->state = FREE;
  wake(p);
}

/* What each thread does. Releasing and taking come first: they make room. */
static void work_along(pipeline *p) {
  own_chunks own = {0};
  pthread_mutex_lock(&p->lock);
  while (own.first || !is_finished(p)) {
    if (own.first && own.first->state == TAKEN) {
      release_oldest(p, &own);
    } else if (has_ready(p)) {
      take_ready(p);
    } else if (has_room(p)) {
      make_next(p, &own);
    } else {
      p->waiting++;
      pthread_cond_wait(&p->changed, &p->lock);
      p->waiting--;
    }
  }
  pthread_mutex_unlock(&p->lock);
}

/* Few rows at once are long ones. */
static int64_t rows_of_chunk(int64_t at_once) {
  int64_t rows = at_once / LEAST_CHUNKS;
  return rows < 1 ? 1 : rows > MOST_ROWS ? MOST_ROWS : rows;
}

err in_order(const in_order_work *w) {
  pipeline p = {.w = w,
                .rows = rows_of_chunk(w->at_once),
                .lock = PTHREAD_MUTEX_INITIALIZER,
                .changed = PTHREAD_COND_INITIALIZER};
  p.chunks = 2 * w->at_once / p.rows;
  p.total = (w->count + p.rows - 1) / p.rows;
  size_t bytes = (size_t)p.rows * w->place_bytes;
  char *places = mem_zeroed((size_t)p.chunks, bytes);
  p.ring = mem_zeroed((size_t)p.chunks, sizeof *p.ring);
  if (places && p.ring) {
    for (int64_t i = 0; i < p.chunks; i++) p.ring[i].places = places + (size_t)i * bytes;
#pragma omp parallel
    work_along(&p);
  } else {
    p.error = mem_error((size_t)p.chunks * bytes, "rows in work");
  }
  free(places);
  free(p.ring);
  pthread_cond_destroy(&p.changed);
  pthread_mutex_destroy(&p.lock);
  return p.error;
}
