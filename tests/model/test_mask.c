#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "config/settings.h"
#include "model/mask.h"

enum { GRID = 8, PATCHES = GRID * GRID, ROWS = 20000 };

static int32_t *draw(int mode, double ratio, uint64_t seed, int64_t first, int64_t rows,
                     int64_t *keep) {
  mask_config c = {mode, ratio, GRID, false};
  *keep = mask_encoded_count(&c);
  int32_t *index = malloc((size_t)(rows * *keep) * sizeof *index);
  assert_non_null(index);
  assert_ok(mask_draw(&c, seed, first, rows, index));
  return index;
}

static void the_keep_count_is_the_released_codes(void **state) {
  (void)state;
  assert_int_equal(mask_keep_count(196, 0.5), 98);
  assert_int_equal(mask_keep_count(196, 0.75), 49);
  assert_int_equal(mask_keep_count(256, 0.75), 64); /* H/14 at 224 */
  assert_int_equal(mask_keep_count(196, 0.918), 16);
  assert_int_equal(mask_keep_count(64, 0), 64);
  assert_int_equal(mask_keep_count(4, 0.99), 1); /* an image is never empty */
}

static void rows_are_ascending_without_repeats_in_every_mode(void **state) {
  (void)state;
  static const int modes[] = {MASK_RANDOM,   MASK_GRID,       MASK_BLOCK,
                              MASK_GAUSSIAN, MASK_BLOCK_KEPT, MASK_GAUSSIAN_DENSITY};
  for (size_t m = 0; m < sizeof modes / sizeof *modes; m++)
    for (double ratio = 0.1; ratio < 1; ratio += 0.17) {
      int64_t keep;
      int32_t *index = draw(modes[m], ratio, 3, 0, 500, &keep);
      assert_int_equal(keep, (int64_t)(PATCHES * (1 - ratio)));
      for (int64_t i = 0; i < 500 * keep; i++) {
        assert_true(index[i] >= 0 && index[i] < PATCHES);
        if (i % keep) assert_true(index[i] > index[i - 1]);
      }
      free(index);
    }
}

/* Each patch is kept with probability keep/L, and two patches together as without replacement:
 * k(k-1) / L(L-1). Bounds: five standard errors of a binomial over the rows. */
static void random_masks_are_uniform_without_replacement(void **state) {
  (void)state;
  int64_t keep;
  int32_t *index = draw(MASK_RANDOM, 0.75, 11, 0, ROWS, &keep);
  int *single = calloc(PATCHES, sizeof *single), *both = calloc(PATCHES * PATCHES, sizeof *both);
  for (int row = 0; row < ROWS; row++)
    for (int64_t i = 0; i < keep; i++) {
      single[index[row * keep + i]]++;
      for (int64_t j = 0; j < i; j++)
        both[index[row * keep + j] * PATCHES + index[row * keep + i]]++;
    }
  double p = (double)keep / PATCHES;
  double pp = p * (double)(keep - 1) / (PATCHES - 1);
  for (int i = 0; i < PATCHES; i++) {
    assert_true(fabs(single[i] - ROWS * p) < 5 * sqrt(ROWS * p * (1 - p)));
    for (int j = i + 1; j < PATCHES; j++)
      assert_true(fabs(both[i * PATCHES + j] - ROWS * pp) < 5.5 * sqrt(ROWS * pp * (1 - pp)));
  }
  free(single);
  free(both);
  free(index);
}

/* Two images' masks share k²/L patches on average when they are independent. */
static void masks_of_different_images_are_independent(void **state) {
  (void)state;
  int64_t keep;
  int32_t *index = draw(MASK_RANDOM, 0.5, 5, 0, ROWS, &keep);
  double shared = 0;
  for (int row = 0; row + 1 < ROWS; row += 2) {
    bool is_kept[PATCHES] = {false};
    for (int64_t i = 0; i < keep; i++) is_kept[index[row * keep + i]] = true;
    for (int64_t i = 0; i < keep; i++) shared += is_kept[index[(row + 1) * keep + i]];
  }
  double pairs = ROWS / 2.0, expected = (double)(keep * keep) / PATCHES;
  /* variance of the hypergeometric overlap: L=64, k=32 → 4.06 */
  assert_true(fabs(shared / pairs - expected) < 5 * sqrt(4.06 / pairs));
  free(index);
}

