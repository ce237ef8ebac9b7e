/* Layer norm and attention. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "ops/cases.h"
#include "ops/pair.h"
#include "support/ops_reference.h"

/* `offset`: where gamma and its like lie in their buffers, as parameters do in one flat run. */
static void check_layer_norm(int64_t rows, int64_t width, bool has_residual, int64_t offset) {
  pair x = pair_random(rows * width, false, 2), residual = pair_random(rows * width, false, 1);
  pair sum = pair_poison(rows * width, false), y = pair_poison(rows * width, false);
  pair gamma = pair_random(width + offset, true, 1), beta = pair_random(width + offset, true, 1);
  pair mean = pair_poison(rows, true), rstd = pair_poison(rows, true);
  ops_layer_norm r = {.rows = rows, .width = width, .eps = 1e-6}, t = r;
  r.x = x.reference, r.y = y.reference, r.mean = mean.reference;
  t.x = x.tested, t.y = y.tested, t.mean = mean.tested;
  r.gamma = ops_at(gamma.reference, offset), r.beta = ops_at(beta.reference, offset);
  t.gamma = ops_at(gamma.tested, offset), t.beta = ops_at(beta.tested, offset);
  if (has_residual) {
    r.residual = residual.reference, r.sum = sum.reference;
    t.residual = residual.tested, t.sum = sum.tested;
  }
  r.rstd = rstd.reference, t.rstd = rstd.tested;
  RUN(layer_norm, &r, &t);
  if (has_residual) pair_check(&sum, pair_bound(), "residual sum");
  pair_check(&rstd, pair_bound(), "reciprocal deviation");
  pair_check(&y, 2 * pair_bound(), "layer norm");
  pair dy = pair_random(rows * width, false, 1), dx = pair_random(rows * width, false, 1);
  pair dgamma = pair_random(width + offset, true, 1), dbeta = pair_random(width + offset, true, 1);
  /* in place: dx is the residual's gradient on entry */
  ops_layer_norm_gradient gr = {.rows = rows, .width = width}, gt = gr;
  gr.dy = dy.reference, gr.gamma = r.gamma, gr.mean = mean.reference, gr.rstd = rstd.reference;
  gt.dy = dy.tested, gt.gamma = t.gamma, gt.mean = mean.tested, gt.rstd = rstd.tested;
  gr.x = has_residual ? sum.reference : x.reference, gr.dx = dx.reference;
  gt.x = has_residual ? sum.tested : x.tested, gt.dx = dx.tested;
  if (has_residual) gr.dresidual = dx.reference, gt.dresidual = dx.tested;
  gr.dgamma = ops_at(dgamma.reference, offset), gr.dbeta = ops_at(dbeta.reference, offset);
  gt.dgamma = ops_at(dgamma.tested, offset), gt.dbeta = ops_at(dbeta.tested, offset);
  /* A row of one number has no variance: its gradient is 0, the product of 1 / sqrt(eps) and a
   * difference in which one term may have been rounded once more (a fused multiply-add) */
  double rounded = width == 1 ? ldexp(1, -23) / sqrt(r.eps) : 0;
  RUN(layer_norm_gradient, &gr, &gt);
  pair_check(&dx, 2 * pair_bound() + rounded, "layer norm gradient");
  pair_check(&dgamma, 2 * pair_bound(), "gain gradient");
  pair_check(&dbeta, 2 * pair_bound(), "offset gradient");
  if (pair_tested->chunk_bytes > 0) { /* the output too, with the bits of the forward's */
    pair again = pair_poison_again(rows * width);
    gr.y = again.reference, gt.y = again.tested;
    gr.beta = r.beta, gt.beta = t.beta;
    RUN(layer_norm_gradient, &gr, &gt);
    pair_check(&dx, 3 * pair_bound() + rounded, "layer norm gradient with the output");
    pair_check_same(&again, &y);
    gr.y = gt.y = gr.beta = gt.beta = (ops_buffer){0};
    pair_free(&again);
  }
  if (pair_tested->call->sums & OPS_SUMS_NORM) {
    pair sums = pair_random(width + offset, true, 1);
    gr.dx_sums = ops_at(sums.reference, offset), gt.dx_sums = ops_at(sums.tested, offset);
    RUN(layer_norm_gradient, &gr, &gt);
    pair_check(&dx, 3 * pair_bound() + rounded,
               "layer norm gradient with sums"); /* of a rounded residual */
    pair_check(&sums, 3 * pair_bound() + rounded, "layer norm gradient's sums");
    pair_check(&dgamma, 2 * pair_bound(), "gain gradient with sums");
    pair_check(&dbeta, 2 * pair_bound(), "offset gradient with sums");
    pair_free(&sums);
  }
  pair *all[] = {&x, &residual, &sum, &y, &gamma, &beta, &mean, &rstd, &dy, &dx, &dgamma, &dbeta};
  for (size_t i = 0; i < 12; i++) pair_free(all[i]);
}

