/* Matrix products and their epilogues. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "ops/cases.h"
#include "ops/pair.h"
#include "support/ops_reference.h"

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

void products_agree_in_every_transposition(void **state) {
  (void)state;
  check_gemm(false, true, 37, 29, 53);
  check_gemm(false, false, 37, 29, 53);
  check_gemm(true, false, 61, 17, 97);
  check_gemm(true, true, 5, 3, 7);
  check_gemm(false, true, 1, 1, 1);
  /* where oneDNN 2.6's products in tiles are wrong, or end the process, by the number of threads */
  check_gemm(true, false, 37, 24, 63);
  check_gemm(true, false, 37, 192, 63);
  check_gemm(true, false, 45, 100, 63);
  check_gemm(false, true, 80, 24, 63);
}

static void check_weight_gradient_of(int64_t m, int64_t n, int64_t k, bool accumulate) {
  pair dy = pair_random(k * m, false, 1), x = pair_random(k * n, false, 1);
  pair dw = accumulate ? pair_random(m * n, true, 3) : pair_poison(m * n, true);
  pair db = pair_random(m, true, 3);
  ops_gemm r = {.m = m, .n = n, .k = k, .transpose_a = true, .accumulate = accumulate}, t;
  t = r;
  r.a = dy.reference, r.b = x.reference, r.c = dw.reference, r.a_sums = db.reference;
  t.a = dy.tested, t.b = x.tested, t.c = dw.tested, t.a_sums = db.tested;
  RUN(gemm, &r, &t);
  pair_check(&dw, 2e-6, "weight gradient"); /* inputs equal, sums in fp32 whatever the type */
  pair_check(&db, 2e-6, "bias gradient");
  pair_free(&dy), pair_free(&x), pair_free(&dw), pair_free(&db);
}

static void check_weight_gradient(int64_t m, int64_t n, int64_t k) {
  check_weight_gradient_of(m, n, k, true);
}

/* A product of compute type into numbers of master type. */
static void check_master_result(bool tb, int64_t m, int64_t n, int64_t k) {
  pair a = pair_random(m * k, false, 1), b = pair_random(n * k, false, 1);
  pair c = pair_poison(m * n, true);
  ops_gemm r = {.m = m, .n = n, .k = k, .transpose_b = tb}, t = r;
  r.a = a.reference, r.b = b.reference, r.c = c.reference;
  t.a = a.tested, t.b = b.tested, t.c = c.tested;
  RUN(gemm, &r, &t);
  pair_check(&c, 2e-6, "product in master type");
  pair_free(&a), pair_free(&b), pair_free(&c);
}

void a_weight_gradient_adds_to_what_is_there(void **state) {
  (void)state;
  check_weight_gradient(19, 23, 301);
  check_weight_gradient(264, 5, 301);
  check_weight_gradient(264, 40, 72); /* rows of whole vectors, which a library may sum itself */
  check_weight_gradient(24, 72, 40);
  check_weight_gradient(37, 192, 63); /* as above */
  check_weight_gradient(45, 100, 63);
}

/* Of ones, so that each term counts. Algorithms of cuBLASLt 13.1 that divide k among parts leave
 * out the last terms where the blocks of 64 divide evenly: here among 2, 3, 4, 6 and 8, and 5
 * and 7. */
void no_term_of_a_product_is_left_out(void **state) {
  (void)state;
  enum { M = 16, N = 24 };
  static const int64_t depths[] = {24 * 64 + 1, 35 * 64 + 1, 24 * 64, 24 * 64 + 8};
  for (size_t d = 0; d < sizeof depths / sizeof *depths; d++) {
    const int64_t k = depths[d];
    double *ones = malloc((size_t)(k * N) * sizeof *ones);
    assert_non_null(ones);
    for (int64_t i = 0; i < k * N; i++) ones[i] = 1;
    pair dy = pair_values(k * M, false, ones), x = pair_values(k * N, false, ones),
         dw = pair_poison(M * N, true);
    ops_gemm g = {.m = M, .n = N, .k = k, .transpose_a = true};
    g.a = dy.tested, g.b = x.tested, g.c = dw.tested;
    assert_ok(pair_tested->call->gemm(pair_tested, &g));
    for (int64_t i = 0; i < M * N; i++) assert_true(pair_read(&dw, i) == (double)k);
    pair_free(&dy), pair_free(&x), pair_free(&dw);
    free(ones);
  }
}

/* Numbers of columns and depths that are whole tiles of AMX (16 and 32), rows that are not: few for
 * each thread, so that columns are divided; more than one panel of b; rows of a at a multiple of a
 * page; half a block at the right. */
void products_of_whole_tiles_agree(void **state) {
  (void)state;
  if (strcmp(pair_tested->call->name, "cpu") != 0) skip(); /* other backends call a library */
  check_gemm(false, true, 70, 48, 64);
  check_gemm(false, false, 33, 80, 96);
  check_gemm(false, true, 600, 32, 32);
  check_gemm(false, false, 1, 16, 32);
  check_gemm(false, true, 17, 1104, 1024);
  check_gemm(false, false, 40, 272, 2048);
  check_weight_gradient(48, 80, 301);
  check_weight_gradient(96, 32, 1500);
  check_weight_gradient(16, 16, 31);
  check_weight_gradient(352, 1040, 700);
  check_weight_gradient_of(64, 48, 3000, false); /* more rows than are packed at once */
  check_weight_gradient_of(19, 23, 301, false);
  check_master_result(true, 50, 80, 64);
  check_master_result(false, 21, 32, 96);
}

