/* What the op tests do not reach: the launchers outside the ops (sums, activations), maxima for
 * 8-bit operands, refused shapes, and the corners of the sort behind the embedding's gradient. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "cuda/kernels.h"
#include "simt/kernel_buffers.h"
#include "support/ops_reference.h"

static ops_buffer cleared(void) {
  ops_buffer b = buffer_of(OPS_F32, 1);
  reference_set(b, 0, 0);
  return b;
}

/* Smaller than 1, as gradients are: a maximum that does not begin at 0 shows. */
static ops_buffer small_buffer(ops_type type, int64_t count, uint64_t stream) {
  ops_buffer b = random_buffer(type, count, stream);
  for (int64_t i = 0; i < count; i++) reference_set(b, i, 1e-3 * reference_get(b, i));
  return b;
}

/* Compares a maximum that an op wrote, of `count` values of x; releases both. */
static void check_maximum(const char *what, ops_buffer maximum, ops_buffer x, int64_t count) {
  float got = (float)reference_get(maximum, 0), expected = largest_of(x, count);
  if (got != expected)
    fail_msg("%s: the maximum is %.9g, not %.9g", what, (double)got, (double)expected);
  assert_true(expected > 0);
  simt_release(maximum.data);
  simt_release(x.data);
}

static void check_norm_maxima(ops_type type, int64_t rows, int64_t width) {
  ops_buffer x = random_buffer(type, rows * width, 1), dy = random_buffer(type, rows * width, 2);
  ops_buffer y = buffer_of(type, rows * width), dx = buffer_of(type, rows * width);
  ops_buffer vectors[6];
  for (int i = 0; i < 6; i++) vectors[i] = random_buffer(OPS_F32, rows > width ? rows : width, 3);
  for (int i = 0; i < 2; i++) simt_release(vectors[i].data); /* the gain and the offset */
  for (int i = 0; i < 2; i++) vectors[i] = small_buffer(OPS_F32, width, 3);
  reference_set(dy, rows * width - 1, 40);
  const ops_layer_norm n = {.rows = rows,
                            .width = width,
                            .eps = 1e-6,
                            .x = x,
                            .gamma = vectors[0],
                            .beta = vectors[1],
                            .y = y,
                            .mean = vectors[2],
                            .rstd = vectors[3],
                            .y_maximum = cleared()};
  const ops_layer_norm_gradient g = {.rows = rows,
                                     .width = width,
                                     .x = x,
                                     .dy = dy,
                                     .gamma = vectors[0],
                                     .mean = vectors[2],
                                     .rstd = vectors[3],
                                     .dx = dx,
                                     .dgamma = vectors[4],
                                     .dbeta = vectors[5],
                                     .dx_maximum = cleared()};
  void *scratch = simt_allocate(kernel_layer_norm_gradient_scratch(rows, width));
  assert_launched(kernel_layer_norm(&n, NULL));
  assert_launched(kernel_layer_norm_gradient(&g, scratch, NULL));
  check_maximum("layer norm", n.y_maximum, y, rows * width);
  check_maximum("layer norm's gradient", g.dx_maximum, dx, rows * width);
  for (int i = 0; i < 6; i++) simt_release(vectors[i].data);
  simt_release(x.data), simt_release(dy.data), simt_release(scratch);
}

/* What a lane computes beyond the end of a row is larger than all of the row: minus the mean of dy.
 */
