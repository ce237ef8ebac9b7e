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

enum { VALUES, ACTIVATED, GRADIENT, NORM, TURNED, KINDS };
enum { NORM_ROWS = 96, NORM_WIDTH = 64 }; /* multiples of 16, in the same memory */

/* False if the shim reported something. */
static bool normalize(ops_buffer x, ops_narrow to, ops_buffer statistics) {
  ops_buffer gamma = random_buffer(OPS_F32, NORM_WIDTH, 6);
  const ops_layer_norm n = {.rows = NORM_ROWS,
                            .width = NORM_WIDTH,
                            .eps = 1e-6,
                            .x = x,
                            .gamma = gamma,
                            .beta = gamma,
                            .mean = statistics,
                            .rstd = ops_at(statistics, NORM_ROWS),
                            .narrow = to};
  bool is_fine = fp8_mutant_norm(&n) == 0;
  simt_release(gamma.data);
  return is_fine;
}

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
  ops_buffer statistics = random_buffer(OPS_F32, 2 * NORM_ROWS, 7);
  bool is_fine =
      fp8_mutant_narrow(&list[1], 1, scratch) == 0 && fp8_mutant_narrow(list, 1, scratch) == 0;
  if (kind == NORM) is_fine = is_fine && normalize(x, list[0].to, statistics);
  if (kind == TURNED)
    is_fine = is_fine && fp8_mutant_turn(list[0].to.values, list[0].to.turned, COLUMNS, ROWS) == 0;
  is_fine = is_fine && fp8_mutant_maximum(COUNT, x, maximum) == 0;
  memcpy(r->values, list[0].to.values.data, COUNT);
  memcpy(r->turned, list[0].to.turned.data, COUNT);
  keep(r->scale, scale, 2);
  keep(&r->maximum, maximum, 1);
  keep(r->sums, sums, COLUMNS);
  void *all[] = {x.data,         scale.data, maximum.data,           sums.data,
                 pre.data,       scratch,    list[0].to.values.data, list[0].to.turned.data,
                 statistics.data};
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
  assert_true(left_out_sites(&sites) >= 4);
  assert_int_equal(left_out_count_missed(notice), 0);
  assert_null(notice());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_barrier_that_is_left_out_is_noticed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
