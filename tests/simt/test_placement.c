/* Results depend neither on where buffers lie, since a parameter may begin at any element of a run
 * of all parameters, nor on how many blocks share the work of kernels that walk over a grid. Each
 * case is run with aligned buffers, which the tests of ops compare with the reference; then with
 * one buffer after the other at an odd element, where the shim refuses wide loads and stores; then
 * with a grid of two blocks. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "cuda/kernels.h"
#include "simt/placed.h"

static ops_buffer squares(bench *b, ops_type type, int64_t count) {
  ops_buffer x = numbers(b, type, count);
  for (int64_t i = 0; i < count; i++) reference_set(x, i, pow(reference_get(x, i), 2) + 0.1);
  return x;
}

static ops_buffer scalar(bench *b, double value) {
  ops_buffer x = place(b, OPS_F32, 1);
  reference_set(x, 0, value);
  return x;
}

/* Zeros, so that parts which a smaller grid does not write count as nothing. */
static void *scratch_of(size_t bytes) {
  void *scratch = simt_allocate(bytes);
  assert_non_null(scratch);
  memset(scratch, 0, bytes);
  return scratch;
}

static void check_places(const work *w) {
  for (int type = OPS_F32; type <= OPS_BF16; type++) {
    bench expected = ran(w, (ops_type)type, ALIGNED);
    for (int odd = 0; odd < expected.count; odd++) {
      bench found = ran(w, (ops_type)type, odd);
      assert_same(w, &expected, &found);
      release(&found);
    }
    release(&expected);
  }
}

/* Every kernel here visits all elements whatever the number of its blocks. */
static int launch_in_two_blocks(void *stream, const simt_call *call) {
  static const char *const walking[] = {"update",        "update_narrow", "square_parts",
                                        "tile_gradient", "dropout_f32",   "dropout_bf16",
                                        "cast_elements", "add_elements",  "average_elements",
                                        "fill_elements", "add_ranks_f32", "add_ranks_bf16"};
  simt_index grid = call->grid;
  (void)stream;
  for (size_t i = 0; i < sizeof walking / sizeof *walking; i++)
    if (strcmp(call->kernel, walking[i]) == 0) {
      assert_true(grid.x > 2); /* else nothing is walked over */
      grid.x = 2;
    }
  return simt_launch(call->kernel, call->body, call->arguments, grid, call->threads,
                     call->shared_bytes);
}

static void check_walk(const work *w) {
  for (int type = OPS_F32; type <= OPS_BF16; type++) {
    bench expected = ran(w, (ops_type)type, ALIGNED);
    simt_divert(launch_in_two_blocks);
    bench found = ran(w, (ops_type)type, ALIGNED);
    simt_divert(NULL);
    assert_same(w, &expected, &found);
    release(&expected), release(&found);
  }
}

static int update_of(bench *b, ops_type moments) {
  enum { COUNT = 3 * 1024 + 7 };
  static const uint32_t key[2] = {1, 2};
  ops_adamw w = {.count = COUNT,
                 .decayed = 1234,
                 .beta1 = 0.9,
                 .beta2 = 0.95,
                 .eps = 1e-8,
                 .weight_decay = 0.2,
                 .clip_norm = 2};
  w.parameters = numbers(b, OPS_F32, COUNT), w.gradients = numbers(b, OPS_F32, COUNT);
  w.m = numbers(b, moments, COUNT), w.v = squares(b, moments, COUNT);
  w.copy = numbers(b, b->type, COUNT), w.norm_square = scalar(b, 9);
  w.number = indices(b, 1, 1), w.rates = squares(b, OPS_F32, 3);
  return kernel_adamw(&w, key, NULL);
}

static int update(bench *b) {
  return update_of(b, OPS_F32);
}

static int update_with_moments_in_bf16(bench *b) {
  return update_of(b, OPS_BF16);
}

static int sum_of_squares(bench *b) {
  enum { COUNT = 3 * 1024 + 7, BLOCKS = 4 };
  void *scratch = scratch_of(kernel_sum_squares_scratch());
  ops_buffer x = numbers(b, OPS_F32, COUNT), out = scalar(b, 0);
  int failed = kernel_sum_squares(COUNT, x, out, scratch, NULL);
  if (!failed) failed = kernel_sum_square_blocks(COUNT, x, numbers(b, OPS_F32, BLOCKS), NULL);
  if (!failed) failed = kernel_sum(COUNT, x, numbers(b, OPS_F32, 1), NULL);
  simt_release(scratch);
  return failed;
}

