/* What ranks tell each other between two steps. */
#include "support/test.h"

#include <math.h>

#include "train/ranks.h"

/* Ranks that have computed for 10 and 20 s, and then for 4 and 2 s more. */
static void the_slowest_rank_of_a_row_is_that_since_the_row_before(void **state) {
  (void)state;
  comm c = {.size = 2};
  ranks_load load;
  assert_ok(ranks_load_open(&load, &c));
  load.now[0] = 10, load.now[1] = 20;
  ranks_spread row = ranks_spread_of_row(&c, &load);
  assert_int_equal(row.slowest, 1);
  assert_true(row.spread == 2);
  load.now[0] = 14, load.now[1] = 22;
  row = ranks_spread_of_row(&c, &load);
  assert_int_equal(row.slowest, 0);
  assert_true(row.spread == 2);
  ranks_spread all = ranks_spread_of_all(&c, &load);
  assert_int_equal(all.slowest, 1);
  assert_true(all.spread == 22. / 14);
  assert_true(isnan(ranks_spread_of_row(&c, &load).spread)); /* no rank has computed since */
  ranks_load_close(&load);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_slowest_rank_of_a_row_is_that_since_the_row_before),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