void layer_norm_and_its_gradient_agree(void **state) {
  (void)state;
  check_layer_norm(71, 45, true, 0);
  check_layer_norm(1, 1, false, 0);
  check_layer_norm(37, 768, true, 0);
  check_layer_norm(9, 1280, false, 0);
  check_layer_norm(5, 1281, true, 0);
  check_layer_norm(3, 1288, false, 0);
  check_layer_norm(2, 8192, true, 0);
  check_layer_norm(3, 2056, false, 0);
  check_layer_norm(70, 40, true, 0);   /* eight groups in a block of CUDA's gradient, */
  check_layer_norm(21, 1024, true, 0); /* two, */
  check_layer_norm(9000, 8, true, 0);  /* and several tiles of a block */
  check_layer_norm(6, 264, true, 3);   /* a row that can be read in vectors, but not its gain */
  if (strcmp(pair_tested->call->name, "cpu") == 0) /* the widest that settings allow */
    check_layer_norm(2, 65536, true, 0);
}

enum { MOST_IMAGES = 8 };

/* An image without keys has no number for its rows' statistics; the others are near. */
static void check_lse(const pair *lse, int64_t batch, const int32_t *counts) {
  int64_t rows = lse->count / batch;
  for (int64_t i = 0; i < lse->count; i++) {
    double wanted = reference_get(lse->reference, i), got = pair_read(lse, i);
    if (counts && !counts[i / rows]) {
      assert_true(wanted == -INFINITY && got == -INFINITY);
    } else if (!(fabs(got - wanted) <= 1e-6 * (1 + fabs(wanted)))) { /* a few roundings of fp32 */
      fail_msg("log-sum-exp %lld is %.9g, not %.9g", (long long)i, got, wanted);
    }
  }
}

/* counts [batch], or NULL: every key of every image. */
static void check_attention_of(int64_t batch, int64_t tokens, int64_t heads, int64_t head_width,
                               bool is_causal, const int32_t *counts) {
  static const int32_t none[MOST_IMAGES] = {0};
  int64_t width = heads * head_width, count = batch * tokens * width;
  pair qkv = pair_random(3 * count, false, 1), out = pair_poison(count, false);
  pair lse = pair_poison(batch * heads * tokens, true),
       keys = pair_integers(batch, counts ? counts : none);
  pair dout = pair_random(count, false, 1), dqkv = pair_poison(3 * count, false);
  pair sums = pair_random(3 * width, true, 1);
  ops_attention r = {.batch = batch,
                     .tokens = tokens,
                     .heads = heads,
                     .head_width = head_width,
                     .is_causal = is_causal},
                t = r;
  r.qkv = qkv.reference, r.out = out.reference, r.lse = lse.reference, r.dout = dout.reference;
  t.qkv = qkv.tested, t.out = out.tested, t.lse = lse.tested, t.dout = dout.tested;
  r.dqkv = dqkv.reference, t.dqkv = dqkv.tested;
  if (counts) r.key_counts = keys.reference, t.key_counts = keys.tested;
  RUN(attention, &r, &t);
  pair_check(&out, pair_bound(), "attention");
  check_lse(&lse, batch, counts);
  RUN(attention_gradient, &r, &t);
  pair_check(&dqkv, 2 * pair_bound(), "attention gradient");
  if (pair_tested->call->sums & OPS_SUMS_ATTENTION) {
    r.dqkv_sums = sums.reference, t.dqkv_sums = sums.tested;
    RUN(attention_gradient, &r, &t);
    pair_check(&dqkv, 2 * pair_bound(), "attention gradient with sums");
    pair_check(&sums, 2 * pair_bound(), "attention gradient's sums");
  }
  pair *all[] = {&qkv, &out, &lse, &keys, &dout, &dqkv, &sums};
  for (size_t i = 0; i < 7; i++) pair_free(all[i]);
}