static int loss(bench *b) {
  enum { ROWS = 9, COLUMNS = 136 };
  ops_contrastive c = {.rows = ROWS,
                       .columns = COLUMNS,
                       .first_row = 3,
                       .scale_log_most = 1,
                       .row_weight = 0.1,
                       .column_weight = 0.2};
  void *one = scratch_of(kernel_contrastive_scratch(ROWS, COLUMNS));
  void *other = scratch_of(kernel_contrastive_scratch(ROWS, COLUMNS));
  c.cosines = numbers(b, OPS_F32, ROWS * COLUMNS), c.scale_log = scalar(b, 0.5);
  c.row_lse = numbers(b, OPS_F32, ROWS), c.positive = numbers(b, OPS_F32, ROWS);
  c.column_max = numbers(b, OPS_F32, COLUMNS), c.column_sum = squares(b, OPS_F32, COLUMNS);
  c.column_lse = squares(b, OPS_F32, COLUMNS), c.dscale_log = scalar(b, 0.5);
  int failed = kernel_contrastive_statistics(&c, one, NULL);
  if (!failed) failed = kernel_contrastive_gradient(&c, other, NULL);
  simt_release(one), simt_release(other);
  return failed;
}

static int flat_runs(bench *b) {
  enum { COUNT = 3 * 2048 + 5, RANKS = 3, STRIDE = COUNT + 3 };
  ops_buffer x = numbers(b, b->type, COUNT), to = numbers(b, OPS_F32, COUNT);
  int failed = kernel_cast(COUNT, x, to, NULL);
  if (!failed) failed = kernel_cast(COUNT, to, numbers(b, b->type, COUNT), NULL);
  if (!failed) failed = kernel_add(COUNT, x, to, NULL);
  if (!failed) failed = kernel_average(COUNT, numbers(b, OPS_F32, COUNT), to, 0.9, NULL);
  if (!failed) failed = kernel_fill(COUNT, numbers(b, OPS_F32, COUNT), 3, NULL);
  if (failed) return failed;
  ops_buffer received = numbers(b, b->type, RANKS * STRIDE);
  return kernel_rank_sums(COUNT, RANKS, 1, STRIDE, received, x, numbers(b, OPS_F32, COUNT), NULL);
}

static int dropout(bench *b) {
  enum { SAMPLES = 3, ELEMENTS = 2056 };
  static const uint32_t key[2] = {1, 2};
  ops_dropout d = {.samples = SAMPLES, .elements = ELEMENTS, .rate = 0.3, .seed = 1, .site = 2};
  d.numbers = indices(b, 2 * SAMPLES, 9), d.x = numbers(b, b->type, SAMPLES * ELEMENTS);
  d.residual = numbers(b, b->type, SAMPLES * ELEMENTS);
  d.y = numbers(b, b->type, SAMPLES * ELEMENTS);
  return kernel_dropout(&d, key, NULL);
}

static int patches(bench *b) {
  enum { BATCH = 2, SIZE = 24, PATCH = 8, KEEP = 4, LENGTH = 3 * PATCH * PATCH };
  ops_patches p = {.batch = BATCH,
                   .size = SIZE,
                   .patch = PATCH,
                   .keep = KEEP,
                   .mean = {0.48f, 0.45f, 0.40f},
                   .deviation = {0.26f, 0.27f, 0.28f}};
  p.images = numbers(b, OPS_U8, BATCH * SIZE * SIZE * 3);
  p.index = indices(b, BATCH * KEEP, 9), p.patches = numbers(b, b->type, BATCH * KEEP * LENGTH);
  return kernel_patches(&p, NULL);
}

