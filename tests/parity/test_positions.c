/* Resized position grids against torch's. make_positions_fixture.py made the fixture. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "model/positions.h"
#include "train/safetensors.h"

static void grids_are_resized_as_torch_does(void **state) {
  (void)state;
  safetensors_file *file;
  int compared = 0;
  assert_ok(
      safetensors_open(FLIP_SOURCE_DIR "/tests/parity/fixtures/positions.safetensors", &file));
  for (size_t i = 0; i < safetensors_count(file); i++) {
    const safetensor *from = safetensors_at(file, i);
    char name[64];
    if (strncmp(from->name, "from.", 5) != 0) continue;
    snprintf(name, sizeof name, "to.%s", from->name + 5);
    const safetensor *to = safetensors_find(file, name);
    int64_t rows = to->shape[0], width = to->shape[1], old = from->shape[0];
    /* without and with a class token, whose row stays as it is */
    for (int has_class = 0; has_class < 2; has_class++) {
      float *source = calloc((size_t)((old + 1) * width), 4);
      float *ours = calloc((size_t)((rows + 1) * width), 4);
      for (int64_t j = 0; j < width; j++) source[j] = (float)j + 0.25f;
      memcpy(source + has_class * width, from->data, from->bytes);
      assert_ok(
          positions_resize(source, old + has_class, has_class, width, rows + has_class, ours));
      if (has_class) assert_memory_equal(ours, source, (size_t)width * 4);
      const float *wanted = to->data;
      for (int64_t j = 0; j < rows * width; j++) /* both in double, rounded once: an ulp of ~2 */
        assert_true(fabsf(ours[has_class * width + j] - wanted[j]) < 1e-6f);
      free(source);
      free(ours);
      compared++;
    }
  }
  assert_int_equal(compared, 12);
  safetensors_close(file);
}

static void what_is_no_square_is_refused(void **state) {
  (void)state;
  float from[10] = {0}, to[16];
  assert_fails_with(positions_resize(from, 5, false, 1, 4, to), "not square grids");
  assert_fails_with(positions_resize(from, 4, true, 1, 5, to), "not square grids");
  assert_fails_with(positions_resize(from, 1, true, 1, 5, to), "not square grids");
  assert_ok(positions_resize(from, 5, true, 1, 10, to));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(grids_are_resized_as_torch_does),
      cmocka_unit_test(what_is_no_square_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
