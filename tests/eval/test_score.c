/* Zero-shot and retrieval measures on embeddings small enough to score by hand. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "eval/eval.h"
#include "eval/probe_inside.h"

static void assert_near(double value, double wanted) {
  if (!(fabs(value - wanted) <= 1e-12)) fail_msg("%.17g is not %.17g", value, wanted);
}

/* A unit vector of the plane, by its angle in degrees. */
static void at_angle(float *to, double degrees) {
  to[0] = (float)cos(degrees * acos(-1) / 180);
  to[1] = (float)sin(degrees * acos(-1) / 180);
}

static void score_pairs(const float *images, const float *texts, int64_t count, int64_t width,
                        eval_retrieval *r) {
  int32_t *owners = malloc((size_t)count * sizeof *owners);
  for (int32_t i = 0; i < count; i++) owners[i] = i;
  assert_ok(eval_score_retrieval(images, count, texts, owners, count, width, r));
  free(owners);
}

static void the_class_with_the_nearest_embedding_wins(void **state) {
  (void)state;
  /* classes at 0, 90 and 180 degrees; four images of class 0, one of class 1, one of class 2 */
  static const double angles[] = {10, 20, 100, 30, 80, 50};
  static const int32_t labels[] = {0, 0, 0, 0, 1, 2};
  float images[12], classes[6];
  for (int i = 0; i < 6; i++) at_angle(images + 2 * i, angles[i]);
  for (int i = 0; i < 3; i++) at_angle(classes + 2 * i, 90.0 * i);
  eval_zeroshot z;
  assert_ok(eval_score_zeroshot(images, labels, 6, classes, 3, 2, &z));
  assert_int_equal(z.images, 6);
  assert_int_equal(z.classes, 3);
  assert_near(z.top1, 4.0 / 6);                  /* images 0, 1, 3 and 4 */
  assert_near(z.mean_per_class, (0.75 + 1) / 3); /* 3/4, 1/1 and 0/1 */
  assert_near(z.majority, 4.0 / 6);
  assert_near(z.chance, 1.0 / 3);
  assert_near(z.top5, 1); /* three classes: all are among the five best */
}

static void top5_counts_the_five_best_and_no_more(void **state) {
  (void)state;
  float images[2], classes[16];
  int32_t label;
  eval_zeroshot z;
  at_angle(images, 0);
  for (int i = 0; i < 8; i++) at_angle(classes + 2 * i, 10.0 * i);
  for (label = 0; label < 8; label++) {
    assert_ok(eval_score_zeroshot(images, &label, 1, classes, 8, 2, &z));
    assert_near(z.top1, label == 0);
    assert_near(z.top5, label < 5);
  }
}

/* Two classes of one name have equal scores: one of them wins, as in torch the first of a few. */
static void equal_classes_stay_two(void **state) {
  (void)state;
  float images[4], classes[6];
  static const double angles[] = {40, 0, 0};
  static const int32_t labels[] = {1, 2};
  eval_zeroshot z;
  for (int i = 0; i < 2; i++) at_angle(images + 2 * i, 5);
  for (int i = 0; i < 3; i++) at_angle(classes + 2 * i, angles[i]);
  assert_ok(eval_score_zeroshot(images, labels, 2, classes, 3, 2, &z));
  assert_int_equal(z.classes, 3);
  assert_near(z.top1, 0.5);
}

static void classes_without_images_do_not_count_in_the_mean(void **state) {
  (void)state;
  float images[4], classes[6];
  const int32_t labels[] = {0, 0};
  eval_zeroshot z;
  at_angle(images, 0);
  at_angle(images + 2, 5);
  for (int i = 0; i < 3; i++) at_angle(classes + 2 * i, 90.0 * i);
  assert_ok(eval_score_zeroshot(images, labels, 2, classes, 3, 2, &z));
  assert_near(z.mean_per_class, 1);
}

static void retrieval_counts_ranks_in_both_directions(void **state) {
  (void)state;
  /* images at 0, 10, 20 …; texts the same but the first two swapped */
  enum { COUNT = 12 };
  float images[2 * COUNT], texts[2 * COUNT];
  for (int i = 0; i < COUNT; i++) at_angle(images + 2 * i, 10.0 * i);
  for (int i = 0; i < COUNT; i++) at_angle(texts + 2 * i, 10.0 * (i < 2 ? 1 - i : i));
  eval_retrieval r;
  score_pairs(images, texts, COUNT, 2, &r);
  assert_near(r.image_to_text[0], 10.0 / 12);
  assert_near(r.text_to_image[0], 10.0 / 12);
  assert_near(r.image_to_text[1], 1);
  assert_near(r.chance_r1, 1.0 / 12);
}

