/* ROC AUC and 11-point average precision against scikit-learn's and the VOC2007 devkit's, with ties
 * and with images that are not counted. make_metrics_fixture.py made the fixture. */
#define FIXTURE "metrics"
#include "parity/fixture.h"

#include <math.h>
#include <stdlib.h>

#include "eval/eval.h"

/* Sums of the same ratios in another order: a few last places. */
static void assert_same(double ours, double theirs) {
  if (!(fabs(ours - theirs) < 1e-12)) fail_msg("%.17g is not %.17g", ours, theirs);
}

static void the_area_under_the_curve_is_scikit_learns(void **state) {
  (void)state;
  int64_t images, classes;
  const float *scores = data_of("images", &images, &classes);
  const int32_t *labels = data_of("labels", NULL, NULL);
  const double *wanted = data_of("auc", NULL, NULL);
  float *column = malloc((size_t)images * sizeof *column);
  double auc;
  for (int c = 0; c < 3; c++) {
    for (int64_t i = 0; i < images; i++)
      column[i] = c == 1 ? -scores[i * classes] : scores[i * classes + c / 2];
    assert_ok(eval_score_auc(NULL, column, labels, images, &auc, NULL, NULL));
    assert_same(auc, wanted[c]);
  }
  free(column);
}

static void a_broken_score_or_one_label_alone_has_no_area(void **state) {
  (void)state;
  const float scores[] = {0.1f, NAN, 0.3f}, whole[] = {0.1f, 0.2f, 0.3f};
  const int32_t labels[] = {0, 1, 0}, same[] = {1, 1, 1};
  double auc;
  assert_ok(eval_score_auc(NULL, scores, labels, 3, &auc, NULL, NULL));
  assert_true(isnan(auc));
  assert_ok(eval_score_auc(NULL, whole, same, 3, &auc, NULL, NULL));
  assert_true(isnan(auc));
}

static void eleven_point_precision_is_the_devkits(void **state) {
  (void)state;
  int64_t images, classes, width;
  const float *scores = data_of("images", &images, &width);
  const float *embeddings = data_of("classes", &classes, NULL);
  const int8_t *truths = data_of("truths", NULL, NULL);
  const double *wanted = data_of("precisions", NULL, NULL);
  double sum = 0;
  eval_zeroshot z;
  int8_t *one = malloc((size_t)images);
  for (int64_t c = 0; c < classes; c++) {
    for (int64_t i = 0; i < images; i++) one[i] = truths[i * classes + c];
    assert_ok(eval_score_multilabel(NULL, scores, one, images, embeddings + c * width, 1, width, &z,
                                    NULL));
    assert_same(z.map_11point, wanted[c]);
    sum += wanted[c];
  }
  assert_ok(
      eval_score_multilabel(NULL, scores, truths, images, embeddings, classes, width, &z, NULL));
  assert_same(z.map_11point, sum / (double)classes);
  assert_int_equal(z.images, images);
  free(one);
}

static void a_class_that_no_image_has_is_left_out(void **state) {
  (void)state;
  /* class 0: the best image has it, then a wrong one, then a right one: precisions 1 and 2/3 */
  const float images[] = {3, 0, 2, 0, 1, 0}, classes[] = {1, 0, 0, 1};
  const int8_t truths[] = {1, -1, -1, -1, 1, -1};
  eval_zeroshot z;
  assert_ok(eval_score_multilabel(NULL, images, truths, 3, classes, 2, 2, &z, NULL));
  assert_same(z.map_11point, (6 * 1 + 5 * (2.0 / 3)) / 11); /* recalls 0 to 0.5, then 0.6 to 1 */
  assert_same(z.chance, 2.0 / 3);                           /* of class 0 alone, as the mean is */
  assert_true(isnan(eval_zeroshot_value(&z, EVAL_TOP1)));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_area_under_the_curve_is_scikit_learns),
      cmocka_unit_test(a_broken_score_or_one_label_alone_has_no_area),
      cmocka_unit_test(eleven_point_precision_is_the_devkits),
      cmocka_unit_test(a_class_that_no_image_has_is_left_out),
  };
  return cmocka_run_group_tests(tests, open_file, close_file);
}
