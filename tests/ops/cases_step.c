/* The loss, the update of parameters, and flat runs of memory. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "ops/cases.h"
#include "ops/pair.h"
#include "support/ops_reference.h"

/* A batch in tiles of as many rows as three tiles need. */
static void check_contrastive(int64_t batch, double row_weight, double column_weight,
                              double scale_log, bool is_inside) {
  enum { TILES = 3 };
  int64_t tile = (batch + TILES - 1) / TILES;
  const double first_slope = 0.25;
  pair scale = pair_values(1, true, &scale_log), row_lse = pair_poison(batch, true);
  pair positive = pair_poison(batch, true), column_sum = pair_zeros(batch, true);
  pair column_lse = pair_poison(batch, true), loss = pair_poison(1, true);
  pair column_max = pair_random(batch, true, 1), dscale = pair_values(1, true, &first_slope);
  float *lowest = calloc((size_t)batch, sizeof *lowest);
  for (int64_t i = 0; i < batch; i++) {
    lowest[i] = -1e30f;
    reference_set(column_max.reference, i, -1e30);
  }
  assert_ok(pair_tested->call->upload(pair_tested, column_max.tested.data, lowest,
                                      (size_t)batch * sizeof *lowest));
  pair tiles[TILES];
  ops_contrastive rs[TILES], ts[TILES];
  for (int i = 0; i < TILES; i++) {
    int64_t first = i * tile, rows = batch - first < tile ? batch - first : tile;
    tiles[i] = pair_random(rows * batch, true, 2);
    ops_contrastive r = {.rows = rows,
                         .columns = batch,
                         .first_row = first,
                         .scale_log_least = 0,
                         .scale_log_most = 1,
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
  ops_contrastive_end er = {batch,
                            row_weight,
                            column_weight,
                            row_lse.reference,
                            positive.reference,
                            column_max.reference,
                            column_sum.reference,
                            column_lse.reference,
                            loss.reference};
  ops_contrastive_end et = {
      batch,           row_weight,        column_weight,     row_lse.tested,
      positive.tested, column_max.tested, column_sum.tested, column_lse.tested,
      loss.tested};
  RUN(contrastive_finish, &er, &et);
  pair_check(&loss, 2e-6, "loss");
  pair_check(&column_lse, 2e-6, "column log-sum-exp");
  for (int i = 0; i < TILES; i++) {
    RUN(contrastive_gradient, &rs[i], &ts[i]);
    pair_check(&tiles[i], 1e-5, "logit gradient");
    pair_free(&tiles[i]);
  }
  pair_check(&dscale, 1e-5, "scale gradient");
  float slope;
  assert_ok(pair_tested->call->download(pair_tested, &slope, dscale.tested.data, sizeof slope));
  assert_true((slope != 0.25f) == is_inside); /* clipped: nothing is added */
  pair *all[] = {&scale,      &row_lse, &positive,   &column_sum,
                 &column_lse, &loss,    &column_max, &dscale};
  for (size_t i = 0; i < 8; i++) pair_free(all[i]);
  free(lowest);
}

void the_contrastive_tiles_agree(void **state) {
  (void)state;
  check_contrastive(37, 0.5 / 37, 0.5 / 37, 0.1, true);
  check_contrastive(301, 0.5 / 301, 0.5 / 301, 0.7, true);
  check_contrastive(37, 1.0 / 37, 0, 0.1, true); /* images over texts alone */
}

/* The scale's logarithm is clipped to [0, 1] where it is used: beyond, the logits are those of the
 * bound, and no gradient reaches it. */
void a_clipped_logit_scale_gets_no_gradient(void **state) {
  (void)state;
  check_contrastive(37, 0.5 / 37, 0.5 / 37, 1.5, false);
  check_contrastive(37, 0.5 / 37, 0.5 / 37, -0.5, false);
  check_contrastive(37, 0.5 / 37, 0.5 / 37, 1, true); /* on the bound */
}

/* The norm in two steps, of whole blocks and a last one that is not. */
static void check_square_blocks(int64_t count, const pair *g) {
  int64_t blocks = (count + OPS_SQUARE_BLOCK - 1) / OPS_SQUARE_BLOCK;
  pair sums = pair_poison(blocks, true), total = pair_poison(1, true);
  assert_ok(
      pair_reference->call->sum_square_blocks(pair_reference, count, g->reference, sums.reference));
  assert_ok(pair_tested->call->sum_square_blocks(pair_tested, count, g->tested, sums.tested));
  pair_check(&sums, 1e-6, "sums of squares");
  assert_ok(pair_reference->call->sum(pair_reference, blocks, sums.reference, total.reference));
  assert_ok(pair_tested->call->sum(pair_tested, blocks, sums.tested, total.tested));
  pair_check(&total, 1e-6, "sum of blocks");
  pair_free(&sums);
  pair_free(&total);
}

/* Three updates with decay on a part, the norm of every update taken on the device. */

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
  check_square_blocks(COUNT, &g);
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

void updates_agree_with_and_without_clipping(void **state) {
  (void)state;
  check_updates(0);
  check_updates(0.25); /* the norm is about 0.1 sqrt(3001) = 5.5 */
  check_updates(100);  /* above the norm: clips nothing */
}

/* A buffer of the backend under test that holds `values` (bf16 or i32, as bytes). */
static ops_buffer uploaded(ops_type type, const void *values, size_t bytes) {
  ops_buffer b = {NULL, type};
  assert_ok(pair_tested->call->allocate(pair_tested, bytes, "a test", &b.data));
  assert_ok(pair_tested->call->upload(pair_tested, b.data, values, bytes));
  return b;
}

enum { MOMENTS = 40003, FIRST = 1 << 20, NUMBER = 77 };

/* The rounding of an exact value by the draw of element i: the definition in ops.h. */
static uint16_t rounded_by_draw(float value, int64_t i, bool is_second) {
  rng r = rng_at(5, RNG_MOMENTS, NUMBER, (uint64_t)(FIRST + i) / 4);
  uint32_t words[4], bits;
  rng_fill(&r, words, 4);
  memcpy(&bits, &value, sizeof bits);
  return (uint16_t)((bits + (is_second ? words[i % 4] >> 16 : words[i % 4] & 0xFFFF)) >> 16);
}

/* Values that are exact in fp32, so that every backend must store the same bits; the stored moments
 * are correct on average, while rounding to nearest would lose an eighth of the distance between
 * two neighbours each time. */
void moments_in_bf16_are_rounded_at_random_without_bias(void **state) {
  (void)state;
  static uint16_t m[MOMENTS], v[MOMENTS];
  static double gradients[MOMENTS];
  const double rates[3] = {0.25, 1, 1}, zero = 0;
  const int32_t number = NUMBER;
  int64_t ups = 0;
  for (int64_t i = 0; i < MOMENTS; i++) {
    m[i] = 0x3F80, v[i] = 0x3F80;                 /* 1, and the next is 1 + 2^-7 */
    gradients[i] = 1 + (i % 2 ? 1 : 5) * 0x1p-10; /* halved: 1 or 5 sixteenths of the distance */
  }
  pair p = pair_zeros(MOMENTS, true), g = pair_values(MOMENTS, true, gradients);
  pair r = pair_values(3, true, rates), norm = pair_values(1, true, &zero);
  ops_adamw a = {.first = FIRST,
                 .seed = 5,
                 .count = MOMENTS,
                 .decayed = 100,
                 .beta1 = 0.5,
                 .beta2 = 0.5,
                 .parameters = p.tested,
                 .gradients = g.tested,
                 .rates = r.tested,
                 .norm_square = norm.tested};
  a.m = uploaded(OPS_BF16, m, sizeof m), a.v = uploaded(OPS_BF16, v, sizeof v);
  a.number = uploaded(OPS_I32, &number, sizeof number);
  assert_ok(pair_tested->call->adamw(pair_tested, &a));
  assert_ok(pair_tested->call->download(pair_tested, m, a.m.data, sizeof m));
  assert_ok(pair_tested->call->download(pair_tested, v, a.v.data, sizeof v));
  for (int64_t i = 0; i < MOMENTS; i++) {
    const float exact_m = 0.5f + 0.5f * (float)gradients[i];
    const float exact_v = 0.5f + 0.5f * (float)(gradients[i] * gradients[i]);
    assert_int_equal(m[i], rounded_by_draw(exact_m, i, false));
    assert_int_equal(v[i], rounded_by_draw(exact_v, i, true));
    ups += i % 2 ? 0 : m[i] - 0x3F80;
    /* the update uses the unrounded values */
    assert_true(fabs(pair_read(&p, i) + 0.25 * (double)exact_m / sqrt((double)exact_v)) < 1e-6);
  }
  /* 20002 draws at 5/16: five deviations are 0.0164 */
  assert_true(fabs((double)ups / ((MOMENTS + 1) / 2) - 5.0 / 16) < 0.0164);
  pair_tested->call->release(pair_tested, a.m.data);
  pair_tested->call->release(pair_tested, a.v.data);
  pair_tested->call->release(pair_tested, a.number.data);
  pair_free(&p), pair_free(&g), pair_free(&r), pair_free(&norm);
}

void moving_averages_agree(void **state) {
  (void)state;
  enum { COUNT = 1003 };
  static const double momenta[] = {0.996, 0.5, 1, 0}; /* after 0 the average is x */
  pair x = pair_random(COUNT, true, 1), average = pair_random(COUNT, true, 1);
  for (int i = 0; i < 4; i++) {
    assert_ok(pair_reference->call->average(pair_reference, COUNT, x.reference, average.reference,
                                            momenta[i]));
    assert_ok(pair_tested->call->average(pair_tested, COUNT, x.tested, average.tested, momenta[i]));
    pair_check(&average, 2e-7, "moving average"); /* fp32's rounding, up to four times */
  }
  pair_free(&x), pair_free(&average);
}

void casts_and_fills_agree(void **state) {
  (void)state;
  enum { COUNT = 1003 };
  pair x = pair_random(COUNT, true, 1), copy = pair_poison(COUNT, false);
  assert_ok(pair_reference->call->cast(pair_reference, COUNT, x.reference, copy.reference));
  assert_ok(pair_tested->call->cast(pair_tested, COUNT, x.tested, copy.tested));
  pair_check(&copy, pair_bound(), "cast");
  assert_ok(pair_reference->call->fill(pair_reference, COUNT, x.reference, -1e30));
  assert_ok(pair_tested->call->fill(pair_tested, COUNT, x.tested, -1e30));
  pair_check(&x, 1e-7, "fill");
  pair *all[] = {&x, &copy};
  for (size_t i = 0; i < 2; i++) pair_free(all[i]);
}
