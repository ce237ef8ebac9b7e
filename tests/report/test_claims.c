/* What an interval says about a claim. */
#include "support/test.h"

#include <math.h>

#include "report/claims.h"

static claim_verdict judge(claim_relation relation, double low, double high) {
  const spec_claim c = {.relation = relation, .than = 2, .within = 0.5};
  return claims_judge(&c, low, high);
}

static void a_claim_holds_or_fails_with_its_whole_interval(void **state) {
  (void)state;
  assert_int_equal(judge(CLAIM_GREATER, 2.1, 3), CLAIM_HOLDS);
  assert_int_equal(judge(CLAIM_GREATER, 2, 3), CLAIM_UNSURE); /* 2 is not greater than 2 */
  assert_int_equal(judge(CLAIM_GREATER, 1, 2.1), CLAIM_UNSURE);
  assert_int_equal(judge(CLAIM_GREATER, 1, 2), CLAIM_FAILS);
  assert_int_equal(judge(CLAIM_GREATER, 2.1, INFINITY), CLAIM_HOLDS);
  assert_int_equal(judge(CLAIM_SMALLER, 1, 1.9), CLAIM_HOLDS);
  assert_int_equal(judge(CLAIM_SMALLER, 1, 2), CLAIM_UNSURE);
  assert_int_equal(judge(CLAIM_SMALLER, 1.9, 3), CLAIM_UNSURE);
  assert_int_equal(judge(CLAIM_SMALLER, 2, 3), CLAIM_FAILS);
  assert_int_equal(judge(CLAIM_SMALLER, 0, INFINITY), CLAIM_UNSURE);
}

static void equal_is_within_a_margin(void **state) {
  (void)state;
  assert_int_equal(judge(CLAIM_EQUAL, 1.6, 2.4), CLAIM_HOLDS);
  assert_int_equal(judge(CLAIM_EQUAL, 1.5, 2.4), CLAIM_UNSURE);
  assert_int_equal(judge(CLAIM_EQUAL, 1.6, 2.5), CLAIM_UNSURE);
  assert_int_equal(judge(CLAIM_EQUAL, 1, 3), CLAIM_UNSURE);
  assert_int_equal(judge(CLAIM_EQUAL, 2.4, 2.6), CLAIM_UNSURE);
  assert_int_equal(judge(CLAIM_EQUAL, 2.5, 3), CLAIM_FAILS);
  assert_int_equal(judge(CLAIM_EQUAL, 1, 1.5), CLAIM_FAILS);
}

static void without_an_interval_nothing_is_sure(void **state) {
  (void)state;
  for (claim_relation r = CLAIM_GREATER; r <= CLAIM_EQUAL; r++) {
    assert_int_equal(judge(r, NAN, NAN), CLAIM_UNSURE);
    assert_int_equal(judge(r, NAN, 1), CLAIM_UNSURE);
    assert_int_equal(judge(r, 3, NAN), CLAIM_UNSURE);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_claim_holds_or_fails_with_its_whole_interval),
      cmocka_unit_test(equal_is_within_a_margin),
      cmocka_unit_test(without_an_interval_nothing_is_sure),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
