#include "support/test.h"

#include <math.h>

#include "stats/linked.h"

enum { ROUNDS = 4 };

static void assert_near(double value, double wanted) {
  if (!(fabs(value - wanted) <= 1e-9 * wanted)) fail_msg("%.12g is not %.12g", value, wanted);
}

/* Item 0 in turns with 1, then with 2, on a machine that becomes slower all the time. */
static void what_rounds_share_is_taken_out(void **state) {
  (void)state;
  linked_sample s[4 * ROUNDS];
  double corrected[4 * ROUNDS];
  const double speed[] = {100, 110, 90};
  size_t count = 0;
  for (size_t round = 0; round < 2 * ROUNDS; round++) {
    const double drift = 1 - 0.02 * (double)round;
    const size_t other = round < ROUNDS ? 1 : 2;
    s[count++] = (linked_sample){0, round, speed[0] * drift};
    s[count++] = (linked_sample){other, round, speed[other] * drift};
  }
  assert_ok(stats_linked(s, count, 3, corrected));
  const double level = 0.93 * speed[0]; /* the median of item 0 as measured */
  for (size_t i = 0; i < count; i++) assert_near(corrected[i], level * speed[s[i].item] / speed[0]);
}

/* 2 was never measured in turns with 0, but with 1. */
static void chains_of_pairs_link(void **state) {
  (void)state;
  const linked_sample s[] = {{0, 7, 100}, {1, 7, 120}, {0, 8, 50},  {1, 8, 60},
                             {1, 9, 12},  {2, 9, 6},   {0, 11, 80}, {1, 11, 96}};
  double corrected[8];
  assert_ok(stats_linked(s, 8, 3, corrected));
  /* 1 has the most samples: 120, 60, 12, 96, with the median 78 */
  assert_near(corrected[0], 65);
  assert_near(corrected[3], 78);
  assert_near(corrected[5], 39);
}

/* 1 has the most samples, with the median 60; 2 is linked to it, and 3 only to 2. */
static void a_chain_may_have_several_links(void **state) {
  (void)state;
  const linked_sample s[] = {{3, 1, 90}, {2, 1, 45}, {0, 2, 100}, {1, 2, 120},
                             {0, 3, 50}, {1, 3, 60}, {1, 4, 12},  {2, 4, 6}};
  double corrected[8];
  assert_ok(stats_linked(s, 8, 4, corrected));
  assert_near(corrected[3], 60);
  assert_near(corrected[2], 50);
  assert_near(corrected[7], 30); /* half of 1 */
  assert_near(corrected[0], 60); /* twice that of 2 */
  assert_near(corrected[1], 30);
}

static void what_is_not_linked_has_no_value(void **state) {
  (void)state;
  const linked_sample s[] = {{0, 1, 100}, {1, 1, 110}, {0, 2, 90},  {1, 2, 99}, {2, 3, 5},
                             {3, 4, 10},  {4, 4, 20},  {0, 5, 100}, {0, 5, 101}};
  double corrected[9];
  assert_ok(stats_linked(s, 9, 5, corrected));
  assert_near(corrected[0], 95);
  assert_near(corrected[3], 104.5);
  assert_true(isnan(corrected[4]));                        /* alone in its round */
  assert_true(isnan(corrected[5]) && isnan(corrected[6])); /* no chain to the others */
  assert_true(isnan(corrected[7]) && isnan(corrected[8])); /* with itself */
  assert_ok(stats_linked(s, 0, 0, corrected));
  assert_ok(stats_linked(&s[4], 1, 3, corrected));
  assert_true(isnan(corrected[0]));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_rounds_share_is_taken_out),
      cmocka_unit_test(chains_of_pairs_link),
      cmocka_unit_test(a_chain_may_have_several_links),
      cmocka_unit_test(what_is_not_linked_has_no_value),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
