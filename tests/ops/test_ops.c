/* Every op of a backend against the double-precision reference, on sizes that are multiples of
 * nothing. Run as `test_ops fp32|bf16|simt_fp32|simt_bf16|cuda_fp32|cuda_bf16`. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "ops/device.h"
#include "ops/pair.h"
#ifdef FLIP_SIMT
#include "simt/backend.h"
#include "simt/simt.h"
#endif
#include "support/ops_reference.h"

/* Runs one op on both backends with each buffer field taken from its pair. */
#define RUN(op, call_reference, call_tested)                                                       \
  do {                                                                                             \
    assert_ok(pair_reference->call->op(pair_reference, call_reference));                           \
    assert_ok(pair_tested->call->op(pair_tested, call_tested));                                    \
  } while (0)

static void check_gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k) {
  pair a = pair_random(m * k, false, 1), b = pair_random(n * k, false, 1);
  pair c = pair_poison(m * n, false), bias = pair_random(n, true, 1);
  ops_gemm r = {.m = m, .n = n, .k = k, .transpose_a = ta, .transpose_b = tb}, t;
  t = r;
  r.a = a.reference, r.b = b.reference, r.c = c.reference, r.bias = bias.reference;
  t.a = a.tested, t.b = b.tested, t.c = c.tested, t.bias = bias.tested;
  RUN(gemm, &r, &t);
  pair_check(&c, pair_bound(), "gemm");
  pair_free(&a), pair_free(&b), pair_free(&c), pair_free(&bias);
}

static void products_agree_in_every_transposition(void **state) {
  (void)state;
  check_gemm(false, true, 37, 29, 53);
  check_gemm(false, false, 37, 29, 53);
  check_gemm(true, false, 61, 17, 97);
  check_gemm(true, true, 5, 3, 7);
  check_gemm(false, true, 1, 1, 1);
}

static void a_weight_gradient_adds_to_what_is_there(void **state) {
  (void)state;
  enum { M = 19, N = 23, K = 301 };
  pair dy = pair_random(K * M, false, 1), x = pair_random(K * N, false, 1);
  pair dw = pair_random(M * N, true, 3), db = pair_random(M, true, 3);
  ops_gemm r = {.m = M, .n = N, .k = K, .transpose_a = true, .accumulate = true}, t;
  t = r;
  r.a = dy.reference, r.b = x.reference, r.c = dw.reference, r.a_sums = db.reference;
  t.a = dy.tested, t.b = x.tested, t.c = dw.tested, t.a_sums = db.tested;
  RUN(gemm, &r, &t);
  pair_check(&dw, 2e-6, "weight gradient"); /* inputs equal, sums in fp32 whatever the type */
  pair_check(&db, 2e-6, "bias gradient");
  pair_free(&dy), pair_free(&x), pair_free(&dw), pair_free(&db);
}

static void activations_and_their_slopes_agree(void **state) {
  (void)state;
  enum { M = 13, N = 47, K = 21 };
  for (int kind = OPS_GELU_TANH; kind <= OPS_QUICK_GELU; kind++) {
    pair x = pair_random(M * K, false, 1), w = pair_random(N * K, false, 0.5);
    pair bias = pair_random(N, true, 1), pre = pair_poison(M * N, false);
    pair y = pair_poison(M * N, false), dx = pair_poison(M * N, false);
    ops_gemm r = {.m = M,
                  .n = N,
                  .k = K,
                  .transpose_b = true,
                  .epilogue = OPS_EPILOGUE_ACTIVATION,
                  .activation = (ops_activation)kind},
             t;
    t = r;
    r.a = x.reference, r.b = w.reference, r.c = y.reference, r.pre = pre.reference;
    t.a = x.tested, t.b = w.tested, t.c = y.tested, t.pre = pre.tested;
    r.bias = bias.reference, t.bias = bias.tested;
    RUN(gemm, &r, &t);
    pair_check(&pre, pair_bound(), "pre-activation");
    pair_check(&y, 2 * pair_bound(), "activation");
    r.epilogue = t.epilogue = OPS_EPILOGUE_ACTIVATION_GRADIENT;
    r.bias = t.bias = (ops_buffer){0};
    r.c = dx.reference, t.c = dx.tested;
    RUN(gemm, &r, &t);
    pair_check(&dx, 2 * pair_bound(), "activation gradient");
    pair_free(&x), pair_free(&w), pair_free(&bias), pair_free(&pre), pair_free(&y), pair_free(&dx);
  }
}