static void check_attention(int64_t batch, int64_t tokens, int64_t heads, int64_t head_width,
                            bool is_causal, bool has_counts) {
  int32_t counts[MOST_IMAGES];
  for (int64_t i = 0; i < batch; i++) counts[i] = (int32_t)(1 + (i * 7 + 3) % tokens);
  check_attention_of(batch, tokens, heads, head_width, is_causal, has_counts ? counts : NULL);
}

void attention_agrees_for_odd_lengths_and_masks(void **state) {
  (void)state;
  check_attention(3, 65, 2, 32, false, false); /* more than one query block */
  check_attention(2, 17, 3, 20, false, false); /* head width no multiple of a vector */
  check_attention(2, 77, 2, 64, true, false);
  check_attention(4, 33, 1, 24, false, true);
  check_attention(1, 1, 1, 8, false, false);
  check_attention(2, 5, 3, 1, true, false); /* the narrowest heads */
  check_attention(1, 130, 1, 48, true, true);
  check_attention(2, 50, 3, 64, false, false); /* an image's tokens at three quarters masked */
  check_attention(2, 32, 2, 64, true, true);
  check_attention(1, 70, 2, 128, true, false);
  check_attention(1, 67, 1, 80, false, true);
  check_attention(2, 19, 2, 7, true, true);
  check_attention(1, 150, 2, 64, true, true);
  check_attention(1, 1025, 1, 16, false, false);
  check_attention(1, 257, 2, 32, true, true);
}

/* Every way in which a block has a whole head: one tile of queries or two walks, a last tile that
 * is not full, each width of heads, one key. */
void attention_of_short_sequences_agrees(void **state) {
  (void)state;
  if (pair_tested->compute != OPS_BF16) skip(); /* no kernel of its own: the case above has it */
  /* on an imitation of CUDA's libraries, the kernels are those that ops_simt_bf16 runs */
  if (getenv("FLIP_IMITATION_ORDER") || getenv("FLIP_IMITATION_BLAS")) skip();
  static const int32_t one_key[] = {1, 1};
  /* counts that hide nothing: on a GPU, only our own kernels take any */
  /* the last tile of keys: each number of its rows of a product, and the ends of some */
  static const int32_t many[] = {65, 72, 81, 89, 97, 104, 113, 127};
  static const int32_t all_50[] = {50, 50}, all_99[] = {99}, all_197[] = {197};
  static const int64_t tokens[] = {5, 7, 16, 17, 32, 50, 64, 65, 99, 128, 197, 256};
  static const int64_t widths[] = {32, 48, 64, 80, 96, 112, 128};
  enum { LENGTHS = sizeof tokens / sizeof *tokens, WIDTHS = sizeof widths / sizeof *widths };
  for (int i = 0; i < LENGTHS; i++) { /* every width comes at a length of each kernel */
    int count = tokens[i] == 50 ? WIDTHS : tokens[i] > 128 ? 1 : 2;
    for (int j = 0; j < count; j++) {
      int64_t width = widths[(2 * i + j) % WIDTHS];
      check_attention(1, tokens[i], 1 + (i + j) % 2, width, (i + j) % 3 == 0, (i + j) % 2);
    }
  }
  check_attention(1, 50, 2, 64, false, false);
  check_attention_of(2, 50, 2, 64, false, all_50);
  check_attention_of(1, 99, 1, 64, true, all_99);
  check_attention_of(1, 197, 1, 64, false, all_197);
  check_attention(1, 198, 1, 96, false, true);
  check_attention(1, 130, 1, 128, true, false);
  check_attention(1, 131, 1, 32, false, true);
  check_attention(1, 70, 1, 128, true, true);
  check_attention_of(8, 128, 1, 32, false, many);
  check_attention_of(2, 50, 1, 64, false, one_key);
  check_attention_of(2, 99, 1, 48, true, one_key);
  check_attention_of(2, 144, 1, 80, false, one_key);
}

