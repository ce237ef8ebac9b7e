#include "support/test.h"

#include <string.h>

#include "train/course.h"

/* 20 steps of 32 samples, 4 evaluations: after the steps 5, 10, 15 and 20. */
static const course_rules usual = {
    .total_steps = 20, .batch_size = 32, .points = 4, .checkpoint_seconds = 120, .log_every = 1};

/* A run described by letters: . a step, S saved, E evaluated, ! stopped, F finished. It begins at
 * `place` and is asked to stop from act number `stop_at` on (-1: never). */
static const char *story(const course_rules *rules, course_place *place, int stop_at) {
  static char letters[256];
  size_t length = 0;
  for (int i = 0; length + 1 < sizeof letters; i++) {
    place->is_stop_wanted = stop_at >= 0 && i >= stop_at;
    course_act act = course_next(rules, place);
    letters[length++] = ".SE!F"[act];
    letters[length] = '\0';
    if (act == COURSE_STOP || act == COURSE_FINISH) return letters;
    if (act == COURSE_SAVE) place->is_saved = true;
    if (act == COURSE_EVALUATE) place->is_evaluated = true;
    if (act == COURSE_STEP)
      *place = (course_place){.step = place->step + 1, .unsaved_seconds = place->unsaved_seconds};
  }
  return "endless";
}

static void a_run_saves_evaluates_and_finishes(void **state) {
  (void)state;
  course_place place = {0};
  assert_string_equal(story(&usual, &place, -1), ".....SE.....SE.....SE.....SEF");
}

static void a_stopped_run_saves_and_leaves_the_evaluation_to_the_next_process(void **state) {
  (void)state;
  course_place place = {0};
  assert_string_equal(story(&usual, &place, 5), ".....S!");
  /* what the checkpoint says: saved, not evaluated */
  assert_string_equal(story(&usual, &place, -1), "E.....SE.....SE.....SEF");
}

static void a_stopped_run_makes_every_evaluation_once(void **state) {
  (void)state;
  for (int stop_at = 0; stop_at < 40; stop_at++) {
    course_place place = {0};
    char all[512];
    snprintf(all, sizeof all, "%s", story(&usual, &place, stop_at));
    if (!strchr(all, 'F')) strcat(all, story(&usual, &place, -1));
    int steps = 0, evaluations = 0;
    for (const char *at = all; *at; at++) {
      steps += *at == '.';
      evaluations += *at == 'E';
    }
    assert_int_equal(steps, 20);
    assert_int_equal(evaluations, 4);
    assert_true(all[strlen(all) - 1] == 'F');
  }
}

static void a_stop_in_the_last_step_is_not_an_end(void **state) {
  (void)state;
  course_place place = {.step = 20};
  assert_string_equal(story(&usual, &place, 0), "S!");
  assert_string_equal(story(&usual, &place, -1), "EF");
  course_rules none = usual; /* nothing to evaluate: then it is */
  none.points = 0;
  place = (course_place){.step = 20};
  assert_string_equal(story(&none, &place, 0), "SF");
}

static void a_stop_before_the_first_step_saves_nothing(void **state) {
  (void)state;
  course_place place = {0};
  assert_string_equal(story(&usual, &place, 0), "!");
}

static void a_resumed_run_that_is_stopped_at_once_saves_nothing_new(void **state) {
  (void)state;
  course_place place = {.step = 5, .is_saved = true};
  assert_string_equal(story(&usual, &place, 0), "!");
}

static void a_finished_run_has_nothing_to_do(void **state) {
  (void)state;
  course_place place = {.step = 20, .is_saved = true, .is_evaluated = true};
  assert_string_equal(story(&usual, &place, -1), "F");
  assert_string_equal(story(&usual, &place, 0), "F");
}

static void checkpoints_come_by_samples_and_by_time(void **state) {
  (void)state;
  course_rules rules = usual;
  rules.points = 0;
  rules.checkpoint_every = 100; /* passed by steps 4 (128), 7 (224), 10 (320), 13, 16, 19 */
  course_place place = {0};
  assert_string_equal(story(&rules, &place, -1), "....S...S...S...S...S...S.SF");
  place = (course_place){.step = 1, .unsaved_seconds = 121};
  assert_int_equal(course_next(&usual, &place), COURSE_SAVE);
  place.unsaved_seconds = 119;
  assert_int_equal(course_next(&usual, &place), COURSE_STEP);
}

static void rows_end_before_whatever_is_not_a_step(void **state) {
  (void)state;
  course_rules rules = usual;
  rules.log_every = 4;
  assert_true(course_is_row_due(&rules, 8, COURSE_STEP));
  assert_false(course_is_row_due(&rules, 5, COURSE_STEP));
  assert_true(course_is_row_due(&rules, 5, COURSE_SAVE));
  assert_true(course_is_row_due(&rules, 5, COURSE_EVALUATE));
  assert_true(course_is_row_due(&rules, 5, COURSE_STOP));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_run_saves_evaluates_and_finishes),
      cmocka_unit_test(a_stopped_run_saves_and_leaves_the_evaluation_to_the_next_process),
      cmocka_unit_test(a_stopped_run_makes_every_evaluation_once),
      cmocka_unit_test(a_stop_in_the_last_step_is_not_an_end),
      cmocka_unit_test(a_stop_before_the_first_step_saves_nothing),
      cmocka_unit_test(a_resumed_run_that_is_stopped_at_once_saves_nothing_new),
      cmocka_unit_test(a_finished_run_has_nothing_to_do),
      cmocka_unit_test(checkpoints_come_by_samples_and_by_time),
      cmocka_unit_test(rows_end_before_whatever_is_not_a_step),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