static void layer_norm_and_its_gradient_agree(void **state) {
  (void)state;
  enum { ROWS = 71, WIDTH = 45 };
  pair x = pair_random(ROWS * WIDTH, false, 2), residual = pair_random(ROWS * WIDTH, false, 1);
  pair sum = pair_poison(ROWS * WIDTH, false), y = pair_poison(ROWS * WIDTH, false);
  pair gamma = pair_random(WIDTH, true, 1), beta = pair_random(WIDTH, true, 1);
  pair mean = pair_poison(ROWS, true), rstd = pair_poison(ROWS, true);
  ops_layer_norm r = {.rows = ROWS, .width = WIDTH, .eps = 1e-6}, t = r;
  r.x = x.reference, r.residual = residual.reference, r.sum = sum.reference, r.y = y.reference;
  t.x = x.tested, t.residual = residual.tested, t.sum = sum.tested, t.y = y.tested;
  r.gamma = gamma.reference, r.beta = beta.reference, r.mean = mean.reference;
  t.gamma = gamma.tested, t.beta = beta.tested, t.mean = mean.tested;
  r.rstd = rstd.reference, t.rstd = rstd.tested;
  RUN(layer_norm, &r, &t);
  pair_check(&sum, pair_bound(), "residual sum");
  pair_check(&y, 2 * pair_bound(), "layer norm");
  pair dy = pair_random(ROWS * WIDTH, false, 1), dx = pair_random(ROWS * WIDTH, false, 1);
  pair dgamma = pair_random(WIDTH, true, 1), dbeta = pair_random(WIDTH, true, 1);
  /* in place: dx is the residual's gradient on entry */
  ops_layer_norm_gradient gr = {.rows = ROWS, .width = WIDTH}, gt = gr;
  gr.dy = dy.reference, gr.x = sum.reference, gr.gamma = gamma.reference, gr.mean = mean.reference;
  gt.dy = dy.tested, gt.x = sum.tested, gt.gamma = gamma.tested, gt.mean = mean.tested;
  gr.rstd = rstd.reference, gr.dresidual = gr.dx = dx.reference;
  gt.rstd = rstd.tested, gt.dresidual = gt.dx = dx.tested;
  gr.dgamma = dgamma.reference, gr.dbeta = dbeta.reference;
  gt.dgamma = dgamma.tested, gt.dbeta = dbeta.tested;
  RUN(layer_norm_gradient, &gr, &gt);
  pair_check(&dx, 2 * pair_bound(), "layer norm gradient");
  pair_check(&dgamma, 2 * pair_bound(), "gain gradient");
  pair_check(&dbeta, 2 * pair_bound(), "offset gradient");
  pair *all[] = {&x, &residual, &sum, &y, &gamma, &beta, &mean, &rstd, &dy, &dx, &dgamma, &dbeta};
  for (size_t i = 0; i < 12; i++) pair_free(all[i]);
}