static int tokens(bench *b) {
  enum { BATCH = 3, KEEP = 4, WIDTH = 40, ROWS = BATCH * (KEEP + 1) };
  ops_assemble a = {.batch = BATCH, .keep = KEEP, .width = WIDTH, .class_has_position = true};
  a.patches = numbers(b, b->type, BATCH * KEEP * WIDTH), a.index = indices(b, BATCH * KEEP, 9);
  a.class_token = numbers(b, OPS_F32, WIDTH), a.positions = numbers(b, OPS_F32, 10 * WIDTH);
  a.tokens = numbers(b, b->type, ROWS * WIDTH), a.dtokens = numbers(b, b->type, ROWS * WIDTH);
  a.dpatches = numbers(b, b->type, BATCH * KEEP * WIDTH);
  a.dclass_token = numbers(b, OPS_F32, WIDTH), a.dpositions = numbers(b, OPS_F32, 10 * WIDTH);
  void *scratch = scratch_of(kernel_assemble_gradient_scratch(BATCH, KEEP, WIDTH));
  int failed = kernel_assemble(&a, NULL);
  if (!failed) failed = kernel_assemble_gradient(&a, scratch, NULL);
  simt_release(scratch);
  return failed;
}

static int words(bench *b) {
  enum { BATCH = 5, LENGTH = 7, WIDTH = 40, WORDS = 11, COUNT = BATCH * LENGTH };
  ops_embed e = {.batch = BATCH, .length = LENGTH, .width = WIDTH, .vocabulary = WORDS};
  e.ids = indices(b, COUNT, WORDS), e.table = numbers(b, OPS_F32, WORDS * WIDTH);
  e.positions = numbers(b, OPS_F32, LENGTH * WIDTH), e.tokens = numbers(b, b->type, COUNT * WIDTH);
  e.dtokens = numbers(b, b->type, COUNT * WIDTH), e.dtable = numbers(b, OPS_F32, WORDS * WIDTH);
  e.dpositions = numbers(b, OPS_F32, LENGTH * WIDTH);
  void *scratch = scratch_of(kernel_embed_gradient_scratch(BATCH, LENGTH, WIDTH));
  int failed = kernel_embed(&e, NULL);
  if (!failed) failed = kernel_embed_gradient(&e, scratch, NULL);
  simt_release(scratch);
  return failed;
}

static int pool(bench *b) {
  enum { BATCH = 3, TOKENS = 5, WIDTH = 40 };
  ops_pool p = {.batch = BATCH, .tokens = TOKENS, .width = WIDTH, .pooling = OPS_POOL_MEAN};
  p.x = numbers(b, b->type, BATCH * TOKENS * WIDTH), p.pooled = numbers(b, b->type, BATCH * WIDTH);
  p.dpooled = numbers(b, b->type, BATCH * WIDTH);
  p.dx = numbers(b, b->type, BATCH * TOKENS * WIDTH);
  int failed = kernel_pool(&p, NULL);
  return failed ? failed : kernel_pool_gradient(&p, NULL);
}

static int unit_length(bench *b) {
  enum { ROWS = 9, WIDTH = 40 };
  ops_normalize n = {.rows = ROWS, .width = WIDTH, .eps = 1e-8};
  n.x = numbers(b, b->type, ROWS * WIDTH), n.y = numbers(b, b->type, ROWS * WIDTH);
  n.norms = numbers(b, OPS_F32, ROWS), n.dy = numbers(b, b->type, ROWS * WIDTH);
  n.dx = numbers(b, b->type, ROWS * WIDTH);
  int failed = kernel_normalize(&n, NULL);
  return failed ? failed : kernel_normalize_gradient(&n, NULL);
}

static int activation(bench *b) {
  enum { ROWS = 9, COLUMNS = 40, COUNT = ROWS * COLUMNS };
  ops_buffer pre = numbers(b, b->type, COUNT), c = numbers(b, b->type, COUNT);
  void *scratch = scratch_of(kernel_activation_gradient_sums_scratch(ROWS, COLUMNS));
  int failed = kernel_activation(OPS_GELU_TANH, COUNT, pre, c, NULL);
  if (!failed) failed = kernel_activation_gradient(OPS_GELU_TANH, COUNT, pre, c, NULL);
  if (!failed)
    failed =
        kernel_activation_gradient_sums(OPS_GELU_TANH, ROWS, COLUMNS, pre, c,
                                        numbers(b, OPS_F32, COLUMNS), scalar(b, 0), scratch, NULL);
  simt_release(scratch);
  return failed;
}

static int sums(bench *b) {
  enum { ROWS = 40, COLUMNS = 48 };
  ops_buffer x = numbers(b, b->type, ROWS * COLUMNS);
  void *scratch = scratch_of(kernel_column_sums_scratch(ROWS, COLUMNS));
  int failed =
      kernel_column_sums(ROWS, COLUMNS, COLUMNS, x, numbers(b, OPS_F32, COLUMNS), scratch, NULL);
  if (!failed) failed = kernel_row_sums(ROWS, COLUMNS, x, numbers(b, OPS_F32, ROWS), NULL);
  simt_release(scratch);
  return failed;
}