static void a_mask_depends_on_seed_and_sample_alone(void **state) {
  (void)state;
  int64_t keep;
  int32_t *whole = draw(MASK_RANDOM, 0.5, 7, 1000, 64, &keep);
  int32_t *part = draw(MASK_RANDOM, 0.5, 7, 1030, 10, &keep);
  int32_t *other = draw(MASK_RANDOM, 0.5, 8, 1000, 64, &keep);
  assert_memory_equal(whole + 30 * keep, part, (size_t)(10 * keep) * sizeof *part);
  assert_memory_not_equal(whole, other, (size_t)(64 * keep) * sizeof *other);
  free(whole);
  free(part);
  free(other);
}

static void zero_mode_lists_every_patch_and_marks_the_dropped(void **state) {
  (void)state;
  int64_t keep, kept;
  int32_t *zero = draw(MASK_ZERO, 0.75, 7, 0, 50, &keep);
  int32_t *random = draw(MASK_RANDOM, 0.75, 7, 0, 50, &kept);
  assert_int_equal(keep, PATCHES);
  for (int64_t row = 0; row < 50; row++) {
    int64_t shown = 0;
    for (int64_t i = 0; i < PATCHES; i++) {
      int32_t v = zero[row * PATCHES + i];
      assert_int_equal(v < 0 ? ~v : v, i);
      if (v >= 0) assert_int_equal(v, random[row * kept + shown++]);
    }
    assert_int_equal(shown, kept);
  }
  free(zero);
  free(random);
}

/* Dropped patches beside each other in a row, mean. */
static double dropped_neighbours(int mode) {
  enum { DRAWS = 500 };
  int64_t keep, count = 0;
  int32_t *index = draw(mode, 0.5, 5, 0, DRAWS, &keep);
  for (int64_t row = 0; row < DRAWS; row++) {
    bool is_kept[PATCHES] = {false};
    for (int64_t i = 0; i < keep; i++) is_kept[index[row * keep + i]] = true;
    for (int i = 0; i + 1 < PATCHES; i++)
      count += (i + 1) % GRID != 0 && !is_kept[i] && !is_kept[i + 1];
  }
  free(index);
  return (double)count / DRAWS;
}

/* Of 56 pairs both patches are dropped by chance in 32 * 31 / (64 * 63), 13.8; in blocks far more.
 */
static void blocks_are_of_neighbours(void **state) {
  (void)state;
  double random = dropped_neighbours(MASK_RANDOM), block = dropped_neighbours(MASK_BLOCK);
  assert_true(fabs(random - 56 * 32. * 31 / (64 * 63)) < 0.7);
  assert_true(block > 1.4 * random);
}

static void gaussian_keeps_the_centre_more_often_and_grid_spreads(void **state) {
  (void)state;
  int64_t keep;
  int32_t *index = draw(MASK_GAUSSIAN, 0.75, 1, 0, ROWS, &keep);
  int64_t centre = 0, corner = 0;
  for (int64_t i = 0; i < ROWS * keep; i++) {
    centre += index[i] == 27 || index[i] == 28 || index[i] == 35 || index[i] == 36;
    corner += index[i] == 0 || index[i] == 7 || index[i] == 56 || index[i] == 63;
  }
  assert_true(centre > 3 * corner);
  free(index);
  index = draw(MASK_GRID, 0.75, 1, 0, 200, &keep); /* one patch of each 2x2 cell, up to an offset */
  for (int64_t row = 0; row < 200; row++) {
    int quarter[4] = {0};
    for (int64_t i = 0; i < keep; i++) {
      int32_t v = index[row * keep + i];
      quarter[v / GRID / 4 * 2 + v % GRID / 4]++;
      /* every other column and row, like the first */
      int32_t first = index[row * keep];
      assert_int_equal(v % GRID % 2, first % GRID % 2);
      assert_int_equal(v / GRID % 2, first / GRID % 2);
    }
    for (int q = 0; q < 4; q++) assert_int_equal(quarter[q], 4);
  }
  free(index);
}