static void check_maximum_of_a_row_of_odd_width(ops_type type) {
  enum { WIDTH = 45 };
  ops_buffer x = random_buffer(type, WIDTH, 1), dy = buffer_of(type, WIDTH);
  ops_buffer dx = buffer_of(type, WIDTH), gamma = buffer_of(OPS_F32, WIDTH);
  ops_buffer mean = cleared(), rstd = buffer_of(OPS_F32, 1);
  ops_buffer sums[2] = {random_buffer(OPS_F32, WIDTH, 2), random_buffer(OPS_F32, WIDTH, 3)};
  for (int i = 0; i < WIDTH; i++) reference_set(dy, i, i ? 1 : 1.5), reference_set(gamma, i, 1);
  reference_set(rstd, 0, 1);
  const ops_layer_norm_gradient g = {.rows = 1,
                                     .width = WIDTH,
                                     .x = x,
                                     .dy = dy,
                                     .gamma = gamma,
                                     .mean = mean,
                                     .rstd = rstd,
                                     .dx = dx,
                                     .dgamma = sums[0],
                                     .dbeta = sums[1],
                                     .dx_maximum = cleared()};
  void *scratch = simt_allocate(kernel_layer_norm_gradient_scratch(1, WIDTH));
  assert_launched(kernel_layer_norm_gradient(&g, scratch, NULL));
  assert_true(largest_of(dx, WIDTH) < 1);
  check_maximum("the gradient of a row of odd width", g.dx_maximum, dx, WIDTH);
  void *all[] = {x.data,    dy.data,      gamma.data,   mean.data,
                 rstd.data, sums[0].data, sums[1].data, scratch};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) simt_release(all[i]);
}

static void check_attention_maxima(ops_type type, int64_t tokens, int64_t head_width) {
  enum { BATCH = 2, HEADS = 2 };
  const int64_t count = BATCH * tokens * HEADS * head_width;
  ops_attention a = {.batch = BATCH, .tokens = tokens, .heads = HEADS, .head_width = head_width};
  a.qkv = small_buffer(type, 3 * count, 1), a.dout = small_buffer(type, count, 2);
  a.out = buffer_of(type, count), a.dqkv = buffer_of(type, 3 * count);
  a.lse = buffer_of(OPS_F32, BATCH * HEADS * tokens);
  a.out_maximum = cleared(), a.dqkv_maximum = cleared();
  void *scratch = simt_allocate(kernel_attention_gradient_scratch(&a));
  assert_launched(kernel_attention(&a, NULL));
  assert_launched(kernel_attention_gradient(&a, scratch, NULL));
  check_maximum("attention", a.out_maximum, a.out, count);
  check_maximum("attention's gradient", a.dqkv_maximum, a.dqkv, 3 * count);
  simt_release(a.qkv.data), simt_release(a.dout.data), simt_release(a.lse.data);
  simt_release(scratch);
}

static void ops_write_the_maximum_of_what_they_store(void **state) {
  (void)state;
  /* of the norms: a warp per row, a block per row, rows that cannot be read 16 bytes at a time */
  const int64_t norms[][2] = {{37, 64}, {5, 1032}, {3, 2056}, {9, 45}};
  /* of attention: half a tile, a tile, walks in one and in two, any width */
  const int64_t heads[][2] = {{20, 32}, {50, 64}, {99, 64}, {140, 80}, {40, 20}, {260, 32}};
  for (int is_bf16 = 0; is_bf16 < 2; is_bf16++) {
    const ops_type type = is_bf16 ? OPS_BF16 : OPS_F32;
    for (int i = 0; i < 4; i++) check_norm_maxima(type, norms[i][0], norms[i][1]);
    check_maximum_of_a_row_of_odd_width(type);
    for (int i = 0; i < 6; i++) check_attention_maxima(type, heads[i][0], heads[i][1]);
    enum { ROWS = 300, COLUMNS = 40 };
    ops_buffer pre = random_buffer(type, ROWS * COLUMNS, 1), most = cleared();
    ops_buffer c = small_buffer(type, ROWS * COLUMNS, 2), sums = random_buffer(OPS_F32, COLUMNS, 3);
    void *scratch = simt_allocate(kernel_activation_gradient_sums_scratch(ROWS, COLUMNS));
    reference_set(c, 5, NAN);
    assert_launched(kernel_activation_gradient_sums(OPS_GELU_TANH, ROWS, COLUMNS, pre, c, sums,
                                                    most, scratch, NULL));
    check_maximum("an activation's gradient", most, c, ROWS * COLUMNS);
    simt_release(pre.data), simt_release(sums.data), simt_release(scratch);
    ops_buffer x = small_buffer(type, ROWS * COLUMNS, 4), alone = cleared();
    assert_launched(kernel_maximum(ROWS * COLUMNS, x, alone, NULL));
    check_maximum("a maximum", alone, x, ROWS * COLUMNS);
  }
}

