/* Results depend neither on where buffers lie, since a parameter may begin at any element of a run
 * of all parameters, nor on how many blocks share the work of kernels that walk over a grid. Each
 * case is run with aligned buffers, which the tests of ops compare with the reference; then with
 * one buffer after the other at an odd element, where the shim refuses wide loads and stores; then
 * with a grid of two blocks. Nor on how large they are: the last rows of buffers of more than 2^32
 * elements, of which only these exist, give what they give alone. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "cuda/kernels.h"
#include "simt/simt.h"
#include "support/ops_reference.h"

enum { MOST_BUFFERS = 20, ALIGNED = -1 };

/* The buffers of a run, in the order of their making. */
typedef struct {
  ops_type type;
  int odd, count;  /* odd: which one lies an element further than it could */
  int64_t skipped; /* rows before those that exist (rows_of) */
  void *blocks[MOST_BUFFERS];
  ops_buffer buffers[MOST_BUFFERS];
  int64_t lengths[MOST_BUFFERS];
} bench;

static ops_buffer place(bench *b, ops_type type, int64_t count) {
  const int which = b->count++;
  assert_true(which < MOST_BUFFERS);
  b->blocks[which] = simt_allocate((size_t)(count + 1) * ops_size_of(type));
  assert_non_null(b->blocks[which]);
  b->buffers[which] = ops_at((ops_buffer){b->blocks[which], type}, which == b->odd);
  b->lengths[which] = count;
  return b->buffers[which];
}

/* The same numbers wherever they lie. */
static ops_buffer numbers(bench *b, ops_type type, int64_t count) {
  rng r = rng_at(9, RNG_TEST, 0, (uint64_t)b->count);
  ops_buffer x = place(b, type, count);
  for (int64_t i = 0; i < count; i++) {
    if (type == OPS_U8)
      ((uint8_t *)x.data)[i] = (uint8_t)rng_below(&r, 256);
    else
      reference_set(x, i, rng_normal(&r));
  }
  return x;
}

/* The last `rows` rows of [skipped + rows, width]. */
static ops_buffer rows_of(bench *b, ops_type type, int64_t rows, int64_t width) {
  return ops_at(numbers(b, type, rows * width), -b->skipped * width);
}

static ops_buffer squares(bench *b, ops_type type, int64_t count) {
  ops_buffer x = numbers(b, type, count);
  for (int64_t i = 0; i < count; i++) reference_set(x, i, pow(reference_get(x, i), 2) + 0.1);
  return x;
}

