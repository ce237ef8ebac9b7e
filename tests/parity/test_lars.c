/* The linear probe's updates against PyTorch's in double (make_lars_fixture.py), and one by hand.
 */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "eval/lars.h"
#include "train/safetensors.h"

static safetensors_file *file;

static const void *data_of(const char *name, int64_t shape[3]) {
  const safetensor *t = safetensors_find(file, name);
  if (!t) fail_msg("the fixture has no %s", name);
  for (int i = 0; shape && i < 3; i++) shape[i] = t->shape[i];
  return t->data;
}

static int open_file(void **state) {
  (void)state;
  err error = safetensors_open(FLIP_SOURCE_DIR "/tests/parity/fixtures/lars.safetensors", &file);
  return error != NULL;
}

static int close_file(void **state) {
  (void)state;
  safetensors_close(file);
  return 0;
}

/* Double on both sides, sums in another order. */
static void assert_close(const double *ours, const double *theirs, int64_t count,
                         const char *what) {
  for (int64_t i = 0; i < count; i++)
    if (!(fabs(ours[i] - theirs[i]) <= 1e-10 * (1 + fabs(theirs[i]))))
      fail_msg("%s %ld: %.17g is not %.17g", what, (long)i, ours[i], theirs[i]);
}

static void twenty_updates_are_pytorchs(void **state) {
  (void)state;
  int64_t shape[3], classes;
  const float *rows = data_of("rows", shape);
  const int32_t *labels = data_of("labels", NULL), *wanted = data_of("predicted", NULL);
  const double *rates = data_of("rates", NULL), *losses = data_of("losses", NULL);
  const safetensor *bias = safetensors_find(file, "bias");
  int64_t updates = shape[0], batch = shape[1], width = shape[2];
  classes = bias->shape[0];
  lars_probe p;
  assert_ok(lars_begin(classes, width, batch, 0, &p));
  memcpy(p.weights, data_of("first", NULL), (size_t)(classes * width) * sizeof(double));
  for (int64_t u = 0; u < updates; u++) {
    double loss;
    assert_ok(lars_step(&p, rows + u * batch * width, labels + u * batch, batch, rates[u], &loss));
    assert_close(&loss, losses + u, 1, "loss");
  }
  assert_close(p.weights, data_of("weights", NULL), classes * width, "weight");
  assert_close(p.bias, data_of("bias", NULL), classes, "bias");
  assert_close(p.mean, data_of("mean", NULL), width, "running mean");
  assert_close(p.variance, data_of("variance", NULL), width, "running variance");
  int32_t *predicted = malloc((size_t)(updates * batch) * sizeof *predicted);
  lars_predict(&p, rows, updates * batch, predicted);
  assert_memory_equal(predicted, wanted, (size_t)(updates * batch) * sizeof *predicted);
  free(predicted);
  lars_end(&p);
}

/* Two rows, one feature, two classes: rows ±1 become ±1/sqrt(1 + 1e-6); weights 0.3 and -0.4. */
static void one_update_by_hand(void **state) {
  (void)state;
  const float rows[] = {3, 5};
  const int32_t labels[] = {0, 1};
  double loss, x = 1 / sqrt(1 + 1e-6);
  lars_probe p;
  assert_ok(lars_begin(2, 1, 2, 0, &p));
  p.weights[0] = 0.3;
  p.weights[1] = -0.4;
  assert_ok(lars_step(&p, rows, labels, 2, 100, &loss));
  /* of the first row the first class's score less the second's is -0.7 x, of the second row 0.7 x:
   * each is wrong by the same, with probability q of the right class */
  double q = 1 / (1 + exp(0.7 * x)), wanted_loss = -log(q);
  double gradient = (1 - q) * x; /* of the first weight, - of the second: two halves of two rows */
  double scale = 0.001 * 0.5 / (sqrt(2) * gradient);
  const double weights[] = {0.3 - 100 * scale * gradient, -0.4 + 100 * scale * gradient};
  assert_close(&loss, &wanted_loss, 1, "loss");
  assert_close(p.weights, weights, 2, "weight");
  assert_true(fabs(p.bias[0]) < 1e-12 && fabs(p.bias[1]) < 1e-12);
  assert_true(fabs(p.mean[0] - 0.4) < 1e-12);                 /* a tenth of 4 */
  assert_true(fabs(p.variance[0] - (0.9 + 0.1 * 2)) < 1e-12); /* unbiased: 2 */
  lars_end(&p);
}

static void the_rate_rises_for_a_ninth_and_falls_to_nothing(void **state) {
  (void)state;
  assert_true(lars_schedule(0, 10, 90) == 0);
  assert_true(fabs(lars_schedule(5, 10, 90) - 0.5) < 1e-12);
  assert_true(fabs(lars_schedule(10, 10, 90) - 1) < 1e-12);
  assert_true(fabs(lars_schedule(50, 10, 90) - 0.5) < 1e-12);
  assert_true(fabs(lars_schedule(90, 10, 90)) < 1e-12);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(twenty_updates_are_pytorchs),
      cmocka_unit_test(one_update_by_hand),
      cmocka_unit_test(the_rate_rises_for_a_ninth_and_falls_to_nothing),
  };
  return cmocka_run_group_tests(tests, open_file, close_file);
}
