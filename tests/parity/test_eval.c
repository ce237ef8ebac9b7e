/* Our measures against clip_benchmark's and scikit-learn's on the same embeddings, to the last
 * sample. make_eval_fixture.py made the fixture. */
#define FIXTURE "eval"
#include "parity/fixture.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/rng.h"
#include "eval/eval.h"
#include "eval/logistic.h"
#include "eval/npy.h"

/* Counts of samples: equal means equal, up to the rounding of a ratio. */
static void assert_same(double ours, double theirs) {
  if (!(fabs(ours - theirs) < 1e-12)) fail_msg("%.17g is not %.17g", ours, theirs);
}

static void zero_shot_counts_the_same_samples(void **state) {
  (void)state;
  int64_t images, classes, width;
  const float *rows = data_of("images", &images, &width);
  const float *embeddings = data_of("classes", &classes, NULL);
  const double *wanted = data_of("zeroshot", NULL, NULL);
  eval_zeroshot z;
  assert_ok(eval_score_zeroshot(rows, data_of("labels", NULL, NULL), images, embeddings, classes,
                                width, &z));
  assert_same(z.top1, wanted[0]);
  assert_same(z.top5, wanted[1]);
  assert_same(z.mean_per_class, wanted[2]);
}

static void retrieval_with_several_captions_counts_the_same_samples(void **state) {
  (void)state;
  int64_t images, texts, width;
  const float *rows = data_of("images", &images, &width),
              *captions = data_of("texts", &texts, NULL);
  const double *wanted = data_of("retrieval", NULL, NULL);
  eval_retrieval r;
  assert_true(texts > 2 * images);
  assert_ok(eval_score_retrieval(rows, images, captions, data_of("owners", NULL, NULL), texts,
                                 width, &r));
  for (int k = 0; k < 3; k++) {
    assert_same(r.image_to_text[k], wanted[k]);
    assert_same(r.text_to_image[k], wanted[3 + k]);
  }
}

static void the_linear_probe_is_scikit_learns(void **state) {
  (void)state;
  enum { TRAIN = 200, TEST = 100, CLASSES = 11 };
  int64_t images, width, cases;
  const float *rows = data_of("images", &images, &width);
  const double *c = data_of("probe_c", &cases, NULL),
               *weights = data_of("probe_weights", NULL, NULL);
  const int32_t *predicted = data_of("probe_predicted", NULL, NULL);
  logistic_data data = {rows, data_of("probe_labels", NULL, NULL), TRAIN, width, CLASSES, NULL};
  for (int64_t i = 0; i < cases; i++) {
    logistic model = {0};
    int32_t ours[TEST];
    assert_ok(logistic_fit(&data, c[i], 1e-10, 10000, &model));
    logistic_predict(&model, rows + TRAIN * width, TEST, ours);
    assert_memory_equal(ours, predicted + i * TEST, sizeof ours);
    /* the intercepts are free to move together: weights are compared class against class */
    int64_t stride = width + 1;
    for (int64_t k = 1; k < CLASSES; k++)
      for (int64_t j = 0; j < stride; j++) {
        const double *theirs = weights + i * CLASSES * stride;
        double a = model.weights[k * stride + j] - model.weights[j];
        double b = theirs[k * stride + j] - theirs[j];
        if (!(fabs(a - b) <= 1e-4 * (1 + fabs(b))))
          fail_msg("C %g, class %ld, weight %ld: %g is not %g", c[i], (long)k, (long)j, a, b);
      }
    logistic_free(&model);
  }
}

/* Two classes have one row of weights in scikit-learn, so their penalty is that of one. Here it is
 * found by Newton's method, for a width of one: the gradient and the curvature by hand. */
static void a_probe_of_two_classes_has_one_row_of_weights(void **state) {
  (void)state;
  static const float rows[] = {-2.0f, -1.0f, -0.5f, 0.3f, 0.9f, 1.1f, 1.9f, 2.5f};
  static const int32_t labels[] = {0, 0, 1, 0, 1, 0, 1, 1};
  enum { COUNT = sizeof rows / sizeof *rows };
  for (double c = 0.1; c < 200; c *= 10) {
    double w = 0, b = 0;
    for (int step = 0; step < 100; step++) {
      double gw = w / c, gb = 0, ww = 1 / c, wb = 0, bb = 0;
      for (int i = 0; i < COUNT; i++) {
        double x = (double)rows[i], p = 1 / (1 + exp(-(w * x + b))), v = p * (1 - p);
        gw += (p - labels[i]) * x, gb += p - labels[i];
        ww += v * x * x, wb += v * x, bb += v;
      }
      double det = ww * bb - wb * wb;
      w -= (bb * gw - wb * gb) / det;
      b -= (ww * gb - wb * gw) / det;
    }
    logistic model = {0};
    assert_ok(
        logistic_fit(&(logistic_data){rows, labels, COUNT, 1, 2, NULL}, c, 1e-10, 10000, &model));
    if (!(fabs(model.weights[2] - model.weights[0] - w) <= 1e-4 * (1 + fabs(w))))
      fail_msg("C %g: weight %g is not %g", c, model.weights[2] - model.weights[0], w);
    if (!(fabs(model.weights[3] - model.weights[1] - b) <= 1e-4 * (1 + fabs(b))))
      fail_msg("C %g: intercept %g is not %g", c, model.weights[3] - model.weights[1], b);
    logistic_free(&model);
  }
}

