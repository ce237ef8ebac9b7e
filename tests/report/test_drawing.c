/* The numbers that figures draw, computed by hand: bars, points, losses, and what titles say. */
#include "cells.h"
#include "report/drawing.h"
#include "base/fs.h"
#include "store/store.h"
#include "support/folder.h"

static report_row table_rows[2];
static const report_table table = {.rows = table_rows, .row_count = 2};

/* Rows are named by a setting of theirs. */
static drawing begin(void) {
  static char *keys[] = {(char *)"batch_size"};
  experiment.report.rows = (spec_names){.items = keys, .count = 1};
  for (size_t i = 0; i < CELLS; i++) specs[i].settings.batch_size = i < 2 ? 64 : 1024;
  return (drawing){.d = &d, .t = &table};
}

static void assert_has(const strbuf *text, const char *part) {
  if (!strstr(strbuf_string(text), part)) fail_msg("no '%s' in\n%s", part, strbuf_string(text));
}

static void end(drawing *g) {
  figure_free(&g->f);
}

/* ---- bars ---- */

/* A quarter of the FLOPs: four times the baseline's 100 samples/s; it has 250. */
static void the_ideal_speed_is_that_of_the_flops_alone(void **state) {
  (void)state;
  drawing g = begin();
  for (size_t i = 0; i < CELLS; i++) {
    give(i, "samples_per_second", i < 2 ? 100 : 250);
    give(i, "flops_per_sample_total", i < 2 ? 4e6 : 1e6);
  }
  assert_ok(drawing_throughput(&g));
  assert_has(&g.f.variables, "\n$ideal << EOD\n1 400\nEOD\n");
  assert_has(&g.f.variables, "\n1 250 ");
  assert_has(&g.f.title, "1024 trains 2.50× as fast as batch 64");
  end(&g);
}

static void a_planned_part_is_beside_that_of_the_baseline(void **state) {
  (void)state;
  drawing g = begin();
  for (size_t i = 0; i < CELLS; i++) {
    cells[i].environment.device = (char *)"cpu";
    give(i, "peak_bytes", i < 2 ? 400 * 1048576. : 300 * 1048576.);
    give(i, "planned_bytes", i < 2 ? 200 * 1048576. : 50 * 1048576.);
  }
  assert_ok(drawing_memory(&g));
  assert_has(&g.f.variables, "400; planned 200\"");
  assert_has(&g.f.variables, "; planned 50 · 0.25×\"");
  assert_has(&g.f.variables, "\n$part << EOD\n0 200 0\n1 50 1\nEOD\n");
  end(&g);
}

/* ---- accuracy ---- */

/* Steps of 100 and 50 s: 20 % and 40 % after 1,000 and 2,000 s, and 40 % and 80 % after 500 and
 * 1,000. */
static void make_curves(void) {
  experiment.report.iso = columns_find("zero_shot_top1");
  for (size_t i = 0; i < CELLS; i++) {
    give(i, "steady_step_seconds", i < 2 ? 100 : 50);
    give(i, "steady_low", i < 2 ? 100 : 50);
    give(i, "steady_high", i < 2 ? 100 : 50);
    for (int k = 1; k <= 2; k++) {
      add(i, "imagenet", "zeroshot", "top1", 10 * k, (i < 2 ? 0.2 : 0.4) * k);
      add_hits(i, 1000, 0);
    }
  }
}

static void a_speed_up_is_drawn_between_the_times_of_both(void **state) {
  (void)state;
  drawing g = begin();
  make_curves();
  assert_ok(drawing_accuracy_vs_time(&g));
  assert_has(&g.f.variables, "has_iso = 1\n");
  assert_has(&g.f.variables, "iso_from = 33.33333333\n"); /* in minutes */
  assert_has(&g.f.variables, "iso_to = 8.333333333\n");
  assert_has(&g.f.variables, "iso_at = 40\n");
  assert_has(&g.f.points, "16.66666667 20 ");
  assert_has(&g.f.title, "reaches zero-shot top-1 40.0 % 4.0× sooner than");
  end(&g);
}

static void a_slow_down_is_told_by_its_inverse(void **state) {
  (void)state;
  drawing g = begin();
  make_curves();
  d.baseline = 1;
  assert_ok(drawing_accuracy_vs_time(&g));
  assert_has(&g.f.variables, "has_iso = 0\n");
  assert_has(&g.f.title, "reaches zero-shot top-1 40.0 % 4.0× later than");
  end(&g);
}

