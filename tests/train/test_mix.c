/* Mixup and CutMix: which images are mixed, with which share, and how often. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "train/mix.h"

static settings mixing(double mixup, double cutmix) {
  settings s;
  assert_ok(settings_init(&s));
  s.image_size = 16;
  s.classification_mixup = mixup;
  s.classification_cutmix = cutmix;
  return s;
}

/* Beta(a, a) has mean 1/2 and variance 1 / (4 (2 a + 1)); of 20,000 draws both are known to about
 * half a percent. */
static void shares_are_drawn_from_beta(void **state) {
  (void)state;
  static const double alphas[] = {0.2, 0.8, 1, 3};
  enum { DRAWS = 20000 };
  for (size_t k = 0; k < sizeof alphas / sizeof *alphas; k++) {
    double sum = 0, square = 0, wanted = 1 / (4 * (2 * alphas[k] + 1));
    for (uint64_t i = 0; i < DRAWS; i++) {
      rng r = rng_at(3, RNG_TEST, k, i);
      double share = mix_beta(alphas[k], &r);
      assert_true(share >= 0 && share <= 1);
      sum += share;
      square += share * share;
    }
    double mean = sum / DRAWS, variance = square / DRAWS - mean * mean;
    assert_true(fabs(mean - 0.5) < 5 * sqrt(wanted / DRAWS));
    assert_true(fabs(variance - wanted) < 0.03 * wanted + 1e-3);
  }
}

/* For an alpha near 0 one of the two images is taken: 1,000 draws of a half deviate by 16. */
static void a_tiny_alpha_takes_one_of_the_images(void **state) {
  (void)state;
  double sum = 0;
  for (uint64_t i = 0; i < 1000; i++) {
    rng r = rng_at(3, RNG_TEST, 0, i);
    double share = mix_beta(1e-310, &r);
    assert_true(share == 0 || share == 1);
    sum += share;
  }
  assert_true(fabs(sum - 500) < 80);
}

/* Half of the draws are CutMix where both are on; its box's area is what the share says, and on
 * average, cut at the image's edges, somewhat less than half of the image. Of 4,000 draws half
 * are 2,000 with a deviation of 32. */
static void half_of_the_draws_are_cut(void **state) {
  (void)state;
  settings s = mixing(0.8, 1);
  enum { DRAWS = 4000 };
  int cut = 0;
  double area = 0;
  for (int64_t i = 0; i < DRAWS; i++) { /* four groups in each of 1,000 updates */
    const mix m = mix_draw(&s, i / 4, i % 4), again = mix_draw(&s, i / 4, i % 4);
    assert_memory_equal(&m, &again, sizeof m);
    assert_true(m.share >= 0 && m.share <= 1);
    if (!m.is_cut) continue;
    double box = (double)((m.right - m.left) * (m.bottom - m.top)) / (16 * 16);
    assert_true(fabs(1 - box - m.share) < 1e-12);
    cut++;
    area += box;
  }
  assert_true(abs(cut - DRAWS / 2) < 160);
  assert_true(area / cut > 0.25 && area / cut < 0.45);
  settings_free(&s);
  s = mixing(0, 0);
  assert_true(mix_draw(&s, 5, 0).share == 1);
  settings_free(&s);
}

/* Each group of a batch has a draw of its own, whatever the order of its samples; without
 * mix_batch there is one for all. */
static void groups_of_a_batch_draw_for_themselves(void **state) {
  (void)state;
  enum { BATCH = 24 };
  settings s = mixing(0.8, 0);
  int64_t numbers[BATCH];
  mix mixes[BATCH];
  s.classification_classes = 10;
  s.batch_size = BATCH;
  for (int i = 0; i < BATCH; i++) numbers[i] = 5 * BATCH + i * 7 % BATCH; /* of the sixth update */
  for (s.classification_mix_batch = 0; s.classification_mix_batch <= 8;
       s.classification_mix_batch += 8) {
    mix_draw_batch(&s, numbers, BATCH, mixes);
    for (int i = 0; i < BATCH; i++)
      for (int k = 0; k < BATCH; k++) {
        int64_t group = settings_mix_batch(&s);
        bool are_together = numbers[i] / group == numbers[k] / group;
        assert_true((mixes[i].share == mixes[k].share) == are_together);
      }
  }
  settings_free(&s);
}

/* Three images of one grey each: 10, 50 and 210. */
static void images_are_mixed_with_the_batch_reversed(void **state) {
  (void)state;
  enum { SIZE = 4, VALUES = SIZE * SIZE * 3 };
  uint8_t from[3 * VALUES], to[3 * VALUES];
  memset(from, 10, VALUES), memset(from + VALUES, 50, VALUES);
  memset(from + 2 * VALUES, 210, VALUES);
  const mix blend = {.share = 0.75, .size = SIZE}, none = {.share = 1, .size = SIZE};
  const mix blended[] = {blend, blend, blend}, pair[] = {blend, none, blend},
            nothing[] = {none, none, none};
  mix_images(blended, 3, from, to);
  for (int i = 0; i < VALUES; i++) {
    assert_int_equal(to[i], 60); /* 0.75 * 10 + 0.25 * 210 */
    assert_int_equal(to[VALUES + i], 50);
    assert_int_equal(to[2 * VALUES + i], 160);
  }
  const mix cut = {.share = 1 - 2.0 / 16,
                   .is_cut = true,
                   .left = 1,
                   .right = 3,
                   .top = 2,
                   .bottom = 3,
                   .size = SIZE};
  const mix cuts[] = {cut, cut, cut};
  mix_images(cuts, 3, from, to);
  for (int i = 0; i < VALUES; i++) {
    int x = i / 3 % SIZE, y = i / 3 / SIZE;
    bool is_inside = y == 2 && (x == 1 || x == 2);
    assert_int_equal(to[i], is_inside ? 210 : 10);
    assert_int_equal(to[2 * VALUES + i], is_inside ? 10 : 210);
  }
  mix_images(nothing, 3, from, to);
  assert_memory_equal(from, to, sizeof from);
  mix_images(pair, 3, from, to); /* each as its own mix says */
  assert_int_equal(to[0], 60);
  assert_memory_equal(from + VALUES, to + VALUES, VALUES);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shares_are_drawn_from_beta),
      cmocka_unit_test(a_tiny_alpha_takes_one_of_the_images),
      cmocka_unit_test(half_of_the_draws_are_cut),
      cmocka_unit_test(groups_of_a_batch_draw_for_themselves),
      cmocka_unit_test(images_are_mixed_with_the_batch_reversed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
