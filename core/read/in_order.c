#include "read/in_order.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Rows [first, first + count) and their places. */
typedef struct {
  char *places;
  int64_t first, count;
} block;

static void *place_of(const in_order_work *w, const block *b, int64_t i) {
  return b->places + (size_t)i * w->place_bytes;
}

static err take_block(const in_order_work *w, const block *b, err error) {
  for (int64_t i = 0; i < b->count; i++) {
    if (!error) error = w->take(w->context, b->first + i, place_of(w, b, i));
    w->release(place_of(w, b, i));
  }
  return error;
}

err in_order(const in_order_work *w) {
  size_t bytes = (size_t)w->at_once * w->place_bytes;
  char *places = mem_zeroed(2, bytes);
  if (!places) return mem_error(2 * bytes, "rows in work");
  block ready = {places, 0, 0}, next = {places + bytes, 0, 0};
  err error = NULL;
  while (!error && (next.first < w->count || ready.count)) {
    int64_t left = w->count - next.first;
    next.count = left < w->at_once ? left : w->at_once;
    memset(next.places, 0, bytes);
#pragma omp parallel
    {
#pragma omp single nowait
      error = take_block(w, &ready, error);
#pragma omp for schedule(dynamic, 4)
      for (int64_t i = 0; i < next.count; i++)
        w->make(w->context, next.first + i, place_of(w, &next, i));
    }
    const block taken = ready;
    ready = next;
    next = (block){taken.places, ready.first + ready.count, 0};
  }
  error = take_block(w, &ready, error); /* after an error: only released */
  free(places);
  return error;
}
