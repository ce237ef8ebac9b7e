/* A rounding to 8 bits with one barrier removed must be noticed: by the race recorder, or by its
 * results. */
#include "support/test.h"

#include <string.h>

#include "cuda/kernels.h"
#include "simt/fp8_mutants.h"
#include "simt/left_out.h"
#include "simt/simt.h"
#include "simt/mutant_buffers.h"

enum { ROWS = 136, COLUMNS = 72, COUNT = ROWS * COLUMNS };

typedef struct {
  uint8_t values[COUNT], turned[COUNT];
  float scale[2], maximum, sums[COLUMNS];
} results;

enum { VALUES, ACTIVATED, GRADIENT, KINDS };

/* False if the shim reported something. */
static bool run(int kind, results *r) {
  ops_buffer x = random_buffer(OPS_BF16, COUNT, 1), scale = random_buffer(OPS_F32, 8, 2);
  ops_buffer maximum = random_buffer(OPS_F32, 1, 3);
  ops_rounding list[2] = {
      {.rows = ROWS, .columns = COLUMNS, .x = x, .is_activated = kind == ACTIVATED}};
  list[0].to =
      (ops_narrow){OPS_E4M3, {simt_allocate(COUNT), OPS_U8}, {simt_allocate(COUNT), OPS_U8}, scale};
  ops_buffer sums = random_buffer(OPS_F32, COLUMNS, 4), pre = random_buffer(OPS_BF16, COUNT, 5);
  if (kind == GRADIENT) {
    list[0].pre = pre;
    list[0].sums = sums;
    list[0].is_delayed = true;
  }
  void *scratch = simt_allocate(kernel_narrow_scratch(list, 1) + 1);
  list[1] = list[0];
  list[1].rows = 64; /* the same memory, before the other's */
  memset(r, 0, sizeof *r);
  reference_set(scale, OPS_SCALE_MAXIMUM, 0);
  reference_set(maximum, 0, 0);
  bool is_fine =
      fp8_mutant_narrow(&list[1], 1, scratch) == 0 && fp8_mutant_narrow(list, 1, scratch) == 0;
  is_fine = is_fine && fp8_mutant_maximum(COUNT, x, maximum) == 0;
  memcpy(r->values, list[0].to.values.data, COUNT);
  memcpy(r->turned, list[0].to.turned.data, COUNT);
  keep(r->scale, scale, 2);
  keep(&r->maximum, maximum, 1);
  keep(r->sums, sums, COLUMNS);
  void *all[] = {x.data,   scale.data, maximum.data,           sums.data,
                 pre.data, scratch,    list[0].to.values.data, list[0].to.turned.data};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) simt_release(all[i]);
  return is_fine;
}

static results right[KINDS];

/* What is detected; NULL: nothing. */
static const char *notice(void) {
  static results got;
  for (int i = 0; i < KINDS; i++) {
    simt_forget();
    if (!run(i, &got)) return simt_message();
    if (memcmp(&got, &right[i], sizeof got) != 0) return "the results differ";
  }
  return NULL;
}

static void a_barrier_that_is_left_out_is_noticed(void **state) {
  (void)state;
  const left_out_site *sites;
  if (!simt_has_recorder()) skip();
  for (int i = 0; i < KINDS; i++)
    if (!run(i, &right[i])) fail_msg("%s", simt_message());
  assert_true(left_out_sites(&sites) >= 3);
  assert_int_equal(left_out_count_missed(notice), 0);
  assert_null(notice());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_barrier_that_is_left_out_is_noticed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
