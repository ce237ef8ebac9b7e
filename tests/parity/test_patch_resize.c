/* Patch embeddings of another patch size against timm's. make_patch_resize_fixture.py made the
 * fixture. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "model/patch_resize.h"
#include "train/safetensors.h"

static void patches_are_resized_as_timm_does(void **state) {
  (void)state;
  safetensors_file *file;
  int compared = 0;
  assert_ok(
      safetensors_open(FLIP_SOURCE_DIR "/tests/parity/fixtures/patch_resize.safetensors", &file));
  for (size_t i = 0; i < safetensors_count(file); i++) {
    const safetensor *from = safetensors_at(file, i);
    char name[64];
    if (strncmp(from->name, "from.", 5) != 0) continue;
    snprintf(name, sizeof name, "to.%s", from->name + 5);
    const safetensor *to = safetensors_find(file, name);
    int64_t count = to->shape[0] * to->shape[1];
    const float *wanted = to->data;
    float *ours = calloc((size_t)count, 4);
    assert_ok(patch_resize(from->data, from->shape[0], from->shape[1], to->shape[1], ours));
    /* timm's resize is a float matrix, whose rounding (6e-8) its pseudo-inverse amplifies */
    for (int64_t j = 0; j < count; j++)
      assert_true(fabsf(ours[j] - wanted[j]) < 2e-5f * (1 + fabsf(wanted[j])));
    free(ours);
    compared++;
  }
  assert_int_equal(compared, 5);
  safetensors_close(file);
}

/* Growing loses nothing: a patch and its enlarged copy have the same product. */
static void a_constant_patch_keeps_its_product(void **state) {
  (void)state;
  float from[3 * 16], to[3 * 36];
  double before = 0, after = 0;
  for (int i = 0; i < 3 * 16; i++) before += from[i] = (float)sin(i);
  assert_ok(patch_resize(from, 1, 3 * 16, 3 * 36, to));
  for (int i = 0; i < 3 * 36; i++) after += to[i];
  assert_true(fabs(before - after) < 1e-5);
}

static void what_is_no_square_is_refused(void **state) {
  (void)state;
  float from[12] = {0}, to[27];
  assert_fails_with(patch_resize(from, 1, 11, 27, to), "not 3 squares");
  assert_fails_with(patch_resize(from, 1, 12, 24, to), "not 3 squares");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(patches_are_resized_as_timm_does),
      cmocka_unit_test(a_constant_patch_keeps_its_product),
      cmocka_unit_test(what_is_no_square_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