static void equal_scores_count_against_the_model(void **state) {
  (void)state;
  /* a collapsed model: all embeddings are the same, so nothing was retrieved */
  enum { COUNT = 20 };
  float images[2 * COUNT], texts[2 * COUNT];
  for (int i = 0; i < COUNT; i++) at_angle(images + 2 * i, 0), at_angle(texts + 2 * i, 0);
  eval_retrieval r;
  score_pairs(images, texts, COUNT, 2, &r);
  assert_near(r.image_to_text[0], 0);
  assert_near(r.text_to_image[2], 0);
}

static void one_right_caption_of_several_is_enough(void **state) {
  (void)state;
  /* three images at 0, 90 and 180 degrees; the first has a wrong caption and a right one, the
   * second only captions that another image's are nearer to, the third none */
  static const double angles[] = {180, 5, 40, 60};
  static const int32_t owners[] = {0, 0, 1, 1};
  float images[6], texts[8];
  for (int i = 0; i < 3; i++) at_angle(images + 2 * i, 90.0 * i);
  for (int i = 0; i < 4; i++) at_angle(texts + 2 * i, angles[i]);
  eval_retrieval r;
  assert_ok(eval_score_retrieval(images, 3, texts, owners, 4, 2, &r));
  assert_int_equal(r.images, 3);
  assert_int_equal(r.texts, 4);
  assert_near(r.image_to_text[0], 2.0 / 3); /* the first by 5 degrees, the second by 60 */
  assert_near(r.text_to_image[0], 2.0 / 4); /* 5 to the first, 60 to the second */
  assert_near(r.chance_r1, 1.0 / 3);
}

static void per_item_outcomes_are_reported(void **state) {
  (void)state;
  /* as in the first test: images 0, 1, 3 and 4 are right */
  static const double angles[] = {10, 20, 100, 30, 80, 50};
  static const int32_t labels[] = {0, 0, 0, 0, 1, 2};
  float images[12], classes[6];
  for (int i = 0; i < 6; i++) at_angle(images + 2 * i, angles[i]);
  for (int i = 0; i < 3; i++) at_angle(classes + 2 * i, 90.0 * i);
  eval_zeroshot z;
  eval_outcomes o = {0};
  assert_ok(eval_score_zeroshot_items(NULL, images, labels, 6, classes, 3, 2, &z, &o));
  assert_int_equal(o.labelled, 6);
  assert_int_equal(o.top[0][0], 1 << 0 | 1 << 1 | 1 << 3 | 1 << 4);
  assert_int_equal(o.top[1][0], 63);
  for (int i = 0; i < 6; i++) assert_int_equal(o.labels[i], labels[i]);
  strbuf text = {0};
  json_writer w = jsonw_start(&text);
  jsonw_object(&w, NULL);
  eval_write_zeroshot_hits(&w, "hits", &o);
  eval_write_labels(&w, "labels", &o);
  jsonw_end(&w);
  assert_string_equal(strbuf_string(&text), "{\"hits\":{\"top1\":\"Gw==\",\"top5\":\"Pw==\"},"
                                            "\"labels\":\"AAAAAAAAAAABAAIA\"}");
  strbuf_free(&text);
  eval_outcomes_free(&o);

  /* nine texts of three images, and each kind has bytes of its own length */
  float pictures[6], texts[18];
  int32_t owners[9];
  eval_retrieval r;
  for (int i = 0; i < 3; i++) at_angle(pictures + 2 * i, 40.0 * i);
  for (int t = 0; t < 9; t++) owners[t] = t / 3, at_angle(texts + 2 * t, 40.0 * (t / 3) + t % 3);
  at_angle(texts + 16, 0); /* the last one is where the first image is */
  assert_ok(eval_score_retrieval_items(NULL, pictures, 3, texts, owners, 9, 2, &r, &o));
  assert_true(o.images == 3 && o.texts == 9);
  assert_int_equal(o.text_to_image[0][0], 0xff);
  assert_int_equal(o.text_to_image[0][1], 0);
  assert_near(r.text_to_image[0], 8 / 9.0);
  assert_int_equal(o.image_to_text[0][0], 6); /* equal scores count against the first image */
  eval_outcomes_free(&o);
}

