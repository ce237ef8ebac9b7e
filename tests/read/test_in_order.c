#include "support/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "read/in_order.h"

typedef struct {
  int64_t taken, fails_at;
  int64_t sum;
} collected;

typedef struct {
  int64_t row;
  void *owned;
  pthread_t maker;
} place;

static atomic_int live;

static void make(void *context, int64_t row, void *at) {
  (void)context;
  place *p = at;
  assert_null(p->owned); /* places are zeroed */
  p->row = row;
  p->owned = malloc(1);
  p->maker = pthread_self();
  atomic_fetch_add(&live, 1);
}

static err take(void *context, int64_t row, void *at) {
  collected *c = context;
  place *p = at;
  assert_int_equal(p->row, row);
  assert_int_equal(c->taken, row);
  if (row == c->fails_at) return err_new(ERR_INPUT, "row %ld", (long)row);
  c->taken++;
  c->sum += row;
  return NULL;
}

static void release(void *at) {
  place *p = at;
  assert_non_null(p->owned);
  assert_true(pthread_equal(p->maker, pthread_self())); /* no contention in the allocator */
  free(p->owned);
  p->owned = NULL;
  atomic_fetch_sub(&live, 1);
}

static in_order_work work_of(collected *c, int64_t count) {
  return (in_order_work){c, count, 16, sizeof(place), make, take, release};
}

static void every_row_is_taken_once_and_in_order(void **state) {
  (void)state;
  static const int64_t counts[] = {0, 1, 15, 16, 17, 32, 33, 1000};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    collected c = {.fails_at = -1};
    const in_order_work w = work_of(&c, counts[i]);
    assert_ok(in_order(&w));
    assert_int_equal(c.taken, counts[i]);
    assert_int_equal(c.sum, counts[i] * (counts[i] - 1) / 2);
    assert_int_equal(live, 0);
  }
}

static void the_first_error_ends_it_and_all_is_released(void **state) {
  (void)state;
  static const int64_t places[] = {0, 15, 16, 40, 99};
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    collected c = {.fails_at = places[i]};
    const in_order_work w = work_of(&c, 100);
    err error = in_order(&w);
    assert_non_null(error);
    err_free(error);
    assert_int_equal(c.taken, places[i]);
    assert_int_equal(live, 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_row_is_taken_once_and_in_order),
      cmocka_unit_test(the_first_error_ends_it_and_all_is_released),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