/* GLIP's rule worked out for one patch of nine: with density d of a patch on [-1, 1]² (covariance
 * 0.2, 0.7958 in the middle), patch a is kept before b where u_a + d_a > u_b + d_b. */
static void the_density_mode_is_glips_rule(void **state) {
  (void)state;
  enum { SIDE = 3, ALL = SIDE * SIDE };
  mask_config c = {MASK_GAUSSIAN_DENSITY, 0.9, SIDE, false}; /* one patch of nine is kept */
  int32_t *index = malloc(sizeof(int32_t) * ROWS);
  int kept[ALL] = {0};
  assert_int_equal(mask_encoded_count(&c), 1);
  assert_ok(mask_draw(&c, 3, 0, ROWS, index));
  for (int i = 0; i < ROWS; i++) kept[index[i]]++;
  /* densities: middle 0.7958, edges 0.7958 e^-2.5 = 0.0653, corners 0.7958 e^-5 = 0.0054. The
   * middle is first unless some other sum is larger: with u uniform, given v = u + 0.7958,
   * P = prod of P(u_j < v - d_j); integrated numerically: */
  double first = 0;
  for (int i = 0; i < 100000; i++) {
    double v = (i + 0.5) / 100000 + 0.795775;
    double edge = v - 0.065321 > 1 ? 1 : v - 0.065321, corner = v - 0.005362;
    first += pow(edge, 4) * pow(corner > 1 ? 1 : corner, 4) / 100000;
  }
  assert_true(first > 0.8 && first < 1);
  assert_true(fabs(kept[4] - ROWS * first) < 5 * sqrt(ROWS * first * (1 - first)));
  free(index);
}

/* CLIPA keeps one block: 16 patches are a 4x4 square, 12 are 4 across and 3 down, 10 cut the last
 * row of those; every place is drawn alike. */
static void a_kept_block_is_one_rectangle(void **state) {
  (void)state;
  static const int wanted[] = {16, 12, 10};
  for (size_t w = 0; w < 3; w++) {
    int64_t keep;
    int32_t *index = draw(MASK_BLOCK_KEPT, 1 - (wanted[w] + 0.5) / PATCHES, 2, 0, ROWS, &keep);
    int64_t high = wanted[w] == 16 ? 4 : 3, starts[PATCHES] = {0}, places = 5 * (GRID - high + 1);
    assert_int_equal(keep, wanted[w]);
    for (int64_t row = 0; row < ROWS; row++) {
      const int32_t *own = index + row * keep;
      for (int64_t i = 0; i < keep; i++) assert_int_equal(own[i], own[0] + i / 4 * GRID + i % 4);
      assert_true(own[0] % GRID <= GRID - 4);
      starts[own[0]]++;
    }
    double p = 1.0 / (double)places;
    for (int64_t y = 0; y <= GRID - high; y++)
      for (int64_t x = 0; x <= GRID - 4; x++)
        assert_true(fabs((double)starts[y * GRID + x] - ROWS * p) < 5 * sqrt(ROWS * p * (1 - p)));
    free(index);
  }
}

/* n draws of k from n numbers leave n (1 - 1/n)^k of them undrawn. */
static void check_replacement(double ratio) {
  enum { IMAGES = 2000, ALL = GRID * GRID };
  mask_config c = {MASK_ZERO, ratio, GRID, true};
  int32_t *index = malloc(sizeof(int32_t) * IMAGES * ALL);
  assert_int_equal(mask_encoded_count(&c), ALL);
  assert_ok(mask_draw(&c, 3, 0, IMAGES, index));
  double kept = 0;
  int64_t least = ALL, most = 0;
  for (int64_t i = 0; i < IMAGES; i++) {
    int64_t own = 0;
    for (int64_t p = 0; p < ALL; p++) {
      int32_t v = index[i * ALL + p];
      assert_int_equal(v < 0 ? ~v : v, p);
      own += v >= 0;
    }
    kept += (double)own / IMAGES;
    least = own < least ? own : least;
    most = own > most ? own : most;
  }
  double wanted = ALL * pow(1 - 1.0 / ALL, (double)(ALL - mask_keep_count(ALL, ratio)));
  assert_true(fabs(kept - wanted) <
              0.3); /* deviation of one count below 3, of the mean below 0.07 */
  assert_true(least >= mask_keep_count(ALL, ratio) && most > least);
  free(index);
}