static double defined(ops_activation a, double x) {
  if (a == OPS_GELU_TANH) return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  return a == OPS_GELU_ERF ? 0.5 * x * erfc(-x / sqrt(2)) : x / (1 + exp(-1.702 * x));
}

static double defined_slope(ops_activation a, double x) {
  double h = 1e-5; /* error about h² and 1e-16 / h: below 1e-9 */
  return (defined(a, x + h) - defined(a, x - h)) / (2 * h);
}

/* The three forms differ by up to 4e-4 (tanh, erf) and 2e-2 (quick): a bound of 3e-6 distinguishes
 * them. Rounding: 1 - sigmoid is off by 6e-8, times up to 20 in the tanh form's slope at x = 4. */
static void activations_follow_their_definitions_everywhere(void **state) {
  (void)state;
  enum { COUNT = 4003 };
  for (int kind = OPS_GELU_TANH; kind <= OPS_QUICK_GELU; kind++) {
    ops_buffer pre = buffer_of(OPS_F32, COUNT), c = buffer_of(OPS_F32, COUNT);
    ops_buffer d = buffer_of(OPS_F32, COUNT);
    for (int i = 0; i < COUNT; i++) {
      reference_set(pre, i, (i - COUNT / 2) * 0.005);
      reference_set(d, i, 1);
    }
    assert_launched(kernel_activation((ops_activation)kind, COUNT, pre, c, NULL));
    assert_launched(kernel_activation_gradient((ops_activation)kind, COUNT, pre, d, NULL));
    for (int i = 0; i < COUNT; i++) {
      double x = reference_get(pre, i);
      double value = reference_get(c, i), slope = reference_get(d, i);
      if (!(fabs(value - defined((ops_activation)kind, x)) <= 3e-6 &&
            fabs(slope - defined_slope((ops_activation)kind, x)) <= 3e-6))
        fail_msg("activation %d at %g: %.9g with slope %.9g", kind, x, value, slope);
    }
    assert_launched(kernel_activation((ops_activation)kind, COUNT, pre, pre, NULL));
    assert_memory_equal(pre.data, c.data, COUNT * sizeof(float)); /* in place */
    ((float *)pre.data)[0] = NAN;
    ((float *)pre.data)[1] = -1e30f;
    assert_launched(kernel_activation((ops_activation)kind, 2, pre, c, NULL));
    assert_true(isnan(reference_get(c, 0)));
    if (kind != OPS_GELU_TANH) assert_true(reference_get(c, 1) == 0);
    simt_release(pre.data);
    simt_release(c.data);
    simt_release(d.data);
  }
}