/* Integers in [0, limit). */
static ops_buffer indices(bench *b, int64_t count, int limit) {
  ops_buffer x = place(b, OPS_I32, count);
  for (int64_t i = 0; i < count; i++) ((int32_t *)x.data)[i] = (int32_t)((i * i + 3 * i) % limit);
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

static double element(const bench *b, int which, int64_t i) {
  const ops_buffer x = b->buffers[which];
  return x.type == OPS_U8    ? ((const uint8_t *)x.data)[i]
         : x.type == OPS_I32 ? ((const int32_t *)x.data)[i]
                             : reference_get(x, i);
}

static void release(bench *b) {
  for (int i = 0; i < b->count; i++) simt_release(b->blocks[i]);
}

typedef struct {
  const char *name;
  int (*run)(bench *b);
} work;
#define WORK(name)                                                                                 \
  { #name, name }

static bench ran(const work *w, ops_type type, int odd) {
  bench b = {.type = type, .odd = odd};
  if (w->run(&b)) fail_msg("%s, buffer %d at an odd element: %s", w->name, odd, simt_message());
  return b;
}

/* Other kernels add in another order, and round to bf16 before or after adding: the last bits
 * differ, by the size of an element and that of all. */
static void assert_same(const work *w, const bench *expected, const bench *found) {
  const double share = found->type == OPS_BF16 ? 1.0 / 128 : 2e-6;
  assert_int_equal(found->count, expected->count);
  for (int which = 0; which < found->count; which++) {
    double square = 0;
    for (int64_t i = 0; i < found->lengths[which]; i++)
      square += pow(element(expected, which, i), 2);
    const double size = sqrt(square / (double)found->lengths[which]);
    for (int64_t i = 0; i < found->lengths[which]; i++) {
      double x = element(expected, which, i), y = element(found, which, i);
      if (!(fabs(x - y) <= share * (fabs(x) + size)))
        fail_msg("%s, buffer %d at an odd element: element %ld of buffer %d is %.9g, not %.9g",
                 w->name, found->odd, (long)i, which, y, x);
    }
  }
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

/* The last four rows, which a block has or more: the number of rows is a multiple of 1024. */
enum { TAIL = 4 };

static int far_activation(bench *b) {
  enum { WIDTH = 512 }; /* a block has 2048 elements */
  const int64_t count = (b->skipped + TAIL) * WIDTH;
  ops_buffer pre = rows_of(b, b->type, TAIL, WIDTH), c = rows_of(b, b->type, TAIL, WIDTH);
  int failed = kernel_activation(OPS_GELU_TANH, count, pre, c, NULL);
  return failed ? failed : kernel_activation_gradient(OPS_GELU_TANH, count, pre, c, NULL);
}

static int far_norm(bench *b) {
  enum { WIDTH = 512 };
  ops_layer_norm n = {.rows = b->skipped + TAIL, .width = WIDTH, .eps = 1e-6};
  n.x = rows_of(b, b->type, TAIL, WIDTH), n.residual = rows_of(b, b->type, TAIL, WIDTH);
  n.sum = rows_of(b, b->type, TAIL, WIDTH), n.y = rows_of(b, b->type, TAIL, WIDTH);
  n.gamma = numbers(b, OPS_F32, WIDTH), n.beta = numbers(b, OPS_F32, WIDTH);
  n.mean = rows_of(b, OPS_F32, TAIL, 1), n.rstd = rows_of(b, OPS_F32, TAIL, 1);
  return kernel_layer_norm(&n, NULL);
}

static int far_attention_of(bench *b, int64_t head_width) {
  enum { TOKENS = 16 }; /* a block for each head, whatever the kernel */
  const int64_t width = TOKENS * head_width;
  ops_attention a = {
      .batch = b->skipped + TAIL, .tokens = TOKENS, .heads = 1, .head_width = head_width};
  a.qkv = rows_of(b, b->type, TAIL, 3 * width), a.out = rows_of(b, b->type, TAIL, width);
  a.lse = rows_of(b, OPS_F32, TAIL, TOKENS), a.dout = rows_of(b, b->type, TAIL, width);
  a.dqkv = rows_of(b, b->type, TAIL, 3 * width);
  ops_buffer products = rows_of(b, OPS_F32, TAIL, TOKENS);
  int failed = kernel_attention(&a, NULL);
  return failed ? failed : kernel_attention_gradient(&a, products.data, NULL);
}

static int far_attention(bench *b) {
  return far_attention_of(b, 96);
}

static int far_attention_in_tiles(bench *b) {
  return far_attention_of(b, 88);
}

static int far_patches(bench *b) {
  enum { SIZE = 8, LENGTH = 3 * SIZE * SIZE };
  ops_patches p = {.batch = b->skipped + TAIL,
                   .size = SIZE,
                   .patch = SIZE,
                   .keep = 1,
                   .deviation = {0.26f, 0.27f, 0.28f}};
  p.images = rows_of(b, OPS_U8, TAIL, LENGTH), p.patches = rows_of(b, b->type, TAIL, LENGTH);
  p.index = ops_at(indices(b, TAIL, 1), -b->skipped);
  return kernel_patches(&p, NULL);
}

static int far_tokens(bench *b) {
  enum { KEEP = 4, WIDTH = 512, LENGTH = KEEP * WIDTH };
  ops_assemble a = {.batch = b->skipped + TAIL, .keep = KEEP, .width = WIDTH};
  a.patches = rows_of(b, b->type, TAIL, LENGTH), a.tokens = rows_of(b, b->type, TAIL, LENGTH);
  a.dtokens = rows_of(b, b->type, TAIL, LENGTH), a.dpatches = rows_of(b, b->type, TAIL, LENGTH);
  a.positions = numbers(b, OPS_F32, 9 * WIDTH);
  a.index = ops_at(indices(b, TAIL * KEEP, 9), -b->skipped * KEEP);
  int failed = kernel_assemble(&a, NULL);
  return failed ? failed : kernel_assemble_gradient(&a, NULL, NULL); /* of the patches alone */
}

static int far_words(bench *b) {
  enum { LENGTH = 4, WIDTH = 512 };
  ops_embed e = {.batch = b->skipped + TAIL, .length = LENGTH, .width = WIDTH, .vocabulary = 9};
  e.ids = ops_at(indices(b, TAIL * LENGTH, 9), -b->skipped * LENGTH);
  e.table = numbers(b, OPS_F32, 9 * WIDTH), e.positions = numbers(b, OPS_F32, LENGTH * WIDTH);
  e.tokens = rows_of(b, b->type, TAIL, LENGTH * WIDTH);
  return kernel_embed(&e, NULL);
}

static int far_pool(bench *b) {
  enum { TOKENS = 8, WIDTH = 512 };
  ops_pool p = {.batch = b->skipped + TAIL, .tokens = TOKENS, .width = WIDTH};
  p.x = rows_of(b, b->type, TAIL, TOKENS * WIDTH), p.pooled = rows_of(b, b->type, TAIL, WIDTH);
  p.dpooled = rows_of(b, b->type, TAIL, WIDTH), p.dx = rows_of(b, b->type, TAIL, TOKENS * WIDTH);
  int failed = kernel_pool(&p, NULL);
  return failed ? failed : kernel_pool_gradient(&p, NULL);
}

static void the_last_rows_of_large_buffers_are_reached(void **state) {
  (void)state;
  static const struct {
    work work;
    int64_t width;   /* elements that a row has at least */
    unsigned blocks; /* that the last rows have at least, in each launch */
  } far[] = {{WORK(far_activation), 512, 1},    {WORK(far_norm), 512, 1},
             {WORK(far_attention), 16 * 96, 4}, {WORK(far_attention_in_tiles), 16 * 88, 4},
             {WORK(far_patches), 192, 4},       {WORK(far_tokens), 2048, 2},
             {WORK(far_words), 2048, 2},        {WORK(far_pool), 512, 4}};
  for (size_t i = 0; i < sizeof far / sizeof *far; i++)
    for (int type = OPS_F32; type <= OPS_BF16; type++) {
      bench expected = ran(&far[i].work, (ops_type)type, ALIGNED);
      bench found = {.type = (ops_type)type, .odd = ALIGNED};
      found.skipped = ((int64_t)1 << 32) / far[i].width / 1024 * 1024 + 1020;
      simt_run_last(far[i].blocks);
      if (far[i].work.run(&found)) fail_msg("%s: %s", far[i].work.name, simt_message());
      simt_run_last(0);
      assert_same(&far[i].work, &expected, &found);
      release(&expected), release(&found);
    }
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
      cmocka_unit_test(the_last_rows_of_large_buffers_are_reached),
      cmocka_unit_test(aligned_rows_take_the_kernels_made_for_them),
      cmocka_unit_test(nothing_to_do_is_done_without_a_launch),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
