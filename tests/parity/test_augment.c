/* RandAugment's operations against Pillow's pixels and timm's arguments (make_augment_fixture.py),
 * and how often each is drawn. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "image/augment.h"
#include "train/safetensors.h"

enum { SIZE = 24, BYTES = SIZE * SIZE * 3, MAGNITUDES = 2, IMAGES = 2 };

static safetensors_file *file;

static const void *data_of(const char *name) {
  const safetensor *t = safetensors_find(file, name);
  if (!t) fail_msg("the fixture has no %s", name);
  return t->data;
}

static int open_file(void **state) {
  (void)state;
  err error = safetensors_open(FLIP_SOURCE_DIR "/tests/parity/fixtures/augment.safetensors", &file);
  return error != NULL;
}

static int close_file(void **state) {
  (void)state;
  safetensors_close(file);
  return 0;
}

static void every_operation_gives_pillows_pixels(void **state) {
  (void)state;
  const double *magnitudes = data_of("magnitudes"), *arguments = data_of("arguments");
  const uint8_t *images = data_of("images"), *wanted = data_of("augmented"),
                *fill = data_of("fill");
  uint8_t pixels[BYTES];
  int64_t at = 0;
  for (int operation = 0; operation < AUGMENT_OPERATIONS; operation++)
    for (int m = 0; m < MAGNITUDES; m++)
      for (int negative = 0; negative < 2; negative++, at++) {
        double argument =
            augment_argument((augment_operation)operation, magnitudes[m], negative == 1);
        if (!(fabs(argument - arguments[at]) <= 1e-12))
          fail_msg("operation %d, magnitude %g: argument %g, timm has %g", operation, magnitudes[m],
                   argument, arguments[at]);
        for (int i = 0; i < IMAGES; i++) {
          memcpy(pixels, images + i * BYTES, BYTES);
          assert_ok(augment_apply((augment_operation)operation, argument, fill, SIZE, pixels));
          const uint8_t *theirs = wanted + (at * IMAGES + i) * BYTES;
          for (int p = 0; p < BYTES; p++)
            if (pixels[p] != theirs[p])
              fail_msg("operation %d, magnitude %g, image %d, pixel %d (%d, %d): %d, Pillow has %d",
                       operation, magnitudes[m], i, p, p / 3 % SIZE, p / 3 / SIZE, pixels[p],
                       theirs[p]);
        }
      }
}

/* Half of the draws do nothing, so with one operation about half of the images stay; equal seeds
 * draw equally. Of 2000 draws the deviation is 22, and a few operations may change nothing. */
static void half_of_the_draws_are_applied(void **state) {
  (void)state;
  const uint8_t *images = data_of("images");
  const rand_augment one = {9, 0.5, 1, {124, 116, 104}}, none = {0, 0.5, 2, {0}};
  uint8_t pixels[BYTES], again[BYTES];
  int changed = 0;
  for (uint64_t i = 0; i < 2000; i++) {
    rng a = rng_at(1, RNG_TEST, 0, i), b = a;
    memcpy(pixels, images, BYTES);
    memcpy(again, images, BYTES);
    assert_ok(rand_augment_image(&one, &a, SIZE, pixels));
    assert_ok(rand_augment_image(&one, &b, SIZE, again));
    assert_memory_equal(pixels, again, BYTES);
    changed += memcmp(pixels, images, BYTES) != 0;
  }
  if (changed < 850 || changed > 1110) fail_msg("%d of 2000 images changed", changed);
  rng a = rng_at(1, RNG_TEST, 0, 0);
  memcpy(pixels, images, BYTES);
  assert_ok(rand_augment_image(&none, &a, SIZE, pixels));
  assert_memory_equal(pixels, images, BYTES);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_operation_gives_pillows_pixels),
      cmocka_unit_test(half_of_the_draws_are_applied),
  };
  return cmocka_run_group_tests(tests, open_file, close_file);
}