static void sums_of_rows_and_of_strided_columns_are_added(void **state) {
  (void)state;
  enum { ROWS = 519, COLUMNS = 72, STRIDE = 80 };
  for (int is_bf16 = 0; is_bf16 < 2; is_bf16++) {
    ops_buffer x = random_buffer(is_bf16 ? OPS_BF16 : OPS_F32, ROWS * STRIDE, 3);
    ops_buffer sums = buffer_of(OPS_F32, ROWS);
    void *scratch = simt_allocate(kernel_column_sums_scratch(ROWS, COLUMNS));
    for (int i = 0; i < ROWS; i++) reference_set(sums, i, i);
    assert_launched(kernel_column_sums(ROWS, COLUMNS, STRIDE, x, sums, scratch, NULL));
    for (int i = 0; i < COLUMNS; i++) {
      double expected = i;
      for (int row = 0; row < ROWS; row++) expected += reference_get(x, row * STRIDE + i);
      assert_true(fabs(reference_get(sums, i) - expected) < 1e-4); /* 519 roundings of some 50 */
    }
    for (int i = 0; i < ROWS; i++) reference_set(sums, i, i);
    assert_launched(kernel_row_sums(ROWS, STRIDE, x, sums, NULL));
    for (int row = 0; row < ROWS; row++) {
      double expected = row;
      for (int i = 0; i < STRIDE; i++) expected += reference_get(x, row * STRIDE + i);
      assert_true(fabs(reference_get(sums, row) - expected) < 2e-4);
    }
    simt_release(x.data);
    simt_release(sums.data);
    simt_release(scratch);
  }
}

/* Exact: added in double in the order of ranks, rounded once. In place of the own rank's part. */
static void sums_over_ranks_are_those_of_the_order_of_ranks(void **state) {
  (void)state;
  enum { RANKS = 3, STRIDE = 1040 };
  const int64_t counts[] = {1, 7, 8, 1033, 1040};
  for (int test = 0; test < 2 * 5 * RANKS; test++) {
    ops_type type = test % 2 ? OPS_BF16 : OPS_F32;
    int own_rank = test / 10;
    int64_t count = counts[test / 2 % 5];
    ops_buffer received = random_buffer(type, RANKS * STRIDE, 5),
               own = random_buffer(type, STRIDE, 6);
    ops_buffer to = type == OPS_F32 ? own : buffer_of(OPS_F32, STRIDE);
    float wanted[STRIDE];
    for (int64_t i = 0; i < count; i++) {
      double sum = 0;
      for (int r = 0; r < RANKS; r++)
        sum += r == own_rank ? reference_get(own, i) : reference_get(received, r * STRIDE + i);
      wanted[i] = (float)sum;
    }
    assert_launched(kernel_rank_sums(count, RANKS, own_rank, STRIDE, received, own, to, NULL));
    for (int64_t i = 0; i < count; i++) assert_true((float)reference_get(to, i) == wanted[i]);
    simt_release(received.data);
    simt_release(own.data);
    if (type != OPS_F32) simt_release(to.data);
  }
}

/* Words named `id(i)`; only the table's gradient, since the positions' may be absent. */
static void check_words(int64_t count, int64_t vocabulary, int32_t (*id)(int64_t)) {
  enum { WIDTH = 8 };
  ops_buffer ids = buffer_of(OPS_I32, count), d = random_buffer(OPS_F32, count * WIDTH, 5);
  ops_buffer table = buffer_of(OPS_F32, vocabulary * WIDTH);
  double *expected = calloc((size_t)(vocabulary * WIDTH), sizeof *expected);
  memset(table.data, 0, (size_t)(vocabulary * WIDTH) * sizeof(float));
  for (int64_t i = 0; i < count; i++) {
    ((int32_t *)ids.data)[i] = id(i);
    for (int64_t j = 0; j < WIDTH; j++)
      expected[id(i) * WIDTH + j] += reference_get(d, i * WIDTH + j);
  }
  ops_embed e = {.batch = count,
                 .length = 1,
                 .width = WIDTH,
                 .vocabulary = vocabulary,
                 .ids = ids,
                 .dtokens = d,
                 .dtable = table};
  void *scratch = simt_allocate(kernel_embed_gradient_scratch(count, 1, WIDTH));
  assert_launched(kernel_embed_gradient(&e, scratch, NULL));
  for (int64_t i = 0; i < vocabulary * WIDTH; i++)
    assert_true(fabs(reference_get(table, i) - expected[i]) < 2e-4); /* up to 5000 terms of 1 */
  void *all[] = {ids.data, d.data, table.data, scratch};
  for (size_t i = 0; i < 4; i++) simt_release(all[i]);
  free(expected);
}

