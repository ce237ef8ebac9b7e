#include "support/test.h"

#include <stdlib.h>

#include "base/processor.h"

static void the_best_that_the_processor_has_is_taken(void **state) {
  (void)state;
  unsetenv(PROCESSOR_VARIABLE);
  int chosen = processor_variant();
  assert_ok(processor_check());
  assert_true(processor_has(chosen));
  for (int better = chosen + 1; better < PROCESSOR_COUNT; better++)
    assert_false(processor_has(better));
}

static void each_variant_that_the_processor_has_can_be_forced(void **state) {
  (void)state;
  for (int variant = 0; variant < PROCESSOR_COUNT; variant++) {
    setenv(PROCESSOR_VARIABLE, processor_name(variant), 1);
    if (processor_has(variant)) {
      assert_ok(processor_check());
      assert_int_equal(processor_variant(), variant);
    } else {
      assert_fails_with(processor_check(), processor_name(variant));
      assert_true(processor_has(processor_variant()));
    }
  }
  unsetenv(PROCESSOR_VARIABLE);
}

static void an_unknown_name_is_answered_with_the_list(void **state) {
  (void)state;
  setenv(PROCESSOR_VARIABLE, "avx9000", 1);
  for (int variant = 0; variant < PROCESSOR_COUNT; variant++)
    assert_fails_with(processor_check(), processor_name(variant));
  unsetenv(PROCESSOR_VARIABLE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_best_that_the_processor_has_is_taken),
      cmocka_unit_test(each_variant_that_the_processor_has_can_be_forced),
      cmocka_unit_test(an_unknown_name_is_answered_with_the_list),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