static void check_attended(int64_t batch, int64_t tokens, int64_t heads, int64_t head_width,
                           int64_t queries, int64_t first) {
  pair qkv = pair_random(batch * tokens * 3 * heads * head_width, false, 1);
  pair scores = pair_random(batch * (tokens - first), true, 0.01); /* the op adds to it */
  ops_attended r = {.batch = batch,
                    .tokens = tokens,
                    .heads = heads,
                    .head_width = head_width,
                    .queries = queries,
                    .first = first,
                    .weight = 1.0 / (double)(heads * queries)},
               t = r;
  r.qkv = qkv.reference, r.scores = scores.reference;
  t.qkv = qkv.tested, t.scores = scores.tested;
  RUN(attended, &r, &t);
  /* sums in fp32 of values that were read exactly; tensor cores round sums towards zero */
  pair_check(&scores, 8e-6, "attention scores");
  pair_free(&qkv), pair_free(&scores);
}

void what_is_attended_to_agrees(void **state) {
  (void)state;
  check_attended(3, 17, 2, 8, 1, 1);
  check_attended(2, 50, 3, 64, 50, 1);
  check_attended(2, 101, 2, 20, 101, 0); /* more than one block of queries; no class token */
  check_attended(1, 197, 2, 32, 1, 1);
  check_attended(1, 1100, 1, 16, 3, 1); /* fewer warps than a block has */
  check_attended(2, 2, 1, 7, 2, 1);
  /* kernels of which a block has an image: one tile of keys and more, fewer queries than tokens */
  check_attended(2, 17, 2, 48, 17, 0);
  check_attended(3, 65, 2, 32, 65, 1);
  check_attended(1, 64, 2, 64, 64, 1);
  check_attended(1, 197, 2, 64, 197, 1);
  check_attended(1, 150, 1, 80, 20, 0);
  check_attended(1, 256, 1, 128, 256, 1);
}

/* Out and gradient are zeros in the reference, over which NaN was written before. */
void attention_to_nothing_is_nothing(void **state) {
  (void)state;
  static const int32_t first[] = {0, 3, 0}, last[] = {9, 0, 1}, alone[] = {0};
  check_attention_of(3, 37, 2, 32, false, first);
  check_attention_of(3, 9, 1, 20, true, last); /* no vectors */
  check_attention_of(3, 150, 1, 64, false, last);
  check_attention_of(3, 70, 2, 128, true, first);
  check_attention_of(1, 1, 1, 8, false, alone);
  check_attention_of(1, 257, 1, 16, true, alone);
}

/* A shape of each op drawn at random. The seed is 1, or FLIP_TEST_SEED. */
void shapes_drawn_at_random_agree(void **state) {
  (void)state;
  const char *given = getenv("FLIP_TEST_SEED");
  uint64_t seed = given ? strtoull(given, NULL, 10) : 1;
  print_message("FLIP_TEST_SEED=%llu\n", (unsigned long long)seed);
  for (uint64_t i = 0; i < 12; i++) {
    rng r = rng_at(seed, RNG_TEST, 0, i);
    bool is_vector = rng_below(&r, 2), is_causal = rng_below(&r, 2), has_counts = rng_below(&r, 2);
    int64_t batch = 1 + rng_below(&r, 3), heads = 1 + rng_below(&r, 3);
    int64_t tokens = 1 + rng_below(&r, i % 3 ? 70 : 180);
    int64_t width = is_vector ? 8 + 8 * rng_below(&r, 16) : 1 + rng_below(&r, 128);
    check_attention(batch, tokens, heads, width, is_causal, has_counts);
    int64_t columns = is_vector ? 8 + 8 * rng_below(&r, 300) : 1 + rng_below(&r, 2500);
    check_layer_norm(1 + rng_below(&r, 30), columns, is_causal, has_counts ? 0 : 3);
  }
}

/* Two rows of which the first holds a NaN. */
static pair with_one_nan(int64_t width) {
  double *values = calloc((size_t)(2 * width), sizeof *values);
  for (int64_t i = 0; i < 2 * width; i++) values[i] = sin((double)i);
  values[width / 2] = NAN;
  pair p = pair_values(2 * width, false, values);
  free(values);
  return p;
}

