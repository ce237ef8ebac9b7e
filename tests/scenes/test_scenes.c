#include "support/test.h"

#include <stdlib.h>

#include "scenes/scene_plan.h"
#include "scenes/scenes.h"

enum { SIDE = 32, BYTES = SIDE * SIDE * 3, SCENES = 5000 };

static bool is_pair_heldout(const char *combo) {
  char name[SCENE_COMBO_SIZE];
  for (int32_t s = 0; s < SCENE_SHAPES; s++)
    for (int32_t c = 0; c < SCENE_COLORS; c++) {
      snprintf(name, sizeof name, "%s %s", scenes_color_name(c), scenes_shape_name(s));
      if (!strcmp(name, combo)) return scenes_is_heldout(s, c);
    }
  fail_msg("'%s' is not a colour and a shape", combo);
  return false;
}

static void a_scene_depends_on_seed_split_and_index_alone(void **state) {
  (void)state;
  for (int64_t i = 0; i < 50; i++) {
    scene a, b, other[3];
    assert_ok(scenes_draw(7, i, false, SIDE, &a));
    assert_ok(scenes_draw(8, i, false, SIDE, &other[0]));
    assert_ok(scenes_draw(7, i + 1, false, SIDE, &other[1]));
    assert_ok(scenes_draw(7, i, true, SIDE, &other[2]));
    assert_ok(scenes_draw(7, i, false, SIDE, &b));
    assert_memory_equal(a.pixels, b.pixels, BYTES);
    assert_string_equal(a.caption, b.caption);
    assert_string_equal(a.combo, b.combo);
    for (int k = 0; k < 3; k++) {
      assert_memory_not_equal(a.pixels, other[k].pixels, BYTES);
      scene_free(&other[k]);
    }
    scene_free(&a);
    scene_free(&b);
  }
}

static void the_size_changes_neither_caption_nor_labels(void **state) {
  (void)state;
  for (int64_t i = 0; i < 20; i++) {
    scene small, large;
    assert_ok(scenes_draw(7, i, false, SCENE_SIZE_MIN, &small));
    assert_ok(scenes_draw(7, i, false, 96, &large));
    assert_string_equal(small.caption, large.caption);
    assert_string_equal(small.combo, large.combo);
    scene_free(&small);
    scene_free(&large);
  }
}

static void captions_and_labels_agree_and_splits_share_no_main_pair(void **state) {
  (void)state;
  for (int64_t i = 0; i < SCENES; i++) {
    scene s;
    bool is_heldout = i % 5 == 4;
    assert_ok(scenes_draw(3, i, is_heldout, SCENE_SIZE_MIN, &s));
    assert_int_equal(is_pair_heldout(s.combo), is_heldout);
    char expected[SCENE_COMBO_SIZE];
    snprintf(expected, sizeof expected, "%s %s", s.color, s.shape);
    assert_string_equal(s.combo, expected);
    const char *said = strstr(s.caption, s.combo); /* also the start of the plural */
    if (!said) fail_msg("'%s' does not say '%s'", s.caption, s.combo);
    scene_free(&s);
  }
}

/* Looks for any held-out pair in the words of a training caption: the second objects' too. */
static void training_captions_never_name_a_heldout_pair(void **state) {
  (void)state;
  for (int64_t i = 0; i < SCENES; i++) {
    scene s;
    assert_ok(scenes_draw(11, i, false, SCENE_SIZE_MIN, &s));
    for (int32_t shape = 0; shape < SCENE_SHAPES; shape++)
      for (int32_t color = 0; color < SCENE_COLORS; color++) {
        if (!scenes_is_heldout(shape, color)) continue;
        char name[SCENE_COMBO_SIZE];
        snprintf(name, sizeof name, "%s %s", scenes_color_name(color), scenes_shape_name(shape));
        if (strstr(s.caption, name)) fail_msg("scene %ld: '%s'", (long)i, s.caption);
      }
    scene_free(&s);
  }
}

static void every_pair_appears_in_its_split(void **state) {
  (void)state;
  char seen[2][SCENE_SHAPES * SCENE_COLORS][SCENE_COMBO_SIZE];
  int count[2] = {0, 0};
  for (int64_t i = 0; i < SCENES; i++) {
    scene s;
    int split = i % 3 == 0;
    assert_ok(scenes_draw(5, i, split, SCENE_SIZE_MIN, &s));
    int k = 0;
    while (k < count[split] && strcmp(seen[split][k], s.combo)) k++;
    if (k == count[split]) memcpy(seen[split][count[split]++], s.combo, sizeof s.combo);
    scene_free(&s);
  }
  assert_int_equal(count[0], 96);
  assert_int_equal(count[1], 24);
}

/* Each shape covers a fair part of its square, stays within it and differs from every other. */
static void shapes_fill_their_square_and_differ(void **state) {
  (void)state;
  enum { STEPS = 100 };
  for (int32_t shape = 0; shape < SCENE_SHAPES; shape++) {
    int inside = 0, different[SCENE_SHAPES] = {0};
    for (int i = 0; i < STEPS * STEPS; i++) {
      double x = (i % STEPS + 0.5) / STEPS * 4 - 2, y = (i / STEPS + 0.5) / STEPS * 4 - 2;
      bool is_inside = scene_shape_contains(shape, x, y);
      if (is_inside) assert_true(x * x + y * y < 1.25 * 1.25);
      inside += is_inside;
      for (int32_t other = 0; other < SCENE_SHAPES; other++)
        different[other] += is_inside != scene_shape_contains(other, x, y);
    }
    assert_in_range(inside, STEPS * STEPS / 32, STEPS * STEPS / 4);
    for (int32_t other = 0; other < SCENE_SHAPES; other++)
      if (other != shape) assert_true(different[other] > 40);
  }
}

static void impossible_requests_are_refused(void **state) {
  (void)state;
  scene s;
  assert_fails_with(scenes_draw(1, -1, false, SIDE, &s), "negative");
  assert_fails_with(scenes_draw(1, 0, false, SCENE_SIZE_MIN - 1, &s), "must be in");
  assert_fails_with(scenes_draw(1, 0, false, SCENE_SIZE_MAX + 1, &s), "must be in");
  scene_free(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_scene_depends_on_seed_split_and_index_alone),
      cmocka_unit_test(the_size_changes_neither_caption_nor_labels),
      cmocka_unit_test(captions_and_labels_agree_and_splits_share_no_main_pair),
      cmocka_unit_test(training_captions_never_name_a_heldout_pair),
      cmocka_unit_test(every_pair_appears_in_its_split),
      cmocka_unit_test(shapes_fill_their_square_and_differ),
      cmocka_unit_test(impossible_requests_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