static void random_embeddings_score_at_chance(void **state) {
  (void)state;
  enum { COUNT = 2000, WIDTH = 8, SEEDS = 20 };
  float *images = malloc(sizeof(float) * COUNT * WIDTH),
        *texts = malloc(sizeof(float) * COUNT * WIDTH);
  rng random = rng_at(5, RNG_TEST, 0, 0);
  double forth = 0, back = 0;
  for (int seed = 0; seed < SEEDS; seed++) {
    eval_retrieval r;
    for (int i = 0; i < COUNT * WIDTH; i++) images[i] = (float)rng_normal(&random);
    for (int i = 0; i < COUNT * WIDTH; i++) texts[i] = (float)rng_normal(&random);
    score_pairs(images, texts, COUNT, WIDTH, &r);
    forth += r.image_to_text[2] / SEEDS;
    back += r.text_to_image[2] / SEEDS;
  }
  /* R@10 of chance is 0.005 with a deviation of 0.0016, of the mean 0.00035: five of these. R@5 and
   * R@20 are 0.0025 and 0.01. */
  assert_true(fabs(forth - 0.005) < 0.0018);
  assert_true(fabs(back - 0.005) < 0.0018);
  free(images);
  free(texts);
}

/* Integers, whose products and sums are exact, so that ranks can be counted one by one; every count
 * of candidates up to a few groups of those scored together, with ties. */
static void any_number_of_candidates_is_ranked(void **state) {
  (void)state;
  enum { MOST = 11, WIDTH = 5 };
  rng random = rng_at(6, RNG_TEST, 0, 0);
  for (int count = 1; count <= MOST; count++)
    for (int round = 0; round < 20; round++) {
      float a[MOST * WIDTH], b[MOST * WIDTH];
      for (int i = 0; i < count * WIDTH; i++) a[i] = (float)rng_below(&random, 3) - 1;
      for (int i = 0; i < count * WIDTH; i++) b[i] = (float)rng_below(&random, 3) - 1;
      int first[2] = {0}; /* times that the own candidate is better than all others */
      for (int q = 0; q < count; q++) {
        int better[2] = {0};
        for (int c = 0; c < count; c++) {
          int of_image = 0, of_text = 0;
          for (int k = 0; k < WIDTH; k++) {
            of_image += (int)(a[q * WIDTH + k] * (b[c * WIDTH + k] - b[q * WIDTH + k]));
            of_text += (int)(b[q * WIDTH + k] * (a[c * WIDTH + k] - a[q * WIDTH + k]));
          }
          better[0] += c != q && of_image >= 0;
          better[1] += c != q && of_text >= 0;
        }
        for (int k = 0; k < 2; k++) first[k] += !better[k];
      }
      eval_retrieval r;
      score_pairs(a, b, count, WIDTH, &r);
      assert_near(r.image_to_text[0], (double)first[0] / count);
      assert_near(r.text_to_image[0], (double)first[1] / count);
      eval_zeroshot z;
      int32_t labels[MOST];
      for (int i = 0; i < count; i++) labels[i] = i;
      assert_ok(eval_score_zeroshot(a, labels, count, b, count, WIDTH, &z));
      assert_true(z.top1 * count >= first[0] - 0.5); /* a tie may be won */
    }
}

static void a_sets_number_is_the_one_it_asks_for(void **state) {
  (void)state;
  eval_zeroshot z = {.metric = EVAL_TOP1,
                     .top1 = 0.25,
                     .top5 = 0.75,
                     .mean_per_class = 0.125,
                     .roc_auc = 0.875,
                     .map_11point = 0.375};
  assert_near(eval_zeroshot_value(&z, EVAL_TOP1), 0.25);
  assert_near(eval_zeroshot_value(&z, EVAL_TOP5), 0.75);
  assert_near(eval_zeroshot_value(&z, EVAL_MEAN_PER_CLASS), 0.125);
  assert_near(eval_zeroshot_value(&z, EVAL_MEAN_TOP1_TOP5), 0.5);
  assert_true(isnan(eval_zeroshot_value(&z, EVAL_ROC_AUC))); /* of two classes only */
  assert_true(isnan(eval_zeroshot_value(&z, EVAL_MAP_11POINT)));
  z.metric = EVAL_ROC_AUC;
  assert_near(eval_zeroshot_value(&z, EVAL_ROC_AUC), 0.875);
  z.metric = EVAL_MAP_11POINT; /* of several labels only */
  assert_near(eval_zeroshot_value(&z, EVAL_MAP_11POINT), 0.375);
  assert_true(isnan(eval_zeroshot_value(&z, EVAL_TOP1)));
}