static void check_attention(int64_t batch, int64_t tokens, int64_t heads, int64_t head_width,
                            bool is_causal, bool has_counts) {
  int64_t width = heads * head_width, count = batch * tokens * width;
  int32_t counts[8];
  for (int64_t i = 0; i < batch; i++) counts[i] = (int32_t)(1 + (i * 7 + 3) % tokens);
  pair qkv = pair_random(3 * count, false, 1), out = pair_poison(count, false);
  pair lse = pair_poison(batch * heads * tokens, true), keys = pair_integers(batch, counts);
  pair dout = pair_random(count, false, 1), dqkv = pair_poison(3 * count, false);
  ops_attention r = {.batch = batch,
                     .tokens = tokens,
                     .heads = heads,
                     .head_width = head_width,
                     .is_causal = is_causal},
                t = r;
  r.qkv = qkv.reference, r.out = out.reference, r.lse = lse.reference, r.dout = dout.reference;
  t.qkv = qkv.tested, t.out = out.tested, t.lse = lse.tested, t.dout = dout.tested;
  r.dqkv = dqkv.reference, t.dqkv = dqkv.tested;
  if (has_counts) r.key_counts = keys.reference, t.key_counts = keys.tested;
  RUN(attention, &r, &t);
  pair_check(&out, pair_bound(), "attention");
  pair_check(&lse, 1e-6, "log-sum-exp");
  RUN(attention_gradient, &r, &t);
  pair_check(&dqkv, 2 * pair_bound(), "attention gradient");
  pair *all[] = {&qkv, &out, &lse, &keys, &dout, &dqkv};
  for (size_t i = 0; i < 6; i++) pair_free(all[i]);
}

static void attention_agrees_for_odd_lengths_and_masks(void **state) {
  (void)state;
  check_attention(3, 65, 2, 32, false, false); /* more than one query block */
  check_attention(2, 17, 3, 20, false, false); /* head width no multiple of a vector */
  check_attention(2, 77, 2, 64, true, false);
  check_attention(4, 33, 1, 24, false, true);
  check_attention(1, 1, 1, 8, false, false);
  check_attention(1, 130, 1, 48, true, true);
}

static void patches_tokens_and_positions_agree(void **state) {
  (void)state;
  enum { BATCH = 3, SIZE = 12, PATCH = 4, KEEP = 4, WIDTH = 21, LENGTH = 3 * PATCH * PATCH };
  const int32_t lists[BATCH * KEEP] = {0, 2, 5, 8, 1, ~3, 4, 7, ~0, 6, 7, 8};
  pair images = pair_bytes(BATCH * SIZE * SIZE * 3), index = pair_integers(BATCH * KEEP, lists);
  pair patches = pair_poison(BATCH * KEEP * LENGTH, false);
  ops_patches r = {.batch = BATCH,
                   .size = SIZE,
                   .patch = PATCH,
                   .keep = KEEP,
                   .mean = {0.48f, 0.45f, 0.40f},
                   .deviation = {0.26f, 0.27f, 0.28f}},
              t = r;
  r.images = images.reference, r.index = index.reference, r.patches = patches.reference;
  t.images = images.tested, t.index = index.tested, t.patches = patches.tested;
  RUN(patches, &r, &t);
  pair_check(&patches, pair_bound(), "patches");

  for (int has_position = 0; has_position < 2; has_position++) {
    enum { ROWS = BATCH * (KEEP + 1) };
    pair x = pair_random(BATCH * KEEP * WIDTH, false, 1), cls = pair_random(WIDTH, true, 1);
    pair positions = pair_random(10 * WIDTH, true, 1), tokens = pair_poison(ROWS * WIDTH, false);
    pair dtokens = pair_random(ROWS * WIDTH, false, 1), dcls = pair_random(WIDTH, true, 1);
    pair dpatches = pair_poison(BATCH * KEEP * WIDTH, false);
    pair dpositions = pair_random(10 * WIDTH, true, 1);
    ops_assemble ar = {.batch = BATCH,
                       .keep = KEEP,
                       .width = WIDTH,
                       .class_has_position = has_position},
                 at = ar;
    ar.patches = x.reference, ar.index = index.reference, ar.class_token = cls.reference;
    at.patches = x.tested, at.index = index.tested, at.class_token = cls.tested;
    ar.positions = positions.reference, ar.tokens = tokens.reference;
    at.positions = positions.tested, at.tokens = tokens.tested;
    ar.dtokens = dtokens.reference, ar.dpatches = dpatches.reference;
    at.dtokens = dtokens.tested, at.dpatches = dpatches.tested;
    ar.dclass_token = dcls.reference, ar.dpositions = dpositions.reference;
    at.dclass_token = dcls.tested, at.dpositions = dpositions.tested;
    RUN(assemble, &ar, &at);
    RUN(assemble_gradient, &ar, &at);
    pair_check(&tokens, pair_bound(), "tokens");
    pair_check(&dpatches, pair_bound(), "patch gradient");
    pair_check(&dcls, pair_bound(), "class token gradient");
    pair_check(&dpositions, pair_bound(), "position gradient");
    pair *all[] = {&x, &cls, &positions, &tokens, &dtokens, &dcls, &dpatches, &dpositions};
    for (size_t i = 0; i < 8; i++) pair_free(all[i]);
  }
  pair_free(&images), pair_free(&index), pair_free(&patches);
}