enum { PROBE_ROWS = 200, PROBE_FIT = 160, PROBE_CLASSES = 11 };

/* The accuracy with C = 10^exponent on the last fifth of the rows in the order of `seed`, fitted on
 * the others from zeros. */
static double held_out_accuracy(const logistic_data *data, uint64_t seed, double c) {
  enum { HELD = PROBE_ROWS - PROBE_FIT };
  static float rows[PROBE_ROWS * 1024];
  int32_t labels[PROBE_ROWS], predicted[HELD];
  int order[PROBE_ROWS], right = 0;
  rng random = rng_at(seed, RNG_SHUFFLE, 0, 0);
  assert_in_range(data->width, 1, 1024);
  for (int i = 0; i < PROBE_ROWS; i++) {
    int j = (int)rng_below(&random, (uint32_t)i + 1);
    order[i] = order[j];
    order[j] = i;
  }
  for (int i = 0; i < PROBE_ROWS; i++) {
    memcpy(rows + i * data->width, data->rows + order[i] * data->width,
           (size_t)data->width * sizeof(float));
    labels[i] = data->labels[order[i]];
  }
  logistic_data fit = {rows, labels, PROBE_FIT, data->width, PROBE_CLASSES, NULL};
  logistic model = {0};
  assert_ok(logistic_fit(&fit, c, 1e-6, 10000, &model));
  logistic_predict(&model, rows + PROBE_FIT * data->width, HELD, predicted);
  for (int i = 0; i < HELD; i++) right += predicted[i] == labels[PROBE_FIT + i];
  logistic_free(&model);
  return (double)right / HELD;
}

/* 0.03: one of the 40 rows held out, which where a fit stops may decide. */
static void the_sweep_finds_a_regulariser_as_good_as_any_tried(void **state) {
  (void)state;
  int64_t width;
  const float *rows = data_of("images", NULL, &width);
  logistic_data data = {rows, data_of("probe_labels", NULL, NULL), PROBE_ROWS, width, PROBE_CLASSES,
                        NULL};
  const size_t bytes = sizeof(double) * PROBE_CLASSES * (size_t)(width + 1);
  logistic model = {0}, again = {0}, with_all = {0};
  logistic_sweep sweep, second;
  double best = 0, worst = 1;
  assert_ok(logistic_fit_swept(&data, 3, 1000, &model, &sweep));
  assert_true(sweep.tried >= 13);
  assert_true(sweep.validation > 0.5); /* scikit-learn's C of 1 gives 0.6 on the test rows */
  assert_true(sweep.c > 1e-3 && sweep.c < 1e6);
  for (int exponent = -6; exponent <= 6; exponent += 2) {
    double accuracy = held_out_accuracy(&data, 3, pow(10, exponent));
    best = fmax(best, accuracy), worst = fmin(worst, accuracy);
  }
  assert_true(worst < best - 0.1); /* else any C would do */
  assert_true(sweep.validation > best - 0.03);
  assert_true(fabs(held_out_accuracy(&data, 3, sweep.c) - sweep.validation) < 0.03);
  assert_ok(logistic_fit(&data, sweep.c, 1e-5, 1000, &with_all));
  assert_memory_equal(model.weights, with_all.weights, bytes);
  assert_ok(logistic_fit_swept(&data, 3, 1000, &again, &second));
  assert_memory_equal(model.weights, again.weights, bytes);
  logistic_free(&model);
  logistic_free(&again);
  logistic_free(&with_all);
}

/* Numbers of two signs: every C that outweighs the bias separates them. */
static void of_equally_good_regularisers_the_strongest_is_chosen(void **state) {
  (void)state;
  float rows[20];
  int32_t labels[20];
  logistic model = {0};
  logistic_sweep sweep;
  for (int i = 0; i < 20; i++) {
    labels[i] = i % 2;
    rows[i] = (i % 2 ? 1.0f : -1.0f) * (1 + 0.01f * (float)i);
  }
  const logistic_data data = {rows, labels, 20, 1, 2, NULL};
  assert_ok(logistic_fit_swept(&data, 3, 1000, &model, &sweep));
  assert_true(sweep.validation == 1);
  assert_true(sweep.c <= 1); /* of up to 10^6 */
  logistic_free(&model);
}

static void an_npy_file_has_the_bytes_that_numpy_writes(void **state) {
  (void)state;
  char path[] = "/tmp/flip-npy-XXXXXX", *text;
  int64_t bytes, width;
  size_t length;
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  close(fd);
  const void *wanted = data_of("npy", &bytes, NULL);
  assert_ok(npy_write(path, 7, 16, data_of("images", NULL, &width)));
  assert_ok(fs_read(path, &text, &length));
  assert_int_equal(length, bytes);
  assert_memory_equal(text, wanted, length);
  free(text);
  unlink(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(zero_shot_counts_the_same_samples),
      cmocka_unit_test(retrieval_with_several_captions_counts_the_same_samples),
      cmocka_unit_test(the_linear_probe_is_scikit_learns),
      cmocka_unit_test(a_probe_of_two_classes_has_one_row_of_weights),
      cmocka_unit_test(the_sweep_finds_a_regulariser_as_good_as_any_tried),
      cmocka_unit_test(of_equally_good_regularisers_the_strongest_is_chosen),
      cmocka_unit_test(an_npy_file_has_the_bytes_that_numpy_writes),
  };
  return cmocka_run_group_tests(tests, open_file, close_file);
}