static int norm(bench *b) {
  enum { ROWS = 5, WIDTH = 72, COUNT = ROWS * WIDTH };
  ops_layer_norm n = {.rows = ROWS, .width = WIDTH, .eps = 1e-6};
  n.x = numbers(b, b->type, COUNT), n.residual = numbers(b, b->type, COUNT);
  n.sum = numbers(b, b->type, COUNT), n.gamma = numbers(b, OPS_F32, WIDTH);
  n.beta = numbers(b, OPS_F32, WIDTH), n.y = numbers(b, b->type, COUNT);
  n.mean = numbers(b, OPS_F32, ROWS), n.rstd = numbers(b, OPS_F32, ROWS);
  ops_layer_norm_gradient g = {.rows = ROWS, .width = WIDTH, .x = n.sum, .gamma = n.gamma};
  g.mean = n.mean, g.rstd = n.rstd, g.dy = numbers(b, b->type, COUNT);
  g.dresidual = numbers(b, b->type, COUNT), g.dx = numbers(b, b->type, COUNT);
  g.dgamma = numbers(b, OPS_F32, WIDTH), g.dbeta = numbers(b, OPS_F32, WIDTH);
  g.dx_sums = numbers(b, OPS_F32, WIDTH);
  void *scratch = scratch_of(kernel_layer_norm_gradient_scratch(ROWS, WIDTH));
  int failed = kernel_layer_norm(&n, NULL);
  if (!failed) failed = kernel_layer_norm_gradient(&g, scratch, NULL);
  simt_release(scratch);
  return failed;
}

static int attention_of(bench *b, int64_t tokens, int64_t head_width) {
  enum { BATCH = 2, HEADS = 2 };
  const int64_t count = BATCH * tokens * HEADS * head_width;
  ops_attention a = {.batch = BATCH, .tokens = tokens, .heads = HEADS, .head_width = head_width};
  a.qkv = numbers(b, b->type, 3 * count), a.out = numbers(b, b->type, count);
  a.lse = numbers(b, OPS_F32, BATCH * HEADS * tokens), a.dout = numbers(b, b->type, count);
  a.dqkv = numbers(b, b->type, 3 * count);
  a.dqkv_sums = numbers(b, OPS_F32, 3 * HEADS * head_width);
  void *scratch = scratch_of(kernel_attention_gradient_scratch(&a));
  int failed = kernel_attention(&a, NULL);
  if (!failed) failed = kernel_attention_gradient(&a, scratch, NULL);
  simt_release(scratch);
  return failed;
}

/* In one block a head, and in tiles. */
static int attention(bench *b) {
  return attention_of(b, 20, 32);
}

static int attention_of_wide_heads(bench *b) {
  return attention_of(b, 20, 128);
}

static int attention_of_80_tokens(bench *b) {
  return attention_of(b, 80, 32);
}

static int attention_in_tiles(bench *b) {
  return attention_of(b, 20, 24);
}

static int attended(bench *b) {
  enum { BATCH = 2, TOKENS = 20, HEADS = 2, WIDTH = 32 };
  ops_attended a = {.batch = BATCH,
                    .tokens = TOKENS,
                    .heads = HEADS,
                    .head_width = WIDTH,
                    .queries = TOKENS,
                    .first = 1,
                    .weight = 0.1};
  a.qkv = numbers(b, b->type, BATCH * TOKENS * 3 * HEADS * WIDTH);
  a.scores = numbers(b, OPS_F32, BATCH * (TOKENS - 1));
  return kernel_attended(&a, NULL);
}

static void buffers_may_begin_at_any_element(void **state) {
  (void)state;
  static const work all[] = {WORK(update),         WORK(update_with_moments_in_bf16),
                             WORK(sum_of_squares), WORK(loss),
                             WORK(dropout),        WORK(patches),
                             WORK(tokens),         WORK(words),
                             WORK(pool),           WORK(unit_length),
                             WORK(activation),     WORK(sums),
                             WORK(norm),           WORK(attention),
                             WORK(attended),       WORK(attention_in_tiles),
                             WORK(flat_runs)};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) check_places(&all[i]);
}

