#include "support/test.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>

#include "train/spin.h"

/* Half a second of training in which threads waited, and others computed, for a share of it. */
static void half_a_second(spin *s, double delayed, double others) {
  spin_consider(s, 0.5, delayed * 2 * 0.5, others * omp_get_num_procs() * 0.5);
}

static void a_quiet_machine_changes_nothing(void **state) {
  (void)state;
  spin *s = spin_create(2);
  half_a_second(s, 0.01, 0.01);
  half_a_second(s, 0.3, 0.01); /* its own loader's threads are in the way: nobody else's */
  half_a_second(s, 0.01, 0.4); /* others compute where nobody waits for them */
  assert_false(spin_is_short(s));
  spin_consider(s, 0.5, (double)NAN, (double)NAN);
  assert_false(spin_is_short(s));
  spin_destroy(s);
}

static void busy_neighbours_make_it_short_until_they_have_gone(void **state) {
  (void)state;
  spin *s = spin_create(2);
  half_a_second(s, 0.3, 0.4);
  assert_true(spin_is_short(s));
  half_a_second(s, 0.3, 0.4);
  for (int i = 0; i < 6; i++) half_a_second(s, 0, 0);
  assert_true(spin_is_short(s)); /* three seconds: they may be between two files */
  half_a_second(s, 0, 0);
  assert_false(spin_is_short(s));
  half_a_second(s, 0.3, 0.4);
  assert_true(spin_is_short(s));
  spin_destroy(s); /* takes its team with it */
}

static void readings_of_a_moment_are_gathered(void **state) {
  (void)state;
  spin *s = spin_create(2);
  for (int i = 0; i < 9; i++) spin_consider(s, 0.02, 0.02, 0.02 * omp_get_num_procs());
  assert_false(spin_is_short(s)); /* 0.18 s: a few ticks */
  for (int i = 0; i < 3; i++) spin_consider(s, 0.02, 0.02, 0.02 * omp_get_num_procs());
  assert_true(spin_is_short(s));
  spin_destroy(s);
  spin_consider(NULL, 1, 1, 1);
  spin_destroy(NULL);
}

int main(void) {
  unsetenv("GOMP_SPINCOUNT"); /* a user who sets how long threads wait is left alone: spin_create */
  unsetenv("OMP_WAIT_POLICY");
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_quiet_machine_changes_nothing),
      cmocka_unit_test(busy_neighbours_make_it_short_until_they_have_gone),
      cmocka_unit_test(readings_of_a_moment_are_gathered),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