static int32_t always_the_same(int64_t i) {
  (void)i;
  return 65535;
}

static int32_t all_different(int64_t i) {
  return (int32_t)(i * 40503 % 65536); /* odd factor: a permutation */
}

static int32_t in_runs_of_a_chunk(int64_t i) {
  return (int32_t)(i / 128 * 300);
}

static int32_t a_run_across_chunks(int64_t i) {
  return i < 100 ? (int32_t)i : i < 700 ? 256 : i < 701 ? 257 : 50000;
}

static void word_gradients_have_no_bad_distribution(void **state) {
  (void)state;
  check_words(5000, 65536, always_the_same);
  check_words(5000, 65536, all_different);
  check_words(9000, 65536, all_different); /* more counts of digits than the scan has threads */
  check_words(2048, 65536, in_runs_of_a_chunk);
  check_words(1283, 65536, a_run_across_chunks);
  check_words(1, 65536, always_the_same);
}

/* One cosine is 1, the others -1, at a scale of 100: e^200 is no number of fp32. The logarithm of a
 * row's sum is then 100; that of a column its own logit. */
static void logits_far_apart_overflow_nowhere(void **state) {
  (void)state;
  /* the last is in another strip than the lanes of a warp join at once */
  static const int positions[] = {0, 1, 2, 3, 4, 7, 31, 127, 128, 138, 4095, 4200};
  for (size_t at = 0; at < sizeof positions / sizeof *positions; at++) {
    const int largest = positions[at], columns = largest < 139 ? 139 : 4203;
    ops_contrastive c = {.rows = 1, .columns = columns, .scale_log_most = 10};
    c.cosines = buffer_of(OPS_F32, columns), c.scale_log = buffer_of(OPS_F32, 1);
    c.row_lse = buffer_of(OPS_F32, 1), c.positive = buffer_of(OPS_F32, 1);
    c.column_max = buffer_of(OPS_F32, columns), c.column_sum = buffer_of(OPS_F32, columns);
    for (int i = 0; i < columns; i++) {
      reference_set(c.cosines, i, i == largest ? 1 : -1);
      reference_set(c.column_max, i, -1e30);
      reference_set(c.column_sum, i, 0);
    }
    reference_set(c.scale_log, 0, log(100));
    void *scratch = simt_allocate(kernel_contrastive_scratch(1, columns));
    assert_launched(kernel_contrastive_statistics(&c, scratch, NULL));
    assert_true(fabs(reference_get(c.row_lse, 0) - 100) < 1e-4); /* of fp32 at 100: 1e-5 */
    for (int i = 0; i < columns; i++) {
      assert_true(fabs(reference_get(c.column_max, i) - (i == largest ? 100 : -100)) < 1e-4);
      assert_true(reference_get(c.column_sum, i) == 1);
    }
    void *all[] = {c.cosines.data,    c.scale_log.data,  c.row_lse.data, c.positive.data,
                   c.column_max.data, c.column_sum.data, scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) simt_release(all[i]);
  }
}