/* Two of three, one of one and one of two; the fourth class has no image. */
static void a_probes_hits_are_counted_per_class(void **state) {
  (void)state;
  int32_t labels[] = {0, 0, 0, 1, 2, 2}, predicted[] = {0, 0, 1, 1, 3, 2};
  const probe_features features = {.labels = labels, .count = 6};
  eval_probe p = {0};
  assert_ok(probe_count(&features, predicted, 4, &p));
  assert_near(p.top1, 4 / 6.);
  assert_near(p.mean_per_class, (2 / 3. + 1 + 1 / 2.) / 3);
}

static void assert_written(const strbuf *out, const char *wanted) {
  char plain[1024];
  size_t length = 0;
  for (const char *at = strbuf_string(out); *at && length + 1 < sizeof plain; at++)
    if (*at != ' ' && *at != '\n') plain[length++] = *at;
  plain[length] = '\0';
  assert_string_equal(plain, wanted);
}

static void each_measure_is_written_under_its_name(void **state) {
  (void)state;
  const eval_retrieval r = {.image_to_text = {0.125, 0.25, 0.5},
                            .text_to_image = {0.0625, 0.375, 0.75},
                            .chance_r1 = 0.03125,
                            .images = 32,
                            .texts = 64};
  eval_zeroshot z = {.metric = EVAL_MEAN_TOP1_TOP5,
                     .top1 = 0.25,
                     .top5 = 0.75,
                     .mean_per_class = 0.125,
                     .majority = 0.375,
                     .bounds = {NAN, NAN},
                     .chance = 0.0625,
                     .classes = 16,
                     .images = 32};
  strbuf out = {0};
  json_writer w = jsonw_start(&out);
  eval_write_retrieval(&w, NULL, &r);
  assert_written(&out, "{\"image_to_text_r1\":0.125,\"image_to_text_r5\":0.25,"
                       "\"image_to_text_r10\":0.5,\"text_to_image_r1\":0.0625,"
                       "\"text_to_image_r5\":0.375,\"text_to_image_r10\":0.75,"
                       "\"chance_r1\":0.03125,\"images\":32,\"texts\":64}");
  strbuf_clear(&out);
  w = jsonw_start(&out);
  eval_write_zeroshot(&w, NULL, &z);
  assert_written(&out, "{\"top1\":0.25,\"top5\":0.75,\"mean_per_class\":0.125,\"majority\":0.375,"
                       "\"mean_top1_top5\":0.5,\"chance\":0.0625,\"classes\":16,\"images\":32}");
  z.metric = EVAL_MAP_11POINT; /* with bounds, and without numbers of single labels */
  z.map_11point = 0.5;
  z.bounds[0] = 0.25;
  z.bounds[1] = 0.75;
  strbuf_clear(&out);
  w = jsonw_start(&out);
  eval_write_zeroshot(&w, NULL, &z);
  assert_written(&out, "{\"map_11point\":0.5,\"map_11point_low\":0.25,\"map_11point_high\":0.75,"
                       "\"chance\":0.0625,\"classes\":16,\"images\":32}");
  strbuf_free(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_class_with_the_nearest_embedding_wins),
      cmocka_unit_test(top5_counts_the_five_best_and_no_more),
      cmocka_unit_test(equal_classes_stay_two),
      cmocka_unit_test(classes_without_images_do_not_count_in_the_mean),
      cmocka_unit_test(retrieval_counts_ranks_in_both_directions),
      cmocka_unit_test(equal_scores_count_against_the_model),
      cmocka_unit_test(one_right_caption_of_several_is_enough),
      cmocka_unit_test(per_item_outcomes_are_reported),
      cmocka_unit_test(random_embeddings_score_at_chance),
      cmocka_unit_test(any_number_of_candidates_is_ranked),
      cmocka_unit_test(a_sets_number_is_the_one_it_asks_for),
      cmocka_unit_test(each_measure_is_written_under_its_name),
      cmocka_unit_test(a_probes_hits_are_counted_per_class),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
