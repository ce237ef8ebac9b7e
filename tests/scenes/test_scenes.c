#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/processor.h"
#include "base/rng.h"
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
    assert_ok(scenes_draw(&(scene_set){1, 7, false}, i, SIDE, &a));
    assert_ok(scenes_draw(&(scene_set){1, 8, false}, i, SIDE, &other[0]));
    assert_ok(scenes_draw(&(scene_set){1, 7, false}, i + 1, SIDE, &other[1]));
    assert_ok(scenes_draw(&(scene_set){1, 7, true}, i, SIDE, &other[2]));
    assert_ok(scenes_draw(&(scene_set){1, 7, false}, i, SIDE, &b));
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
    assert_ok(scenes_draw(&(scene_set){1, 7, false}, i, SCENE_SIZE_MIN, &small));
    assert_ok(scenes_draw(&(scene_set){1, 7, false}, i, 96, &large));
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
    assert_ok(scenes_draw(&(scene_set){1, 3, is_heldout}, i, SCENE_SIZE_MIN, &s));
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
    assert_ok(scenes_draw(&(scene_set){1, 11, false}, i, SCENE_SIZE_MIN, &s));
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
    assert_ok(scenes_draw(&(scene_set){1, 5, split}, i, SCENE_SIZE_MIN, &s));
    int k = 0;
    while (k < count[split] && strcmp(seen[split][k], s.combo)) k++;
    if (k == count[split]) memcpy(seen[split][count[split]++], s.combo, sizeof s.combo);
    scene_free(&s);
  }
  assert_int_equal(count[0], 96);
  assert_int_equal(count[1], 24);
}

/* Version 2: the caption begins with the labelled group, and neither it nor a distraction is of a
 * held-out pair in training; all labels are made of the same words. */
static void version_two_says_what_its_labels_say(void **state) {
  (void)state;
  int several = 0, three = 0;
  for (int64_t i = 0; i < SCENES; i++) {
    scene s;
    bool is_heldout = i % 5 == 4;
    char expected[SCENE_WORDS_SIZE], plural[SCENE_COMBO_SIZE + 8];
    assert_ok(scenes_tell(&(scene_set){2, 3, is_heldout}, i, &s));
    assert_int_equal(is_pair_heldout(s.combo), is_heldout);
    const char *said = strstr(s.caption, s.combo);
    if (!said) fail_msg("'%s' does not say '%s'", s.caption, s.combo);
    snprintf(plural, sizeof plural, "%s%s", s.combo,
             !strcmp(s.shape, "cross") || !strcmp(s.shape, "arch") ? "es" : "s");
    bool is_one = !strcmp(s.count, "one");
    if (!is_one) said = strstr(s.caption, plural);
    if (!said) fail_msg("'%s' does not say '%s'", s.caption, plural);
    if (!is_one) assert_non_null(strstr(s.caption, s.count));
    snprintf(expected, sizeof expected, "%s %s %s", s.count, s.texture, is_one ? s.combo : plural);
    assert_string_equal(s.whole, expected);
    several += !is_one;
    three += strstr(s.caption, " between ") != NULL;
    for (int32_t shape = 0; shape < SCENE_SHAPES && !is_heldout; shape++)
      for (int32_t color = 0; color < SCENE_COLORS; color++) {
        if (!scenes_is_heldout(shape, color)) continue;
        char name[SCENE_COMBO_SIZE];
        snprintf(name, sizeof name, "%s %s", scenes_color_name(color), scenes_shape_name(shape));
        if (strstr(s.caption, name)) fail_msg("scene %ld: '%s'", (long)i, s.caption);
      }
    scene_free(&s);
  }
  assert_in_range(several, SCENES / 3, SCENES * 2 / 3); /* 0.4 × 4/5 + 0.4 × 1/2 = 0.52 */
  assert_in_range(three, SCENES / 7, SCENES / 4);
}