/* Kernels that finish in one block, with more terms than it has threads. */
static void one_block_adds_more_terms_than_it_has_threads(void **state) {
  (void)state;
  enum { COUNT = 2500, ROWS = 300, COLUMNS = 4 };
  const double row_weight = 0.25, column_weight = 0.5;
  ops_buffer x[6], loss = cleared(), sum = cleared(), scale = cleared(), slope = cleared();
  for (int i = 0; i < 6; i++) x[i] = random_buffer(OPS_F32, COUNT, (uint64_t)i);
  double expected = 0, total = 0, expected_slope = 0;
  for (int i = 0; i < COUNT; i++) {
    reference_set(x[3], i, fabs(reference_get(x[3], i)) + 0.1);
    expected += row_weight * (reference_get(x[0], i) - reference_get(x[1], i)) +
                column_weight *
                    (reference_get(x[2], i) + log(reference_get(x[3], i)) - reference_get(x[1], i));
    total += reference_get(x[0], i);
  }
  const ops_contrastive_end end = {COUNT, row_weight, column_weight, x[0], x[1],
                                   x[2],  x[3],       x[4],          loss};
  assert_launched(kernel_contrastive_finish(&end, NULL));
  assert_true(fabs(reference_get(loss, 0) - expected) < 1e-3); /* of 2500 logarithms in fp32 */
  assert_launched(kernel_sum(COUNT, x[0], sum, NULL));
  assert_true(fabs(reference_get(sum, 0) - total) < 1e-5 * (1 + fabs(total)));
  for (int i = 0; i < ROWS * COLUMNS; i++) {
    double logit = reference_get(x[5], i); /* at a scale of e^0 */
    expected_slope += logit * (row_weight * exp(logit - reference_get(x[0], i / COLUMNS)) +
                               column_weight * exp(logit - reference_get(x[3], i % COLUMNS)));
  }
  const ops_contrastive c = {.rows = ROWS,
                             .columns = COLUMNS,
                             .first_row = COLUMNS, /* no row's own */
                             .scale_log_most = 1,
                             .cosines = x[5],
                             .scale_log = scale,
                             .row_lse = x[0],
                             .column_lse = x[3],
                             .row_weight = row_weight,
                             .column_weight = column_weight,
                             .dscale_log = slope};
  void *scratch = simt_allocate(kernel_contrastive_scratch(ROWS, COLUMNS));
  assert_launched(kernel_contrastive_gradient(&c, scratch, NULL));
  assert_true(fabs(reference_get(slope, 0) - expected_slope) < 1e-5 * fabs(expected_slope));
  for (int i = 0; i < 6; i++) simt_release(x[i].data);
  simt_release(loss.data), simt_release(sum.data), simt_release(scale.data);
  simt_release(slope.data), simt_release(scratch);
}

static void shapes_that_no_kernel_does_are_refused(void **state) {
  (void)state;
  float one = 0;
  ops_buffer some = {&one, OPS_F32};
  ops_layer_norm wide = {.rows = 1, .width = KERNEL_WIDEST_NORM + 1, .x = some, .y = some};
  ops_layer_norm_gradient wide_gradient = {.rows = 1, .width = KERNEL_WIDEST_NORM + 1, .dx = some};
  ops_attention head = {.batch = 1, .tokens = 1, .heads = 1, .head_width = KERNEL_WIDEST_HEAD + 1};
  ops_patches uneven = {.batch = 1, .size = 10, .patch = 3, .keep = 1};
  ops_embed many = {.batch = 1, .length = 1, .width = 1, .vocabulary = 65537};
  assert_int_not_equal(kernel_layer_norm(&wide, NULL), 0);
  assert_int_not_equal(kernel_layer_norm_gradient(&wide_gradient, &one, NULL), 0);
  assert_int_not_equal(kernel_attention(&head, NULL), 0);
  assert_int_not_equal(kernel_attention_gradient(&head, &one, NULL), 0);
  assert_int_not_equal(kernel_patches(&uneven, NULL), 0);
  assert_int_not_equal(kernel_embed_gradient(&many, &one, NULL), 0);
  assert_string_equal(simt_message(), ""); /* by the launchers, before anything ran */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ops_write_the_maximum_of_what_they_store),
      cmocka_unit_test(activations_follow_their_definitions_everywhere),
      cmocka_unit_test(sums_of_rows_and_of_strided_columns_are_added),
      cmocka_unit_test(sums_over_ranks_are_those_of_the_order_of_ranks),
      cmocka_unit_test(word_gradients_have_no_bad_distribution),
      cmocka_unit_test(logits_far_apart_overflow_nowhere),
      cmocka_unit_test(one_block_adds_more_terms_than_it_has_threads),
      cmocka_unit_test(shapes_that_no_kernel_does_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
