/* Corrupted images against scipy's blur, Pillow's JPEG and numpy's contrast; noise and occlusion by
 * what they must be. make_corrupt_fixture.py made the fixture. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "image/corrupt.h"
#include "train/safetensors.h"

enum { SIDE = 64, BYTES = SIDE * SIDE * 3 };

static safetensors_file *file;
static uint8_t pixels[BYTES];

static const uint8_t *data_of(const char *name) {
  const safetensor *t = safetensors_find(file, name);
  if (!t) fail_msg("the fixture has no %s", name);
  return t->data;
}

static int open_file(void **state) {
  (void)state;
  err error = safetensors_open(FLIP_SOURCE_DIR "/tests/parity/fixtures/corrupt.safetensors", &file);
  return error != NULL;
}

static int close_file(void **state) {
  (void)state;
  safetensors_close(file);
  return 0;
}

/* All five strengths; `most`: levels that one value may be apart, `apart`: values that may be. */
static void compare(corrupt_kind kind, const char *name, int most, int apart) {
  const uint8_t *wanted = data_of(name);
  for (int strength = 1; strength <= CORRUPT_STRENGTHS; strength++, wanted += BYTES) {
    const image_corruption c = {kind, strength};
    int changed = 0, others = 0;
    memcpy(pixels, data_of("picture"), BYTES);
    assert_ok(corrupt_image(&c, 7, SIDE, pixels));
    for (int i = 0; i < BYTES; i++) {
      changed += pixels[i] != data_of("picture")[i];
      others += pixels[i] != wanted[i];
      if (abs(pixels[i] - wanted[i]) > most)
        fail_msg("%s %d: value %d is %d, not %d", name, strength, i, pixels[i], wanted[i]);
    }
    if (others > apart) fail_msg("%s %d: %d values differ", name, strength, others);
    assert_true(changed > (strength == 1 ? 0 : BYTES / 4)); /* 0.29 pixels of blur are little */
  }
}

/* Ours sums in double and keeps fp32 between the passes; scipy keeps double: a rounding apart where
 * the value is at a half. Strength 1 changes 56 values of the picture. */
static void blur_is_scipys(void **state) {
  (void)state;
  compare(CORRUPT_BLUR, "blur", 1, 5);
}

/* Both are libjpeg-turbo; versions may differ in how they upsample colour. */
static void jpeg_is_pillows(void **state) {
  (void)state;
  compare(CORRUPT_JPEG, "jpeg", 3, BYTES / 10);
}

static void contrast_is_numpys(void **state) {
  (void)state;
  compare(CORRUPT_CONTRAST, "contrast", 1, 5);
}

static void noise_has_the_deviation_of_its_strength(void **state) {
  (void)state;
  static const double deviations[] = {0.08, 0.12, 0.18, 0.26, 0.38};
  uint8_t again[BYTES];
  for (int strength = 1; strength <= CORRUPT_STRENGTHS; strength++) {
    const image_corruption c = {CORRUPT_NOISE, strength};
    double inside = 0, deviation = 255 * deviations[strength - 1];
    double sum = 0;
    memset(pixels, 128, BYTES);
    memset(again, 128, BYTES);
    assert_ok(corrupt_image(&c, 3, SIDE, pixels));
    assert_ok(corrupt_image(&c, 3, SIDE, again));
    assert_memory_equal(pixels, again, BYTES);
    memset(again, 128, BYTES);
    assert_ok(corrupt_image(&c, 4, SIDE, again));
    assert_memory_not_equal(pixels, again, BYTES);
    for (int i = 0; i < BYTES; i++) {
      sum += pixels[i] - 128.0;
      inside += fabs(pixels[i] - 128.0) <= deviation;
    }
    /* 68.27 % are within one deviation (and a rounding), which clipping at 0 and 255 leaves alone;
     * five standard errors of 12,288 values are 2.1 %, of their mean 5 / sqrt(12288) deviations */
    assert_true(fabs(inside / BYTES - 0.6827) < 0.021 + 0.5 / deviation);
    assert_true(fabs(sum / BYTES) < 5 * deviation / sqrt(BYTES));
  }
}

static void occlusion_covers_its_share_with_one_square(void **state) {
  (void)state;
  static const double shares[] = {0.1, 0.2, 0.3, 0.4, 0.5};
  for (int strength = 1; strength <= CORRUPT_STRENGTHS; strength++)
    for (int index = 0; index < 8; index++) {
      const image_corruption c = {CORRUPT_OCCLUSION, strength};
      int grey = 0, side = (int)(SIDE * sqrt(shares[strength - 1]) + 0.5), first = -1, last = -1;
      memset(pixels, 7, BYTES);
      assert_ok(corrupt_image(&c, index, SIDE, pixels));
      for (int i = 0; i < SIDE * SIDE; i++) {
        if (pixels[3 * i] != 128) continue;
        grey++;
        if (first < 0) first = i;
        last = i;
      }
      assert_int_equal(grey, side * side);
      assert_int_equal(last - first, (side - 1) * SIDE + side - 1);
    }
}

static void open_kinds_and_strengths_go_in_turn(void **state) {
  (void)state;
  const image_corruption all = {CORRUPT_ALL, 0}, kind = {CORRUPT_JPEG, 0}, none = {0};
  int seen[CORRUPT_KINDS][CORRUPT_STRENGTHS + 1] = {{0}};
  for (int i = 50; i < 75; i++) {
    image_corruption own = corrupt_choose(&all, i);
    assert_in_range(own.kind, 1, CORRUPT_KINDS - 1);
    assert_in_range(own.strength, 1, CORRUPT_STRENGTHS);
    assert_int_equal(seen[own.kind][own.strength]++, 0);
    assert_int_equal(corrupt_choose(&kind, i).kind, CORRUPT_JPEG);
    assert_int_equal(corrupt_choose(&kind, i).strength, 1 + i % 5);
  }
  memset(pixels, 9, BYTES);
  assert_ok(corrupt_image(&none, 5, SIDE, pixels));
  for (int i = 0; i < BYTES; i++) assert_int_equal(pixels[i], 9);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(blur_is_scipys),
      cmocka_unit_test(jpeg_is_pillows),
      cmocka_unit_test(contrast_is_numpys),
      cmocka_unit_test(noise_has_the_deviation_of_its_strength),
      cmocka_unit_test(occlusion_covers_its_share_with_one_square),
      cmocka_unit_test(open_kinds_and_strengths_go_in_turn),
  };
  return cmocka_run_group_tests(tests, open_file, close_file);
}
