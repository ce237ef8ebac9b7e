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

/* All images that one draw of magnitude 9 may make of the first image of the fixture. */
typedef struct {
  uint8_t pixels[AUGMENT_OPERATIONS][2][BYTES]; /* positive, negative */
  int drawn[AUGMENT_OPERATIONS][2], unchanged;
} outcomes;

static void make_outcomes(const rand_augment *a, const uint8_t *image, outcomes *o) {
  memset(o, 0, sizeof *o);
  for (int operation = 0; operation < AUGMENT_OPERATIONS; operation++)
    for (int negative = 0; negative < 2; negative++) {
      augment_operation own = (augment_operation)operation;
      double argument = augment_argument(own, a->magnitude, negative == 1);
      memcpy(o->pixels[operation][negative], image, BYTES);
      assert_ok(augment_apply(own, argument, a->fill, SIZE, o->pixels[operation][negative]));
    }
}

/* Counts the first operation that gives these pixels, of an operation without a sign as positive.
 */
static void count_outcome(outcomes *o, const uint8_t *image, const uint8_t *pixels) {
  if (!memcmp(pixels, image, BYTES)) {
    o->unchanged++;
    return;
  }
  for (int i = 0; i < AUGMENT_OPERATIONS * 2; i++)
    if (!memcmp(pixels, o->pixels[i / 2][i % 2], BYTES)) {
      o->drawn[i / 2][i % 2]++;
      return;
    }
  fail_msg("an image that no operation of this magnitude gives");
}

static const uint8_t *draw(const rand_augment *a, uint64_t index, uint8_t *pixels) {
  rng random = rng_at(1, RNG_TEST, 0, index);
  memcpy(pixels, data_of("images"), BYTES);
  assert_ok(rand_augment_image(a, &random, SIZE, pixels));
  return pixels;
}

/* 6000 draws, half of them applied: 200 of an operation (deviation 14), 100 of either sign (10), if
 * the image shows it; five deviations are allowed. Equal seeds draw equally. */
static void every_operation_and_sign_is_drawn_as_often(void **state) {
  (void)state;
  enum { DRAWS = 6000 };
  static outcomes o;
  const uint8_t *image = data_of("images");
  const rand_augment one = {9, 0, 1, {124, 116, 104}};
  uint8_t pixels[BYTES], again[BYTES];
  int seen = 0;
  make_outcomes(&one, image, &o);
  for (uint64_t i = 0; i < DRAWS; i++) {
    count_outcome(&o, image, draw(&one, i, pixels));
    if (i < 100) assert_memory_equal(draw(&one, i, again), pixels, BYTES);
  }
  for (int operation = 0; operation < AUGMENT_OPERATIONS; operation++) {
    const int *drawn = o.drawn[operation];
    bool is_signed = memcmp(o.pixels[operation][0], o.pixels[operation][1], BYTES) != 0;
    if (!memcmp(o.pixels[operation][0], image, BYTES)) continue; /* e.g. of full contrast already */
    seen++;
    if (abs(drawn[0] + drawn[1] - 200) > 70 || (is_signed && abs(drawn[0] - drawn[1]) > 71))
      fail_msg("operation %d was drawn %d times, %d negative", operation, drawn[0] + drawn[1],
               drawn[1]);
  }
  assert_true(seen >= AUGMENT_OPERATIONS - 2);
  assert_true(o.unchanged >= DRAWS / 2 - 5 * 39); /* and those of operations that change nothing */
  assert_true(o.unchanged <= DRAWS / 2 + 200 * (AUGMENT_OPERATIONS - seen) + 5 * 40);
}

/* With a deviation of 0.5 most magnitudes are others, with none of magnitude nothing is done, and
 * two operations change three quarters of the images. */
static void magnitudes_and_numbers_of_operations_are_obeyed(void **state) {
  (void)state;
  static const uint8_t fill[3] = {124, 116, 104};
  const uint8_t *image = data_of("images");
  rand_augment one = {9, 0, 1, {0}}, varied = {9, 0.5, 1, {0}}, two = {9, 0, 2, {0}};
  const rand_augment none = {0, 0.5, 2, {0}};
  uint8_t pixels[BYTES], other[BYTES];
  int apart = 0, by_one = 0, by_two = 0;
  memcpy(one.fill, fill, 3), memcpy(varied.fill, fill, 3), memcpy(two.fill, fill, 3);
  for (uint64_t i = 0; i < 1000; i++) {
    draw(&one, i, pixels);
    by_one += memcmp(pixels, image, BYTES) != 0;
    apart += memcmp(pixels, draw(&varied, i, other), BYTES) != 0;
    by_two += memcmp(draw(&two, i, other), image, BYTES) != 0;
  }
  if (apart < 250 || apart > by_one)
    fail_msg("%d of %d images have another magnitude", apart, by_one);
  if (by_one < 400 || by_one > 580) fail_msg("one operation changed %d of 1000 images", by_one);
  if (by_two < 620 || by_two > 820) fail_msg("two operations changed %d of 1000 images", by_two);
  assert_memory_equal(draw(&none, 0, pixels), image, BYTES);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_operation_gives_pillows_pixels),
      cmocka_unit_test(every_operation_and_sign_is_drawn_as_often),
      cmocka_unit_test(magnitudes_and_numbers_of_operations_are_obeyed),
  };
  return cmocka_run_group_tests(tests, open_file, close_file);
}
