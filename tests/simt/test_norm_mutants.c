/* Every barrier of layer norm's gradient and of the activation's gradient with sums is needed, and
 * the shim detects its removal. */
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#include "cuda/kernels.h"
#include "simt/left_out.h"
#include "simt/norm_mutants.h"
#include "simt/simt.h"
#include "simt/mutant_buffers.h"

/* Eight groups in a block; four of two warps; several tiles; one group; a wide row. */
static const struct {
  int64_t rows, width;
} shapes[] = {{40, 40}, {100, 264}, {9000, 8}, {20, 1032}, {3, 2056}};
enum { SHAPES = sizeof shapes / sizeof shapes[0], MOST_WIDTH = 2056, ROWS = 300, COLUMNS = 40 };

typedef struct {
  uint64_t dx;
  float dgamma[MOST_WIDTH], dbeta[MOST_WIDTH], dx_sums[MOST_WIDTH], slopes[COLUMNS];
} results;

static bool run_norm(int64_t rows, int64_t width, results *r) {
  ops_layer_norm_gradient n = {.rows = rows, .width = width};
  n.x = random_buffer(OPS_BF16, rows * width, 1), n.dy = random_buffer(OPS_BF16, rows * width, 2);
  n.dx = n.dresidual = random_buffer(OPS_BF16, rows * width, 3);
  n.gamma = random_buffer(OPS_F32, width, 4);
  n.mean = random_buffer(OPS_F32, rows, 5), n.rstd = random_buffer(OPS_F32, rows, 6);
  n.dgamma = random_buffer(OPS_F32, width, 7), n.dbeta = random_buffer(OPS_F32, width, 8);
  n.dx_sums = random_buffer(OPS_F32, width, 9);
  void *scratch = simt_allocate(kernel_layer_norm_gradient_scratch(rows, width));
  bool is_fine = norm_mutant_launch(&n, scratch) == 0;
  for (int64_t i = 0; i < rows * width; i++)
    r->dx = r->dx * 0x9E3779B97F4A7C15u + ((uint16_t *)n.dx.data)[i];
  keep(r->dgamma, n.dgamma, width);
  keep(r->dbeta, n.dbeta, width);
  keep(r->dx_sums, n.dx_sums, width);
  void *all[] = {n.x.data,    n.dy.data,     n.dx.data,    n.gamma.data,   n.mean.data,
                 n.rstd.data, n.dgamma.data, n.dbeta.data, n.dx_sums.data, scratch};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) simt_release(all[i]);
  return is_fine;
}

static bool run_slopes(results *r) {
  ops_buffer pre = random_buffer(OPS_BF16, ROWS * COLUMNS, 1);
  ops_buffer c = random_buffer(OPS_BF16, ROWS * COLUMNS, 2);
  ops_buffer sums = random_buffer(OPS_F32, COLUMNS, 3);
  void *scratch = simt_allocate(kernel_activation_gradient_sums_scratch(ROWS, COLUMNS));
  bool is_fine = slope_mutant_launch(ROWS, COLUMNS, pre, c, sums, scratch) == 0;
  keep(r->slopes, sums, COLUMNS);
  simt_release(pre.data), simt_release(c.data), simt_release(sums.data), simt_release(scratch);
  return is_fine;
}

/* False if the shim reported something. */
static bool run(int shape, results *r) {
  memset(r, 0, sizeof *r);
  return run_norm(shapes[shape].rows, shapes[shape].width, r) && run_slopes(r);
}

static results right[SHAPES];

/* What is detected at any shape; NULL: nothing. */
static const char *notice(void) {
  static results got;
  for (int i = 0; i < SHAPES; i++) {
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
  for (int i = 0; i < SHAPES; i++)
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