static void word_embedding_and_its_gradient_agree(void **state) {
  (void)state;
  enum { BATCH = 5, LENGTH = 7, WIDTH = 19, WORDS = 6 }; /* few words: most rows collide */
  int32_t list[BATCH * LENGTH];
  for (int i = 0; i < BATCH * LENGTH; i++) list[i] = (i * i + 3) % WORDS;
  pair ids = pair_integers(BATCH * LENGTH, list), table = pair_random(WORDS * WIDTH, true, 1);
  pair positions = pair_random(LENGTH * WIDTH, true, 1);
  pair tokens = pair_poison(BATCH * LENGTH * WIDTH, false);
  pair dtokens = pair_random(BATCH * LENGTH * WIDTH, false, 1);
  pair dtable = pair_random(WORDS * WIDTH, true, 1),
       dpositions = pair_random(LENGTH * WIDTH, true, 1);
  ops_embed r = {.batch = BATCH, .length = LENGTH, .width = WIDTH, .vocabulary = WORDS}, t = r;
  r.ids = ids.reference, r.table = table.reference, r.positions = positions.reference;
  t.ids = ids.tested, t.table = table.tested, t.positions = positions.tested;
  r.tokens = tokens.reference, r.dtokens = dtokens.reference, r.dtable = dtable.reference;
  t.tokens = tokens.tested, t.dtokens = dtokens.tested, t.dtable = dtable.tested;
  r.dpositions = dpositions.reference, t.dpositions = dpositions.tested;
  RUN(embed, &r, &t);
  RUN(embed_gradient, &r, &t);
  pair_check(&tokens, pair_bound(), "word embedding");
  pair_check(&dtable, 2e-6, "word gradient");
  pair_check(&dpositions, 2e-6, "position gradient");
  pair *all[] = {&ids, &table, &positions, &tokens, &dtokens, &dtable, &dpositions};
  for (size_t i = 0; i < 7; i++) pair_free(all[i]);
}