/* Raised to the largest |c| as stored, from what it was: nothing, or more than that. */
static void check_maximum_of_product(ops_gemm g, const pair *c) {
  static const double before[] = {0, 1e4};
  double largest = 0;
  for (int i = 0; i < 2; i++) {
    pair maximum = pair_values(1, true, &before[i]);
    g.c_maximum = maximum.tested;
    assert_ok(pair_tested->call->gemm(pair_tested, &g));
    for (int64_t at = 0; at < c->count; at++) largest = fmax(largest, fabs(pair_read(c, at)));
    assert_true(pair_read(&maximum, 0) == fmax(before[i], largest));
    pair_free(&maximum);
  }
}

static void check_activations(int64_t m, int64_t n, int64_t k) {
  for (int kind = OPS_GELU_TANH; kind <= OPS_QUICK_GELU; kind++) {
    pair x = pair_random(m * k, false, 1), w = pair_random(n * k, false, 0.5);
    pair bias = pair_random(n, true, 1), pre = pair_poison(m * n, false);
    pair y = pair_poison(m * n, false), dx = pair_poison(m * n, false);
    ops_gemm r = {.m = m,
                  .n = n,
                  .k = k,
                  .transpose_b = true,
                  .epilogue = OPS_EPILOGUE_ACTIVATION,
                  .activation = (ops_activation)kind},
             t;
    t = r;
    r.a = x.reference, r.b = w.reference, r.c = y.reference, r.pre = pre.reference;
    t.a = x.tested, t.b = w.tested, t.c = y.tested, t.pre = pre.tested;
    r.bias = bias.reference, t.bias = bias.tested;
    pair rounded = pair_poison(n, false); /* the model's working copy, which a backend may use */
    assert_ok(pair_tested->call->cast(pair_tested, n, bias.tested, rounded.tested));
    t.bias_copy = kind == OPS_GELU_TANH ? rounded.tested : (ops_buffer){0};
    RUN(gemm, &r, &t);
    t.bias_copy = (ops_buffer){0};
    pair_free(&rounded);
    pair_check(&pre, pair_bound(), "pre-activation");
    pair_check(&y, 2 * pair_bound(), "activation");
    ops_activate ra = {(ops_activation)kind, m * n, pre.reference, dx.reference}, ta = ra;
    ta.pre = pre.tested, ta.c = dx.tested;
    RUN(activate, &ra, &ta);
    pair_check(&dx, 2 * pair_bound(), "activation once more");
    r.epilogue = t.epilogue = OPS_EPILOGUE_ACTIVATION_GRADIENT;
    r.bias = t.bias = (ops_buffer){0};
    r.c = dx.reference, t.c = dx.tested;
    RUN(gemm, &r, &t);
    pair_check(&dx, 2 * pair_bound(), "activation gradient");
    if (pair_tested->call->has_maxima && m * n <= 1024) check_maximum_of_product(t, &dx);
    if (pair_tested->chunk_bytes > 0) { /* the output too, with the bits of the forward's */
      pair again = pair_poison_again(m * n), once_more = pair_poison_again(m * n);
      r.activated = again.reference, t.activated = again.tested;
      RUN(gemm, &r, &t);
      pair_check(&dx, 2 * pair_bound(), "activation gradient with the output");
      ta.c = once_more.tested;
      assert_ok(pair_tested->call->activate(pair_tested, &ta));
      pair_check_same(&again, &y);
      pair_check_same(&once_more, &y);
      r.activated = t.activated = (ops_buffer){0};
      pair_free(&again), pair_free(&once_more);
    }
    if (pair_tested->call->sums & OPS_SUMS_ACTIVATION) {
      pair sums = pair_random(n, true, 1);
      r.c_sums = sums.reference, t.c_sums = sums.tested;
      RUN(gemm, &r, &t);
      pair_check(&dx, 2 * pair_bound(), "activation gradient with sums");
      pair_check(&sums, 2 * pair_bound(), "activation gradient's sums");
      if (pair_tested->call->has_maxima && m * n <= 1024) check_maximum_of_product(t, &dx);
      pair_free(&sums);
    }
    pair_free(&x), pair_free(&w), pair_free(&bias), pair_free(&pre), pair_free(&y), pair_free(&dx);
  }
}

void activations_and_their_slopes_agree(void **state) {
  (void)state;
  check_activations(13, 47, 21);
}

/* Multiples of eight, as the epilogues of a library may want them. */
void activations_of_round_sizes_agree(void **state) {
  (void)state;
  check_activations(40, 24, 16);
  check_activations(16, 64, 8);
  check_activations(70, 112, 64);
}

/* Relative to each value, from where it is -1e-6 to where it is x: a sum of 1 and an approximated
 * erf has no digits left at the lower end. */
void activations_keep_their_digits_where_they_are_small(void **state) {
  (void)state;
  if (strcmp(pair_tested->call->name, "cpu") != 0) skip(); /* GPUs have their own erf and exp */
  enum { COUNT = 1001 };
  double values[COUNT];
  const double allowed = pair_tested->compute == OPS_BF16 ? 0.005 : 2e-5;
  for (int i = 0; i < COUNT; i++) values[i] = -5 + 0.01 * i + 1e-4;
  for (int kind = OPS_GELU_TANH; kind <= OPS_QUICK_GELU; kind++) {
    pair pre = pair_values(COUNT, false, values), y = pair_poison(COUNT, false);
    ops_activate r = {(ops_activation)kind, COUNT, pre.reference, y.reference}, t = r;
    t.pre = pre.tested, t.c = y.tested;
    RUN(activate, &r, &t);
    for (int64_t i = 0; i < COUNT; i++) {
      double wanted = reference_get(y.reference, i), found = pair_read(&y, i);
      if (!(fabs(found - wanted) <= allowed * fabs(wanted)))
        fail_msg("activation %d of %g is %g, not %g", kind, values[i], found, wanted);
    }
    pair_free(&pre), pair_free(&y);
  }
}
