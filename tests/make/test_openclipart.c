/* Packing drawings: which go where. */
#include "make/openclipart.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/rng.h"
#include "image/shrink.h"
#include "support/folder.h"
#include "support/test.h"

enum { COARSE = 6, LARGE = 96, SMALL = 64, PAIRS = 150 };

static void write_drawing(const char *name, const image *picture) {
  char path[128];
  uint8_t *bytes;
  size_t size;
  snprintf(path, sizeof path, "png/all/%s.png", name);
  assert_ok(shrink_encode_png(picture, &bytes, &size));
  assert_ok(fs_write_atomic(path, bytes, size));
  free(bytes);
}

/* A drawing of random colours that flow into each other, and the same one at SMALL pixels, which
 * is how both look when they are compared. */
static void write_pair(int number) {
  image coarse, large, small;
  char name[32];
  assert_ok(image_allocate(COARSE, COARSE, &coarse));
  rng random = rng_at(7, RNG_INIT, 0, (uint64_t)number);
  for (int i = 0; i < COARSE * COARSE * 3; i++) coarse.pixels[i] = (uint8_t)rng_u32(&random);
  assert_ok(shrink_stretch(&coarse, LARGE, LARGE, &large));
  assert_ok(shrink_stretch(&large, SMALL, SMALL, &small));
  snprintf(name, sizeof name, "cat%c%c", 'a' + number / 26, 'a' + number % 26);
  write_drawing(name, &large);
  snprintf(name, sizeof name, "dog%c%c", 'a' + number / 26, 'a' + number % 26);
  write_drawing(name, &small);
  image_free(&coarse);
  image_free(&large);
  image_free(&small);
}

static void drawings_that_look_alike_are_on_one_side(void **state) {
  (void)state;
  openclipart_result result;
  assert_ok(fs_make_folders("png/all"));
  for (int i = 0; i < PAIRS; i++) write_pair(i);
  const openclipart_options options = {
      .source = ".", .out = "out", .size = LARGE, .shard_size = 1000, .heldout = 0.5};
  assert_ok(openclipart_pack(&options, &result));
  assert_int_equal(result.drawings, 2 * PAIRS);
  assert_int_equal(result.skipped, 0);
  assert_true(result.heldout > PAIRS / 4 && result.heldout < PAIRS);
  /* of a held-out pair one is left out; both of a pair in training are kept, by their captions */
  assert_int_equal(result.duplicates, result.heldout);
  assert_int_equal(result.train, 2 * (PAIRS - result.heldout));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(drawings_that_look_alike_are_on_one_side, enter_folder,
                                      leave_folder),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