static void pooling_and_normalisation_agree(void **state) {
  (void)state;
  enum { BATCH = 6, TOKENS = 9, WIDTH = 27 };
  const int32_t chosen[BATCH] = {0, 8, 3, 5, 1, 7};
  pair x = pair_random(BATCH * TOKENS * WIDTH, false, 1), index = pair_integers(BATCH, chosen);
  for (int mode = 0; mode < 3; mode++) {
    pair pooled = pair_poison(BATCH * WIDTH, false), dpooled = pair_random(BATCH * WIDTH, false, 1);
    pair dx = pair_poison(BATCH * TOKENS * WIDTH, false);
    ops_pool r = {.batch = BATCH,
                  .tokens = TOKENS,
                  .width = WIDTH,
                  .pooling = mode == 0 ? OPS_POOL_MEAN : OPS_POOL_INDEX},
             t = r;
    if (mode == 2) r.index = index.reference, t.index = index.tested;
    r.x = x.reference, r.pooled = pooled.reference, r.dpooled = dpooled.reference;
    t.x = x.tested, t.pooled = pooled.tested, t.dpooled = dpooled.tested;
    r.dx = dx.reference, t.dx = dx.tested;
    RUN(pool, &r, &t);
    RUN(pool_gradient, &r, &t);
    pair_check(&pooled, pair_bound(), "pooling");
    pair_check(&dx, pair_bound(), "pooling gradient");
    pair_free(&pooled), pair_free(&dpooled), pair_free(&dx);
  }
  pair y = pair_poison(BATCH * WIDTH, false), norms = pair_poison(BATCH, true);
  pair dy = pair_random(BATCH * WIDTH, false, 1), dx = pair_poison(BATCH * WIDTH, false);
  ops_normalize r = {.rows = BATCH, .width = WIDTH, .eps = 1e-8}, t = r;
  r.x = x.reference, r.y = y.reference, r.norms = norms.reference, r.dy = dy.reference;
  t.x = x.tested, t.y = y.tested, t.norms = norms.tested, t.dy = dy.tested;
  r.dx = dx.reference, t.dx = dx.tested;
  RUN(normalize, &r, &t);
  RUN(normalize_gradient, &r, &t);
  pair_check(&y, pair_bound(), "normalisation");
  pair_check(&dx, 2 * pair_bound(), "normalisation gradient");
  pair *all[] = {&x, &index, &y, &norms, &dy, &dx};
  for (size_t i = 0; i < 6; i++) pair_free(all[i]);
}

enum { BATCH = 37, TILE = 16 };

static void check_contrastive(double row_weight, double column_weight) {
  pair scale = pair_random(1, true, 0.1), row_lse = pair_poison(BATCH, true);
  pair positive = pair_poison(BATCH, true), column_sum = pair_zeros(BATCH, true);
  pair column_lse = pair_poison(BATCH, true), loss = pair_poison(1, true);
  pair column_max = pair_random(BATCH, true, 1), dscale = pair_random(1, true, 1);
  float lowest[BATCH];
  for (int i = 0; i < BATCH; i++) {
    lowest[i] = -1e30f;
    reference_set(column_max.reference, i, -1e30);
  }
  assert_ok(pair_tested->call->upload(pair_tested, column_max.tested.data, lowest, sizeof lowest));
  pair tiles[3];
  ops_contrastive rs[3], ts[3];
  for (int i = 0; i < 3; i++) {
    int64_t first = i * TILE, rows = BATCH - first < TILE ? BATCH - first : TILE;
    tiles[i] = pair_random(rows * BATCH, true, 2);
    ops_contrastive r = {.rows = rows,
                         .columns = BATCH,
                         .first_row = first,
                         .row_weight = row_weight,
                         .column_weight = column_weight};
    ops_contrastive t = r;
    r.cosines = tiles[i].reference, r.scale_log = scale.reference;
    t.cosines = tiles[i].tested, t.scale_log = scale.tested;
    r.row_lse = ops_at(row_lse.reference, first), r.positive = ops_at(positive.reference, first);
    t.row_lse = ops_at(row_lse.tested, first), t.positive = ops_at(positive.tested, first);
    r.column_max = column_max.reference, r.column_sum = column_sum.reference;
    t.column_max = column_max.tested, t.column_sum = column_sum.tested;
    r.column_lse = column_lse.reference, r.dscale_log = dscale.reference;
    t.column_lse = column_lse.tested, t.dscale_log = dscale.tested;
    RUN(contrastive_statistics, &r, &t);
    rs[i] = r;
    ts[i] = t;
  }
  ops_contrastive_end er = {BATCH,
                            row_weight,
                            column_weight,
                            row_lse.reference,
                            positive.reference,
                            column_max.reference,
                            column_sum.reference,
                            column_lse.reference,
                            loss.reference};
  ops_contrastive_end et = {
      BATCH,           row_weight,        column_weight,     row_lse.tested,
      positive.tested, column_max.tested, column_sum.tested, column_lse.tested,
      loss.tested};
  RUN(contrastive_finish, &er, &et);
  pair_check(&loss, 2e-6, "loss");
  pair_check(&column_lse, 2e-6, "column log-sum-exp");
  for (int i = 0; i < 3; i++) {
    RUN(contrastive_gradient, &rs[i], &ts[i]);
    pair_check(&tiles[i], 1e-5, "logit gradient");
    pair_free(&tiles[i]);
  }
  pair_check(&dscale, 1e-5, "scale gradient");
  pair *all[] = {&scale,      &row_lse, &positive,   &column_sum,
                 &column_lse, &loss,    &column_max, &dscale};
  for (size_t i = 0; i < 8; i++) pair_free(all[i]);
}