static void any_number_of_blocks_visits_every_element(void **state) {
  (void)state;
  static const work all[] = {WORK(update),         WORK(update_with_moments_in_bf16),
                             WORK(sum_of_squares), WORK(loss),
                             WORK(dropout),        WORK(flat_runs)};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) check_walk(&all[i]);
}

static char launched[4096];

static int launch_and_note(void *stream, const simt_call *call) {
  (void)stream;
  size_t length = strlen(launched);
  snprintf(launched + length, sizeof launched - length, "%s ", call->kernel);
  return simt_launch(call->kernel, call->body, call->arguments, call->grid, call->threads,
                     call->shared_bytes);
}

/* The others give the same results, and take several times as long. */
static void aligned_rows_take_the_kernels_made_for_them(void **state) {
  (void)state;
  static const struct {
    work work;
    ops_type type;
    const char *kernels[2];
  } fast[] = {{WORK(norm), OPS_F32, {"norm_narrow_f32 ", "norm_gradient_f32 "}},
              {WORK(norm), OPS_BF16, {"norm_narrow_bf16 ", "norm_gradient_bf16 "}},
              {WORK(patches), OPS_F32, {"gather_eight_f32 ", ""}},
              {WORK(patches), OPS_BF16, {"gather_eight_bf16 ", ""}},
              {WORK(attention), OPS_BF16, {"short_forward_half_32 ", "short_gradient_half_32 "}},
              {WORK(attention_of_80_tokens), OPS_BF16, {"walk_forward_32 ", "walk_gradient_32 "}},
              {WORK(attention_of_wide_heads),
               OPS_BF16,
               {"short_forward_half_128 ", "short_gradient_half_128 "}}};
  for (size_t i = 0; i < sizeof fast / sizeof *fast; i++) {
    launched[0] = '\0';
    simt_divert(launch_and_note);
    bench b = ran(&fast[i].work, fast[i].type, ALIGNED);
    simt_divert(NULL);
    release(&b);
    for (int j = 0; j < 2; j++)
      if (!strstr(launched, fast[i].kernels[j]))
        fail_msg("%s: %snot launched, but %s", fast[i].work.name, fast[i].kernels[j], launched);
  }
}

/* A device refuses a grid without blocks. */
static void nothing_to_do_is_done_without_a_launch(void **state) {
  (void)state;
  float one = 0;
  const uint32_t key[2] = {0};
  ops_buffer some = {&one, OPS_F32};
  ops_layer_norm_gradient norm_gradient = {.width = 8, .dx = some};
  ops_adamw adamw = {.m = some};
  ops_dropout nobody = {.elements = 8, .x = some};
  assert_int_equal(kernel_layer_norm_gradient(&norm_gradient, NULL, NULL), 0);
  assert_int_equal(kernel_adamw(&adamw, key, NULL), 0);
  assert_int_equal(kernel_dropout(&nobody, key, NULL), 0);
  assert_int_equal(kernel_sum_square_blocks(0, some, some, NULL), 0);
  assert_int_equal(kernel_cast(0, some, some, NULL), 0);
  assert_int_equal(kernel_add(0, some, some, NULL), 0);
  assert_int_equal(kernel_fill(0, some, 1, NULL), 0);
  assert_int_equal(kernel_average(0, some, some, 0.5, NULL), 0);
  assert_int_equal(kernel_activation(OPS_GELU_TANH, 0, some, some, NULL), 0);
  assert_int_equal(kernel_activation_gradient(OPS_GELU_TANH, 0, some, some, NULL), 0);
  assert_int_equal(
      kernel_activation_gradient_sums(OPS_GELU_TANH, 0, 8, some, some, some, some, NULL, NULL), 0);
  assert_int_equal(kernel_column_sums(0, 8, 8, some, some, NULL, NULL), 0);
  assert_int_equal(kernel_row_sums(0, 8, some, some, NULL), 0);
  assert_int_equal(kernel_add_parts(0, 8, NULL, some, NULL), 0);
  assert_int_equal(kernel_rank_sums(0, 2, 0, 8, some, some, some, NULL), 0);
  assert_true(one == 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(buffers_may_begin_at_any_element),
      cmocka_unit_test(any_number_of_blocks_visits_every_element),
      cmocka_unit_test(aligned_rows_take_the_kernels_made_for_them),
      cmocka_unit_test(nothing_to_do_is_done_without_a_launch),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