static void times_and_samples_have_the_unit_of_the_longest(void **state) {
  (void)state;
  const char *name;
  assert_near(drawing_time_unit(179, &name), 1, 0);
  assert_string_equal(name, "seconds");
  assert_near(drawing_time_unit(180, &name), 60, 0);
  assert_string_equal(name, "minutes");
  assert_near(drawing_time_unit(10800, &name), 3600, 0);
  assert_string_equal(name, "hours");
  assert_near(drawing_count_unit(9999, &name), 1, 0);
  assert_string_equal(name, "samples");
  assert_near(drawing_count_unit(1e4, &name), 1e3, 0);
  assert_string_equal(name, "thousand samples");
  assert_near(drawing_count_unit(1e7, &name), 1e6, 0);
  assert_string_equal(name, "million samples");
}

/* ---- one number against another ---- */

/* One series: its points are where their values are, also on a log axis (1,024 / 64 = 16). */
static void a_point_is_at_its_value(void **state) {
  (void)state;
  drawing g = begin();
  for (size_t i = 0; i < CELLS; i++) give(i, "final_loss", i < 2 ? 4 : 3);
  assert_ok(drawing_against(&g, columns_find("final_loss"), "batch_size"));
  assert_true(g.f.is_x_log);
  assert_string_equal(strbuf_string(&g.f.points), "64 4 4 4 64 64\n1024 3 3 3 1024 1024\n");
  end(&g);
}

/* ---- loss ---- */

static void write_lines(const char *folder, const char *name, strbuf *text) {
  char *path = fs_join(folder, name);
  assert_ok(fs_write_atomic(path, text->data, text->length));
  strbuf_clear(text);
  free(path);
}

/* A run of 120 steps, one for each of the figure's ranges, with a row every `every` steps: the loss
 * is `slope` times the step. */
static int64_t record(store *s, const char *name, int every, double slope) {
  char folder[32], run[16];
  strbuf text = {0};
  int64_t run_id;
  snprintf(folder, sizeof folder, "results/e/%s", name);
  snprintf(run, sizeof run, "e/%s", name);
  assert_ok(fs_make_folders(folder));
  strbuf_append(&text, "{\"event\":\"attempt_start\",\"time\":\"2026-01-01T00:00:00.000Z\","
                       "\"cell\":\"c\",\"attempt\":1,\"pid\":1,\"command\":[\"flip\"]}\n");
  write_lines(folder, "attempts.jsonl", &text);
  strbuf_append(&text, "{\"event\":\"start\",\"time\":\"2026-01-01T00:00:00.000Z\",\"version\":2,"
                       "\"settings\":{\"batch_size\":64},\"total_steps\":120,\"first_step\":0}\n");
  for (int step = every; step <= 120; step += every)
    strbuf_format(&text,
                  "{\"event\":\"step\",\"time\":\"2026-01-01T00:00:01.000Z\",\"step\":%d,"
                  "\"samples\":%d,\"loss\":%g,\"seconds\":1,\"steps\":%d}\n",
                  step, step * 64, slope * step, every);
  write_lines(folder, "events.jsonl", &text);
  assert_ok(store_ingest(s, "results", run, &run_id));
  strbuf_free(&text);
  return run_id;
}

/* Seeds with rows every 40 and 20 steps, losses of 1 and 3 times the step: from step 40 on, where
 * both have one. At 60 the first is between its 40 and 80. */
static void a_loss_is_the_mean_of_seeds_and_the_band_their_range(void **state) {
  (void)state;
  drawing g = begin();
  assert_ok(store_open("s.db", &d.s));
  cells[0].run_id = record(d.s, "a", 40, 1);
  cells[1].run_id = record(d.s, "b", 20, 3);
  cells[2].is_finished = cells[3].is_finished = false;
  assert_ok(drawing_loss(&g));
  assert_has(&g.f.points, "2560 80 40 120\n3840 120 60 180\n5120 160 80 240\n"
                          "6400 200 100 300\n7680 240 120 360\n");
  assert_true(strncmp(strbuf_string(&g.f.points), "2560 ", 5) == 0);
  end(&g);
  store_close(d.s);
}

static int enter(void **state) {
  int failure = enter_folder(state);
  return failure ? failure : make_cells(state);
}

static int leave(void **state) {
  free_hits(state);
  return leave_folder(state);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      ON_CELLS(the_ideal_speed_is_that_of_the_flops_alone),
      ON_CELLS(a_planned_part_is_beside_that_of_the_baseline),
      ON_CELLS(a_speed_up_is_drawn_between_the_times_of_both),
      ON_CELLS(a_slow_down_is_told_by_its_inverse),
      ON_CELLS(times_and_samples_have_the_unit_of_the_longest),
      ON_CELLS(a_point_is_at_its_value),
      cmocka_unit_test_setup_teardown(a_loss_is_the_mean_of_seeds_and_the_band_their_range, enter,
                                      leave),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