/* Three updates with decay on a part, the norm of every update taken on the device. */
static void the_contrastive_tiles_agree(void **state) {
  (void)state;
  check_contrastive(0.5 / BATCH, 0.5 / BATCH);
  check_contrastive(1.0 / BATCH, 0); /* images over texts alone */
}

static void check_dropout(int64_t length, double rate, bool has_residual) {
  enum { SAMPLES = 3 };
  static const int32_t numbers[2 * SAMPLES] = {7, 0, -5, 1, 8, 0}; /* the second is 2^33 - 5 */
  int64_t count = SAMPLES * length;
  ops_dropout r = {.samples = SAMPLES, .elements = length, .rate = rate, .seed = 11, .site = 5};
  ops_dropout t = r;
  pair x = pair_random(count, false, 1), residual = pair_random(count, false, 1);
  pair y = pair_poison(count, false), where = pair_integers(2 * SAMPLES, numbers);
  r.x = x.reference, r.y = y.reference, r.numbers = where.reference;
  t.x = x.tested, t.y = y.tested, t.numbers = where.tested;
  if (has_residual) r.residual = residual.reference, t.residual = residual.tested;
  RUN(dropout, &r, &t);
  pair_check(&y, pair_bound(), "dropout");
  r.y = r.x, t.y = t.x; /* in place */
  RUN(dropout, &r, &t);
  pair_check(&x, pair_bound(), "dropout in place");
  if (rate > 0 && !has_residual && length > 1000) {
    int64_t zeros = 0;
    for (int64_t e = 0; e < count; e++) zeros += reference_get(x.reference, e) == 0;
    double wanted = rate * (double)count, deviation = sqrt(wanted * (1 - rate));
    assert_true(fabs((double)zeros - wanted) < 5 * deviation);
  }
  pair *all[] = {&x, &residual, &y, &where};
  for (size_t i = 0; i < 4; i++) pair_free(all[i]);
}

static void dropout_drops_the_same_elements(void **state) {
  (void)state;
  static const int64_t lengths[] = {1, 6, 255, 256, 1027};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    check_dropout(lengths[i], 0, false);
    check_dropout(lengths[i], 0, true);
    check_dropout(lengths[i], 0.3, false);
    check_dropout(lengths[i], 0.3, true);
  }
}

static void check_updates(double clip_norm) {
  enum { COUNT = 3001, DECAYED = 1234 };
  pair p = pair_random(COUNT, true, 1), g = pair_random(COUNT, true, 0.1);
  pair m = pair_random(COUNT, true, 0.1), v = pair_zeros(COUNT, true);
  pair copy = pair_poison(COUNT, false), norm = pair_poison(1, true);
  ops_adamw r = {.count = COUNT,
                 .decayed = DECAYED,
                 .beta1 = 0.9,
                 .beta2 = 0.95,
                 .eps = 1e-8,
                 .weight_decay = 0.2,
                 .clip_norm = clip_norm},
            t = r;
  r.parameters = p.reference, r.gradients = g.reference, r.m = m.reference, r.v = v.reference;
  t.parameters = p.tested, t.gradients = g.tested, t.m = m.tested, t.v = v.tested;
  r.copy = copy.reference, t.copy = copy.tested;
  r.norm_square = norm.reference, t.norm_square = norm.tested;
  assert_ok(pair_reference->call->sum_squares(pair_reference, COUNT, g.reference, norm.reference));
  assert_ok(pair_tested->call->sum_squares(pair_tested, COUNT, g.tested, norm.tested));
  pair_check(&norm, 1e-6, "sum of squares");
  for (int step = 1; step <= 3; step++) {
    const double values[3] = {1e-2 / step, 1 / (1 - pow(0.9, step)), 1 / (1 - pow(0.95, step))};
    pair rates = pair_values(3, true, values);
    r.rates = rates.reference, t.rates = rates.tested;
    RUN(adamw, &r, &t);
    pair_free(&rates);
  }
  pair_check(&p, 2e-6, "parameters");
  pair_check(&m, 2e-6, "first moment");
  pair_check(&v, 2e-6, "second moment");
  pair_check(&copy, pair_bound(), "working copy");
  pair *all[] = {&p, &g, &m, &v, &copy, &norm};
  for (size_t i = 0; i < 6; i++) pair_free(all[i]);
}