void not_a_number_stays_one(void **state) {
  (void)state;
  enum { WIDTH = 33, TOKENS = 5, HEAD = 32, ATTENDED = TOKENS * HEAD };
  pair x = with_one_nan(WIDTH), y = pair_poison(2 * WIDTH, false);
  pair gamma = pair_random(WIDTH, true, 1), statistic = pair_poison(4, true);
  ops_layer_norm t = {.rows = 2,
                      .width = WIDTH,
                      .eps = 1e-6,
                      .x = x.tested,
                      .gamma = gamma.tested,
                      .beta = gamma.tested,
                      .y = y.tested,
                      .mean = statistic.tested,
                      .rstd = ops_at(statistic.tested, 2)};
  assert_ok(pair_tested->call->layer_norm(pair_tested, &t));
  assert_true(isnan(pair_read(&y, 0)));
  assert_true(isfinite(pair_read(&y, WIDTH))); /* the other row is untouched */
  pair qkv = with_one_nan(3 * ATTENDED), out = pair_random(2 * ATTENDED, false, 1);
  pair lse = pair_zeros(2 * TOKENS, true);
  ops_attention a = {.batch = 2, .tokens = TOKENS, .heads = 1, .head_width = HEAD};
  a.qkv = qkv.tested, a.out = out.tested, a.lse = lse.tested;
  assert_ok(pair_tested->call->attention(pair_tested, &a));
  /* element 240 is of the third token's key, which every query sees */
  for (int64_t i = 0; i < ATTENDED; i++) assert_true(isnan(pair_read(&out, i)));
  for (int64_t i = 0; i < ATTENDED; i++) assert_true(isfinite(pair_read(&out, ATTENDED + i)));
  pair *all[] = {&x, &y, &gamma, &statistic, &qkv, &out, &lse};
  for (size_t i = 0; i < 7; i++) pair_free(all[i]);
}

/* Drop path: with this seed and site one of three samples is dropped, the others are whole.
 */
static void check_whole(const pair *x, const pair *y, int64_t length, double rate) {
  int64_t zeros[3] = {0};
  for (int64_t e = 0; e < 3 * length; e++) {
    double in = reference_get(x->reference, e), out = reference_get(y->reference, e);
    zeros[e / length] += out == 0;
    if (out != 0) assert_true(fabs(out - in / (1 - rate)) < 1e-12);
  }
  int dropped = 0;
  for (int i = 0; i < 3; i++) {
    assert_true(zeros[i] == 0 || zeros[i] == length);
    dropped += zeros[i] == length;
  }
  assert_true(dropped > 0 && dropped < 3);
}

static void check_dropout(int64_t length, double rate, bool has_residual, bool is_whole) {
  enum { SAMPLES = 3 };
  static const int32_t numbers[2 * SAMPLES] = {7, 0, -5, 1, 8, 0}; /* the second is 2^33 - 5 */
  int64_t count = SAMPLES * length;
  ops_dropout r = {.samples = SAMPLES, .elements = length, .rate = rate, .seed = 11, .site = 5};
  r.is_whole = is_whole;
  ops_dropout t = r;
  pair x = pair_random(count, false, 1), residual = pair_random(count, false, 1);
  pair y = pair_poison(count, false), where = pair_integers(2 * SAMPLES, numbers);
  r.x = x.reference, r.y = y.reference, r.numbers = where.reference;
  t.x = x.tested, t.y = y.tested, t.numbers = where.tested;
  if (has_residual) r.residual = residual.reference, t.residual = residual.tested;
  RUN(dropout, &r, &t);
  pair_check(&y, pair_bound(), "dropout");
  if (is_whole && !has_residual) check_whole(&x, &y, length, rate);
  r.y = r.x, t.y = t.x; /* in place */
  RUN(dropout, &r, &t);
  pair_check(&x, pair_bound(), "dropout in place");
  if (rate > 0 && !has_residual && !is_whole && length > 1000) {
    int64_t zeros = 0;
    for (int64_t e = 0; e < count; e++) zeros += reference_get(x.reference, e) == 0;
    double wanted = rate * (double)count, deviation = sqrt(wanted * (1 - rate));
    assert_true(fabs((double)zeros - wanted) < 5 * deviation);
  }
  pair *all[] = {&x, &residual, &y, &where};
  for (size_t i = 0; i < 4; i++) pair_free(all[i]);
}

void dropout_drops_the_same_elements(void **state) {
  (void)state;
  static const int64_t lengths[] = {1, 6, 255, 256, 1027, 8, 40, 2056};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    check_dropout(lengths[i], 0, false, false);
    check_dropout(lengths[i], 0, true, false);
    check_dropout(lengths[i], 0.3, false, false);
    check_dropout(lengths[i], 0.3, true, false);
    check_dropout(lengths[i], 0.5, false, true);
    check_dropout(lengths[i], 0.5, true, true);
  }
}