static void drawing_with_replacement_drops_fewer(void **state) {
  (void)state;
  check_replacement(0.5);
  check_replacement(0.75);
}

/* The largest scores, of equal ones the lower number; squares share their mean; a patch of a
 * smaller grid represents those in its place. */
static void attended_patches_are_the_largest(void **state) {
  (void)state;
  static const double scores[2][16] = {{1, 9, 2, 2, 3, 4, 2, 2, 5, 5, 7, 7, 5, 5, 7, 0},
                                       {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
  static const double coarse[4] = {0.2, 0.4, 0.1, 0.3};
  static const int32_t single[] = {1, 8, 10, 11, 14, 0, 1, 2, 3, 15};
  static const int32_t squares[] = {8, 10, 11, 14, 15, 0, 10, 11, 14, 15};
  static const int32_t placed[] = {2, 3, 6, 7, 10};
  const mask_config c = {MASK_ATTENTIVE, 1 - 5.5 / 16, 4, false}; /* five of sixteen */
  int32_t index[10];
  assert_ok(mask_keep_attended(&c, scores[0], 4, 1, 2, index));
  assert_memory_equal(index, single, sizeof single);
  /* means of the first image's squares: 4.25, 2, 5, 5.25 */
  assert_ok(mask_keep_attended(&c, scores[0], 4, 2, 2, index));
  assert_memory_equal(index, squares, sizeof squares);
  assert_ok(mask_keep_attended(&c, coarse, 2, 1, 1, index));
  assert_memory_equal(index, placed, sizeof placed);
  assert_fails_with(mask_draw(&c, 1, 0, 1, index), "chooses patches by their scores");
}

/* One patch of nine is kept in proportion to its weight: with a standard deviation of 3 / 4 those
 * are 1 in the middle, exp(-1 / 1.125) at an edge and exp(-2 / 1.125) in a corner. */
static void the_gaussian_mode_draws_by_its_weights(void **state) {
  (void)state;
  enum { SIDE = 3, ALL = SIDE * SIDE };
  mask_config c = {MASK_GAUSSIAN, 0.9, SIDE, false};
  const double edge = exp(-1 / 1.125), corner = exp(-2 / 1.125), sum = 1 + 4 * edge + 4 * corner;
  int32_t *index = malloc(sizeof(int32_t) * ROWS);
  int kept[ALL] = {0};
  assert_int_equal(mask_encoded_count(&c), 1);
  assert_ok(mask_draw(&c, 3, 0, ROWS, index));
  for (int i = 0; i < ROWS; i++) kept[index[i]]++;
  for (int i = 0; i < ALL; i++) {
    double p = (i == 4 ? 1 : i % 2 ? edge : corner) / sum;
    assert_true(fabs(kept[i] - ROWS * p) < 5 * sqrt(ROWS * p * (1 - p)));
  }
  free(index);
}

/* The 4x4 ordered dither (Bayer) from its recursion: four times that of 2x2 at the low bits, plus
 * that at the high ones. */
static int dither_of(int x, int y) {
  static const int two[2][2] = {{0, 2}, {3, 1}};
  return 4 * two[y % 2][x % 2] + two[y / 2 % 2][x / 2 % 2];
}

/* The offset by which the first `keep` of the dither give this row; -1: none. */
static int offset_of(const int32_t *row, int64_t keep) {
  for (int offset = 0; offset < 16; offset++) {
    bool is_equal = true;
    for (int64_t i = 0; i < keep; i++)
      is_equal =
          is_equal && dither_of(row[i] % 4 + offset % 4, row[i] / 4 + offset / 4) < (int)keep;
    if (is_equal) return offset;
  }
  return -1;
}

static void grid_masks_follow_the_ordered_dither(void **state) {
  (void)state;
  enum { SIDE = 4, DRAWS = 3200 };
  for (int keep = 1; keep < SIDE * SIDE; keep++) {
    mask_config c = {MASK_GRID, 1 - (keep + 0.5) / (SIDE * SIDE), SIDE, false};
    int32_t *index = malloc(sizeof(int32_t) * (size_t)(DRAWS * keep));
    int drawn[16] = {0};
    assert_int_equal(mask_encoded_count(&c), keep);
    assert_ok(mask_draw(&c, 4, 0, DRAWS, index));
    for (int i = 0; i < DRAWS; i++) {
      int offset = offset_of(index + i * keep, keep);
      assert_true(offset >= 0);
      drawn[offset]++;
    }
    for (int i = 0; i < 16 && keep == 1; i++) /* all offsets alike: 200 times, +- 5 of 13.7 */
      assert_true(abs(drawn[i] - DRAWS / 16) < 69);
    free(index);
  }
}

/* Four patches are dropped by one rectangle of area 4 if it is 2 x 2 or 3 x 2, of which the last
 * row is left out: with an aspect (log-uniform between 0.3 and 1 / 0.3) from 0.64, below which it
 * is 3 wide, to 16 / 9, above which it is 1 wide. Other shapes leave no square. */
static void blocks_have_the_aspect_of_beits_rule(void **state) {
  (void)state;
  int64_t keep, squares = 0;
  int32_t *index = draw(MASK_BLOCK, 4. / PATCHES, 9, 0, ROWS, &keep);
  assert_int_equal(keep, PATCHES - 4);
  for (int64_t row = 0; row < ROWS; row++) {
    bool is_kept[PATCHES] = {false};
    int first = 0;
    for (int64_t i = 0; i < keep; i++) is_kept[index[row * keep + i]] = true;
    while (is_kept[first]) first++;
    squares += first % GRID < GRID - 1 && first < PATCHES - GRID && !is_kept[first + 1] &&
               !is_kept[first + GRID] && !is_kept[first + GRID + 1];
  }
  double p = log(16. / 9 / 0.64) / (2 * log(1 / 0.3));
  assert_true(fabs((double)squares - ROWS * p) < 5 * sqrt(ROWS * p * (1 - p)));
  free(index);
}

/* Four patches a side at three scores: the centres 1/8, 3/8, 5/8 and 7/8 lie in the thirds 0, 1, 1
 * and 2. */
static void a_patch_has_the_score_at_its_centre(void **state) {
  (void)state;
  const double middle[9] = {0, 1, 8, 3, 9, 4, 2, 5, 6}, bottom[9] = {0, 1, 2, 3, 4, 5, 9, 8, 7};
  static const int32_t of_middle[] = {3, 5, 6, 9, 10}, of_bottom[] = {7, 12, 13, 14, 15};
  const mask_config c = {MASK_ATTENTIVE, 1 - 5.5 / 16, 4, false};
  int32_t index[5];
  assert_ok(mask_keep_attended(&c, middle, 3, 1, 1, index));
  assert_memory_equal(index, of_middle, sizeof of_middle);
  assert_ok(mask_keep_attended(&c, bottom, 3, 1, 1, index));
  assert_memory_equal(index, of_bottom, sizeof of_bottom);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_keep_count_is_the_released_codes),
      cmocka_unit_test(rows_are_ascending_without_repeats_in_every_mode),
      cmocka_unit_test(random_masks_are_uniform_without_replacement),
      cmocka_unit_test(masks_of_different_images_are_independent),
      cmocka_unit_test(a_mask_depends_on_seed_and_sample_alone),
      cmocka_unit_test(zero_mode_lists_every_patch_and_marks_the_dropped),
      cmocka_unit_test(blocks_are_of_neighbours),
      cmocka_unit_test(gaussian_keeps_the_centre_more_often_and_grid_spreads),
      cmocka_unit_test(the_density_mode_is_glips_rule),
      cmocka_unit_test(a_kept_block_is_one_rectangle),
      cmocka_unit_test(drawing_with_replacement_drops_fewer),
      cmocka_unit_test(attended_patches_are_the_largest),
      cmocka_unit_test(the_gaussian_mode_draws_by_its_weights),
      cmocka_unit_test(grid_masks_follow_the_ordered_dither),
      cmocka_unit_test(blocks_have_the_aspect_of_beits_rule),
      cmocka_unit_test(a_patch_has_the_score_at_its_centre),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