static void updates_agree_with_and_without_clipping(void **state) {
  (void)state;
  check_updates(0);
  check_updates(0.25); /* the norm is about 0.1 sqrt(3001) = 5.5 */
  check_updates(100);  /* above the norm: clips nothing */
}

static void casts_fills_and_clamps_agree(void **state) {
  (void)state;
  enum { COUNT = 1003 };
  pair x = pair_random(COUNT, true, 1), copy = pair_poison(COUNT, false);
  assert_ok(pair_reference->call->cast(pair_reference, COUNT, x.reference, copy.reference));
  assert_ok(pair_tested->call->cast(pair_tested, COUNT, x.tested, copy.tested));
  pair_check(&copy, pair_bound(), "cast");
  assert_ok(pair_reference->call->clamp(pair_reference, COUNT, x.reference, -0.5, 0.75));
  assert_ok(pair_tested->call->clamp(pair_tested, COUNT, x.tested, -0.5, 0.75));
  pair_check(&x, 1e-7, "clamp");
  assert_ok(pair_reference->call->fill(pair_reference, COUNT, x.reference, -1e30));
  assert_ok(pair_tested->call->fill(pair_tested, COUNT, x.tested, -1e30));
  pair_check(&x, 1e-7, "fill");
  pair poison = pair_poison(1, true);
  assert_ok(pair_tested->call->clamp(pair_tested, 1, poison.tested, 0, 1));
  float value;
  assert_ok(pair_tested->call->download(pair_tested, &value, poison.tested.data, sizeof value));
  assert_true(isnan(value));
  pair *all[] = {&x, &copy, &poison};
  for (size_t i = 0; i < 3; i++) pair_free(all[i]);
}

static void not_a_number_stays_one(void **state) {
  (void)state;
  enum { ROWS = 2, WIDTH = 33 };
  pair x = pair_random(ROWS * WIDTH, false, 1), y = pair_poison(ROWS * WIDTH, false);
  pair gamma = pair_random(WIDTH, true, 1), statistic = pair_poison(2 * ROWS, true);
  pair poison = pair_poison(1, false);
  size_t one = ops_size_of(pair_tested->compute);
  assert_ok(pair_tested->call->download(pair_tested, (char *)x.tested.data + 5 * one,
                                        poison.tested.data, one));
  ops_layer_norm t = {.rows = ROWS,
                      .width = WIDTH,
                      .eps = 1e-6,
                      .x = x.tested,
                      .gamma = gamma.tested,
                      .beta = gamma.tested,
                      .y = y.tested,
                      .mean = statistic.tested,
                      .rstd = ops_at(statistic.tested, ROWS)};
  assert_ok(pair_tested->call->layer_norm(pair_tested, &t));
  assert_true(isnan(reference_get(y.tested, 0)));
  assert_true(isfinite(reference_get(y.tested, WIDTH))); /* the other row is untouched */
  pair *all[] = {&x, &y, &gamma, &statistic, &poison};
  for (size_t i = 0; i < 5; i++) pair_free(all[i]);
}

