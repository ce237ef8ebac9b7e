/* Runs of kernels with their buffers where a test wants them, and the comparison of two runs. */
#ifndef FLIP_TESTS_SIMT_PLACED_H
#define FLIP_TESTS_SIMT_PLACED_H

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "simt/simt.h"
#include "support/ops_reference.h"
#include "support/test.h"

enum { MOST_BUFFERS = 20, ALIGNED = -1 };

/* The buffers of a run, in the order of their making. */
typedef struct {
  ops_type type;
  int odd, count;  /* odd: which one lies an element further than it could */
  int64_t skipped; /* rows before those that exist (rows_of) */
  void *blocks[MOST_BUFFERS];
  ops_buffer buffers[MOST_BUFFERS];
  int64_t lengths[MOST_BUFFERS];
} bench;

static inline ops_buffer place(bench *b, ops_type type, int64_t count) {
  const int which = b->count++;
  assert_true(which < MOST_BUFFERS);
  b->blocks[which] = simt_allocate((size_t)(count + 1) * ops_size_of(type));
  assert_non_null(b->blocks[which]);
  b->buffers[which] = ops_at((ops_buffer){b->blocks[which], type}, which == b->odd);
  b->lengths[which] = count;
  return b->buffers[which];
}

/* The same numbers wherever they lie. */
static inline ops_buffer numbers(bench *b, ops_type type, int64_t count) {
  rng r = rng_at(9, RNG_TEST, 0, (uint64_t)b->count);
  ops_buffer x = place(b, type, count);
  for (int64_t i = 0; i < count; i++) {
    if (type == OPS_U8)
      ((uint8_t *)x.data)[i] = (uint8_t)rng_below(&r, 256);
    else
      reference_set(x, i, rng_normal(&r));
  }
  return x;
}

/* The last `rows` rows of [skipped + rows, width]. */
static inline ops_buffer rows_of(bench *b, ops_type type, int64_t rows, int64_t width) {
  return ops_at(numbers(b, type, rows * width), -b->skipped * width);
}

/* Integers in [0, limit). */
static inline ops_buffer indices(bench *b, int64_t count, int limit) {
  ops_buffer x = place(b, OPS_I32, count);
  for (int64_t i = 0; i < count; i++) ((int32_t *)x.data)[i] = (int32_t)((i * i + 3 * i) % limit);
  return x;
}

static inline double element(const bench *b, int which, int64_t i) {
  const ops_buffer x = b->buffers[which];
  return x.type == OPS_U8    ? ((const uint8_t *)x.data)[i]
         : x.type == OPS_I32 ? ((const int32_t *)x.data)[i]
                             : reference_get(x, i);
}

static inline void release(bench *b) {
  for (int i = 0; i < b->count; i++) simt_release(b->blocks[i]);
}

typedef struct {
  const char *name;
  int (*run)(bench *b);
} work;
#define WORK(name)                                                                                 \
  { #name, name }

static inline bench ran(const work *w, ops_type type, int odd) {
  bench b = {.type = type, .odd = odd};
  if (w->run(&b)) fail_msg("%s, buffer %d at an odd element: %s", w->name, odd, simt_message());
  return b;
}

/* Other kernels add in another order, and round to bf16 before or after adding: the last bits
 * differ, by the size of an element and that of all. */
static inline void assert_same(const work *w, const bench *expected, const bench *found) {
  const double share = found->type == OPS_BF16 ? 1.0 / 128 : 2e-6;
  assert_int_equal(found->count, expected->count);
  for (int which = 0; which < found->count; which++) {
    double square = 0;
    for (int64_t i = 0; i < found->lengths[which]; i++)
      square += pow(element(expected, which, i), 2);
    const double size = sqrt(square / (double)found->lengths[which]);
    for (int64_t i = 0; i < found->lengths[which]; i++) {
      double x = element(expected, which, i), y = element(found, which, i);
      if (!(fabs(x - y) <= share * (fabs(x) + size)))
        fail_msg("%s, buffer %d at an odd element: element %ld of buffer %d is %.9g, not %.9g",
                 w->name, found->odd, (long)i, which, y, x);
    }
  }
}

#endif
