/* The sums of what ranks have, as they cross the wire, and their slices of them. */
#include "support/test.h"

#include "base/bf16.h"
#include "comm/comm.h"
#include "comm/sums.h"

enum { RANKS = 3, COUNT = 1100 }; /* more than two strips */

/* Of rank r element i is i + 1000 r + 1/8: all have digits enough in fp32. */
static void each_element_is_the_sum_over_all_ranks(void **state) {
  (void)state;
  static float narrow[RANKS][COUNT], sums[COUNT];
  static double wide[RANKS][COUNT], wide_sums[COUNT];
  const void *of_narrow[RANKS], *of_wide[RANKS];
  for (int r = 0; r < RANKS; r++) {
    for (int i = 0; i < COUNT; i++) wide[r][i] = narrow[r][i] = (float)(i + 1000 * r) + 0.125f;
    of_narrow[r] = narrow[r], of_wide[r] = wide[r];
  }
  sums_of_ranks(of_narrow, RANKS, OPS_F32, COUNT, (ops_buffer){sums, OPS_F32});
  sums_of_ranks(of_wide, RANKS, OPS_F64, COUNT, (ops_buffer){wide_sums, OPS_F64});
  for (int i = 0; i < COUNT; i++) {
    assert_true(sums[i] == (float)(3 * i + 3000) + 0.375f);
    assert_true(wide_sums[i] == 3 * i + 3000.375);
  }
}

/* Rounded to nearest, ties to even, and added in double: 1 + 2^-8 is half way between 1 and 1 +
 * 2^-7, and 1 + 3 * 2^-8 between that and 1 + 2^-6. */
static void what_is_sent_in_bf16_is_rounded_once(void **state) {
  (void)state;
  static const float own[] = {1, 1.00390625f, 1.01171875f, 1.0078125f, -3.14159f, 65536};
  static const float wanted[] = {1, 1, 1.015625f, 1.0078125f, -3.140625f, 65536};
  enum { VALUES = sizeof own / sizeof *own };
  uint16_t sent[VALUES];
  double wide[VALUES];
  float sums[VALUES];
  for (int type = 0; type < 2; type++) {
    for (int i = 0; i < VALUES; i++) wide[i] = (double)own[i];
    const ops_buffer from = {type ? (void *)wide : (void *)own, type ? OPS_F64 : OPS_F32};
    sums_round(from, VALUES, sent);
    for (int i = 0; i < VALUES; i++) assert_true(bf16_to_float(sent[i]) == wanted[i]);
    const void *of_ranks[] = {sent, sent};
    sums_of_ranks(of_ranks, 2, OPS_BF16, VALUES, (ops_buffer){sums, OPS_F32});
    for (int i = 0; i < VALUES; i++) assert_true(sums[i] == 2 * wanted[i]);
  }
}

/* Cut at the border between two kinds of parameters, each kind into buckets with a rest. */
static void a_rank_owns_its_slice_of_every_bucket(void **state) {
  (void)state;
  enum { TOTAL = 100000, BORDER = 37000, MOST = 16384, SIZE = 3, BUCKETS = 16 };
  comm_slice buckets[BUCKETS];
  int64_t all = 0;
  size_t count = comm_cut(TOTAL, BORDER, MOST, NULL);
  assert_true(count <= BUCKETS);
  assert_int_equal(comm_cut(TOTAL, BORDER, MOST, buckets), count);
  for (int rank = 0; rank < SIZE; rank++) {
    int64_t own = 0;
    for (size_t i = 0; i < count; i++) own += comm_slice_of(buckets[i].count, SIZE, rank).count;
    assert_int_equal(comm_own_elements(TOTAL, BORDER, MOST, SIZE, rank), own);
    all += own;
  }
  assert_int_equal(all, TOTAL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_element_is_the_sum_over_all_ranks),
      cmocka_unit_test(what_is_sent_in_bf16_is_rounded_once),
      cmocka_unit_test(a_rank_owns_its_slice_of_every_bucket),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