/* What to test by name: fp32, bf16 on the CPU; simt_… are the CUDA kernels under the shim, cuda_…
 * the device. */
static const struct {
  const char *name;
  bool is_bf16, is_simt, is_cuda;
} kinds[] = {{"fp32", false, false, false},     {"bf16", true, false, false},
             {"simt_fp32", false, true, false}, {"simt_bf16", true, true, false},
             {"cuda_fp32", false, false, true}, {"cuda_bf16", true, false, true}};
enum { KINDS = sizeof kinds / sizeof kinds[0], SKIPPED = 77 /* as in CMakeLists.txt */ };

static err open_device(bool is_bf16, ops **out) {
  settings s;
  err error = settings_init(&s);
  if (error) return error;
  s.device = DEVICE_CUDA;
  error = ops_open_as(&s, is_bf16 ? PRECISION_BF16 : PRECISION_FP32, out);
  settings_free(&s);
  return error;
}

static err open_backend(int kind, ops **out) {
  ops_type compute = kinds[kind].is_bf16 ? OPS_BF16 : OPS_F32;
  if (kinds[kind].is_cuda) return open_device(kinds[kind].is_bf16, out);
  if (!kinds[kind].is_simt) return ops_create_cpu(compute, 2, out);
#ifdef FLIP_SIMT
  return ops_create_simt(compute, out);
#else
  return err_new(ERR_UNSUPPORTED, "the shim is not part of this build");
#endif
}

/* Under the shim everything runs again in other orders of threads and blocks: beside agreeing with
 * the reference, the results must be the same bits. */
static int run_in_orders(const struct CMUnitTest *tests, size_t count, bool is_simt) {
  int failed = _cmocka_run_group_tests("ops", tests, count, NULL, NULL);
#ifdef FLIP_SIMT
  static const simt_order orders[] = {SIMT_DESCENDING, SIMT_RANDOM};
  uint64_t digest = pair_restart();
  for (size_t i = 0; i < 2 && is_simt && !failed; i++) {
    simt_schedule(orders[i], 1);
    failed = _cmocka_run_group_tests("ops in another order", tests, count, NULL, NULL);
    if (!failed && pair_restart() != digest) {
      print_error("the results depend on the order of threads: a race\n");
      failed = 1;
    }
  }
#else
  (void)is_simt;
#endif
  return failed;
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(products_agree_in_every_transposition),
      cmocka_unit_test(a_weight_gradient_adds_to_what_is_there),
      cmocka_unit_test(activations_and_their_slopes_agree),
      cmocka_unit_test(layer_norm_and_its_gradient_agree),
      cmocka_unit_test(attention_agrees_for_odd_lengths_and_masks),
      cmocka_unit_test(patches_tokens_and_positions_agree),
      cmocka_unit_test(word_embedding_and_its_gradient_agree),
      cmocka_unit_test(pooling_and_normalisation_agree),
      cmocka_unit_test(the_contrastive_tiles_agree),
      cmocka_unit_test(dropout_drops_the_same_elements),
      cmocka_unit_test(updates_agree_with_and_without_clipping),
      cmocka_unit_test(casts_fills_and_clamps_agree),
      cmocka_unit_test(not_a_number_stays_one),
  };
  int kind = 0;
  while (argc > 1 && kind < KINDS && strcmp(argv[1], kinds[kind].name) != 0) kind++;
  if (kind == KINDS) return 2;
  err error = ops_create_reference(&pair_reference);
  if (!error) error = open_backend(kind, &pair_tested);
  if (error) {
    bool is_missing = kinds[kind].is_cuda && err_kind_of(error) == ERR_UNSUPPORTED;
    print_message("%s: %s\n", is_missing ? "skipped" : "failed", err_message(error));
    return is_missing ? SKIPPED : 1;
  }
  int failed = run_in_orders(tests, sizeof tests / sizeof tests[0], kinds[kind].is_simt);
  ops_destroy(pair_reference);
  ops_destroy(pair_tested);
  return failed;
}