/* What a version draws never changes: recorded runs name it by `scenes:SEED`. */
static void a_version_draws_what_it_always_drew(void **state) {
  (void)state;
  static const char *const wanted[SCENE_VERSIONS] = {"bd5c3db7b29a681743836148417e8692",
                                                     "2134e4ff72309e46bf596f193d64af56"};
  for (int version = 1; version <= SCENE_VERSIONS; version++) {
    char digest[HASH_SIZE];
    hash_state *h = hash_begin();
    for (int64_t i = 0; i < 40; i++) {
      scene s;
      assert_ok(scenes_draw(&(scene_set){version, 5, i % 4 == 3}, i, 64, &s));
      hash_add(h, s.caption, strlen(s.caption) + 1);
      hash_add(h, s.pixels, 64 * 64 * 3);
      scene_free(&s);
    }
    hash_finish(h, digest);
    assert_string_equal(digest, wanted[version - 1]);
  }
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

/* The quick answers near a shape's centre and far from it agree with the shape's own edge: between
 * the edge and each bound there is a gap, in which the shape itself answers. */
static void quick_answers_keep_clear_of_the_edges(void **state) {
  (void)state;
  enum { STEPS = 20000 };
  for (int32_t shape = 0; shape < SCENE_SHAPES; shape++) {
    const scene_bounds b = scene_shape_bounds(shape);
    for (int i = 0; i < STEPS; i++) {
      double angle = 6.283185307179586 * i / STEPS, x = cos(angle), y = sin(angle);
      double outside = b.outer - 1e-3, inside = b.inner + 1e-3;
      assert_false(scene_shape_contains(shape, outside * x, outside * y));
      if (b.inner > 0) assert_true(scene_shape_contains(shape, inside * x, inside * y));
    }
  }
}

typedef void contain(int32_t shape, int count, const double *x, const double *y, int64_t *inside);

/* This processor's variant, many points at a time, gives what the definition gives for each; on
 * edges and at corners too. */
static void points_of_many_are_inside_as_each_is(void **state) {
  (void)state;
  enum { POINTS = 288, TIMES = 400 };
#define DECLARE(suffix, name) contain scene_##suffix##_contain;
#define LIST(suffix, name) scene_##suffix##_contain,
  PROCESSOR_VARIANTS(DECLARE)
  static contain *const all[] = {PROCESSOR_VARIANTS(LIST)};
#undef DECLARE
#undef LIST
  for (int32_t shape = 0; shape < SCENE_SHAPES; shape++) {
    rng random = rng_at(1, RNG_TEST, 0, (uint64_t)shape);
    const scene_polygon p = scene_shape_polygon(shape);
    const scene_regular *r = scene_shape_regular(shape);
    const scene_point *corners = r ? r->corners : p.corners;
    size_t count = r ? (size_t)r->sides : p.count;
    for (int time = 0; time < TIMES; time++) {
      double x[POINTS], y[POINTS];
      int64_t inside[POINTS];
      int points = 1 + time % POINTS;
      for (int i = 0; i < points; i++) {
        double share = rng_below(&random, 3) * rng_double(&random) / 2;
        x[i] = 2.4 * rng_double(&random) - 1.2, y[i] = 2.4 * rng_double(&random) - 1.2;
        if (!corners || time % 2) continue;
        scene_point from = corners[(size_t)i % count], to = corners[(size_t)(i + 1) % count];
        if (r) { /* a side's middle */
          double length = hypot(from.x + to.x, from.y + to.y) / r->waist;
          to = (scene_point){(from.x + to.x) / length, (from.y + to.y) / length};
        }
        x[i] = from.x + share * (to.x - from.x), y[i] = from.y + share * (to.y - from.y);
      }
      all[processor_variant()](shape, points, x, y, inside);
      for (int i = 0; i < points; i++)
        if (inside[i] != scene_shape_contains(shape, x[i], y[i]))
          fail_msg("shape %d: (%.17g, %.17g) of %d points", shape, x[i], y[i], points);
    }
  }
}

static void impossible_requests_are_refused(void **state) {
  (void)state;
  scene s;
  assert_fails_with(scenes_draw(&(scene_set){1, 1, false}, -1, SIDE, &s), "negative");
  assert_fails_with(scenes_draw(&(scene_set){1, 1, false}, 0, SCENE_SIZE_MIN - 1, &s),
                    "must be in");
  assert_fails_with(scenes_draw(&(scene_set){1, 1, false}, 0, SCENE_SIZE_MAX + 1, &s),
                    "must be in");
  scene_free(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_scene_depends_on_seed_split_and_index_alone),
      cmocka_unit_test(the_size_changes_neither_caption_nor_labels),
      cmocka_unit_test(captions_and_labels_agree_and_splits_share_no_main_pair),
      cmocka_unit_test(training_captions_never_name_a_heldout_pair),
      cmocka_unit_test(every_pair_appears_in_its_split),
      cmocka_unit_test(version_two_says_what_its_labels_say),
      cmocka_unit_test(a_version_draws_what_it_always_drew),
      cmocka_unit_test(shapes_fill_their_square_and_differ),
      cmocka_unit_test(quick_answers_keep_clear_of_the_edges),
      cmocka_unit_test(points_of_many_are_inside_as_each_is),
      cmocka_unit_test(impossible_requests_are_refused),
  };
  err lacking = processor_check();
  if (lacking) {
    printf("skipped: %s\n", err_message(lacking));
    err_free(lacking);
    return 77;
  }
  return cmocka_run_group_tests(tests, NULL, NULL);
}
