/* Labels of lines keep clear of lines, points and each other, or give way to a legend. */
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "report/drawing.h"

enum { SERIES = 4, POINTS = 8 };

typedef struct {
  double left, right, bottom, top; /* shares of the canvas */
} box;

typedef char label_text[64];

/* Where the script puts the labels, 201 and on; how many. A legend's stand beside the y axis' name.
 */
static size_t placed(const figure *f, box *boxes, label_text *texts) {
  size_t count = 0;
  const double half = f->is_column ? 0.028 : 0.016; /* of a letter's height, at 11.5 points */
  for (const char *at = strbuf_string(&f->ends); (at = strstr(at, "set label ")); at++) {
    double x, y, size;
    int number;
    assert_int_equal(sscanf(at,
                            "set label %d '%63[^']' noenhanced at screen %lf,%lf left font ',%lf'",
                            &number, texts[count], &x, &y, &size),
                     5);
    size /= 11.5;
    double right = x + size * figure_text_share(f, texts[count]);
    boxes[count++] = (box){x, right, y - size * half, y + size * half};
  }
  return count;
}

static void assert_apart(const box *boxes, size_t count) {
  for (size_t i = 0; i < count; i++)
    for (size_t j = 0; j < i; j++)
      assert_false(boxes[i].left < boxes[j].right && boxes[j].left < boxes[i].right &&
                   boxes[i].bottom < boxes[j].top && boxes[j].bottom < boxes[i].top);
}

static double across(const figure *f, double x) {
  return 0.085 + (f->right_edge - 0.085) * (x - f->x_least) / (f->x_most - f->x_least);
}

static double along(const figure *f, double y) {
  return 0.165 + (0.815 - 0.165) * (y - f->y_least) / (f->y_most - f->y_least);
}

/* Walks along the line in steps much shorter than a letter. */
static bool is_crossed(const figure *f, const box *b, const figure_point *p,
                       const figure_point *q) {
  for (int k = 0; k <= 400; k++) {
    double x = across(f, p->x + (q->x - p->x) * k / 400);
    double y = along(f, p->y + (q->y - p->y) * k / 400);
    if (x > b->left && x < b->right && y > b->bottom && y < b->top) return true;
  }
  return false;
}

/* Curves that rise and end at different places, as accuracy against time does. */
static void draw(figure *f, uint64_t seed, figure_point points[SERIES][POINTS], figure_end *ends) {
  rng r = rng_at(seed, RNG_TEST, 0, 0);
  *f = (figure){.x_least = 0, .x_most = 10.2, .y_least = 0, .y_most = 11, .right_edge = 0.82};
  for (int i = 0; i < SERIES; i++) {
    double last = 3 + 7 * rng_double(&r), height = 3 + 6 * rng_double(&r);
    for (int k = 0; k < POINTS; k++) {
      double x = last * (k + 1) / POINTS, y = height * (k + 1) / POINTS + rng_double(&r);
      points[i][k] = (figure_point){x, y, y, y, false};
    }
    ends[i] = (figure_end){points[i][POINTS - 1].x, points[i][POINTS - 1].y, "", i};
    snprintf(ends[i].text, sizeof ends[i].text, "mask %d %%", 20 * i);
    assert_ok(figure_add_series(f, points[i], POINTS));
  }
}

static void labels_keep_clear(void **state) {
  (void)state;
  int legends = 0;
  for (uint64_t seed = 1; seed <= 200; seed++) {
    figure f;
    figure_point points[SERIES][POINTS];
    figure_end ends[SERIES];
    box boxes[SERIES];
    label_text texts[SERIES];
    draw(&f, seed, points, ends);
    figure_place_ends(&f, "accuracy (%)", ends, SERIES);
    assert_int_equal(placed(&f, boxes, texts), SERIES);
    bool is_legend = strstr(texts[0], "■");
    legends += is_legend;
    if (!is_legend) assert_apart(boxes, SERIES);
    for (int i = 0; i < SERIES && !is_legend; i++)
      for (int s = 0; s < SERIES; s++)
        for (int k = 1; k < POINTS; k++)
          if (is_crossed(&f, &boxes[i], &points[s][k - 1], &points[s][k]))
            fail_msg("seed %d: a line runs through label %d", (int)seed, i);
    figure_free(&f);
  }
  assert_in_range(legends, 0, 100); /* for most, places are found */
}

/* Of lines that end side by side: what is higher is named higher. */
static void labels_stand_in_the_order_of_their_lines(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 200; seed++) {
    figure f = {.x_most = 10.2, .y_most = 20, .right_edge = 0.82};
    rng r = rng_at(seed, RNG_TEST, 0, 0);
    figure_end ends[SERIES];
    double last[SERIES];
    box boxes[SERIES];
    label_text texts[SERIES];
    for (int i = 0; i < SERIES; i++) {
      last[i] = 9 + 2 * rng_double(&r);
      const figure_point points[] = {{0, 4, 4, 4, false}, {10, last[i], last[i], last[i], false}};
      assert_ok(figure_add_series(&f, points, 2));
      ends[i] = (figure_end){10, last[i], "", i};
      snprintf(ends[i].text, sizeof ends[i].text, "%d", i);
    }
    figure_place_ends(&f, "accuracy (%)", ends, SERIES);
    assert_int_equal(placed(&f, boxes, texts), SERIES);
    bool is_legend = strstr(texts[0], "■");
    for (int i = 0; i < SERIES && !is_legend; i++)
      for (int k = 0; k < i; k++) {
        bool is_higher = last[atoi(texts[i])] > last[atoi(texts[k])];
        if (fabs(boxes[i].left - boxes[k].left) < 1e-3)
          assert_int_equal(boxes[i].top > boxes[k].top, is_higher);
      }
    figure_free(&f);
  }
}

/* Lines that end at one place have no room for labels there. */
static void draw_alike(figure *f, int series, bool is_column, const char *name) {
  figure_end ends[FIGURE_MOST_SERIES];
  *f = (figure){.x_most = 10.2, .y_most = 11, .right_edge = 0.8, .has_marks = true};
  f->is_column = is_column;
  for (int i = 0; i < series; i++) {
    const figure_point points[] = {{0, 0, 0, 0, false}, {10, 8, 8, 8, false}};
    assert_ok(figure_add_series(f, points, 2));
    ends[i] = (figure_end){10, 8, "", i};
    snprintf(ends[i].text, sizeof ends[i].text, "%s %d", name, i);
  }
  figure_place_ends(f, "accuracy (%)", ends, (size_t)series);
}

static void names_of_many_lines_do_not_overlap(void **state) {
  (void)state;
  static const char *const names[] = {"mask", "a way with a long name, batch size"};
  for (int is_column = 0; is_column < 2; is_column++)
    for (int series = SERIES; series <= FIGURE_MOST_SERIES; series++)
      for (int n = 0; n < 2; n++) {
        figure f;
        box boxes[FIGURE_MOST_SERIES];
        label_text texts[FIGURE_MOST_SERIES];
        draw_alike(&f, series, is_column, names[n]);
        assert_int_equal(placed(&f, boxes, texts), series);
        assert_apart(boxes, (size_t)series);
        for (int i = 0; i < series; i++)
          assert_true(boxes[i].left > 0 && boxes[i].right < 1.001 && boxes[i].bottom > 0.1);
        figure_free(&f);
      }
}

/* Of lines with the same colour, each has its own mark; black and the dark grey look alike. */
static void series_of_one_colour_have_other_marks(void **state) {
  (void)state;
  figure f;
  box boxes[FIGURE_MOST_SERIES];
  label_text texts[FIGURE_MOST_SERIES];
  draw_alike(&f, FIGURE_MOST_SERIES, false, "mask");
  assert_int_equal(placed(&f, boxes, texts), FIGURE_MOST_SERIES);
  for (int i = 0; i < FIGURE_MOST_SERIES; i++)
    for (int j = 0; j < i; j++) {
      int one = i % FIGURE_COLOURS, other = j % FIGURE_COLOURS;
      bool is_dark = one % (FIGURE_COLOURS - 1) == 0 && other % (FIGURE_COLOURS - 1) == 0;
      if (one == other || is_dark)
        assert_int_not_equal(strncmp(texts[i], texts[j], strlen("■")), 0);
    }
  figure_free(&f);
}

static void assert_title(const char *title, const char *shown) {
  figure f = {0};
  strbuf line = {0};
  figure_set_title(&f, title, NULL);
  strbuf_format(&line, "title_text = '%s'", shown);
  if (!strstr(strbuf_string(&f.variables), line.data))
    fail_msg("'%s' is not in %s", line.data, strbuf_string(&f.variables));
  strbuf_free(&line);
  figure_free(&f);
}

static void a_title_begins_with_a_capital_but_not_a_setting(void **state) {
  (void)state;
  assert_title("peak memory against mask", "Peak memory against mask");
  assert_title("mask_ratio=0: -5.0 % since 1a2b3c4", "mask_ratio=0: -5.0 % since 1a2b3c4");
  assert_title("step_seconds: no change detected", "step_seconds: no change detected");
}

static void assert_number(double value, int digits, const char *shown) {
  char text[32];
  drawing_number(value, digits, text, sizeof text);
  assert_string_equal(text, shown);
}

static void a_slow_speed_is_not_rounded_to_none(void **state) {
  (void)state;
  assert_number(0, 0, "0");
  assert_number(0.4536, 0, "0.45");
  assert_number(1.52, 0, "1.5");
  assert_number(9.96, 0, "10");
  assert_number(15.6, 0, "16");
  assert_number(3.44, 1, "3.4");
  assert_number(1425.7, 0, "1,426");
}

/* 33 characters of three bytes: 30 of them and "…" are 93 bytes, another would not leave room. */
static void a_name_is_cut_between_characters(void **state) {
  (void)state;
  char text[96], wanted[96] = "";
  strbuf name = {0};
  for (int i = 0; i < 33; i++) strbuf_append(&name, "日");
  for (int i = 0; i < 30; i++) strcat(wanted, "日");
  strcat(wanted, "…");
  figure_keep_name(&name, text, sizeof text);
  assert_string_equal(text, wanted);
  for (int i = 0; i < 31; i++) strbuf_append(&name, "日");
  strbuf_append(&name, "ab"); /* 95 bytes fit */
  figure_keep_name(&name, text, sizeof text);
  assert_int_equal(strlen(text), 95);
  assert_string_equal(text + 93, "ab");
}

/* gnuplot reads its script line by line; "!id" at the beginning of one runs a program. */
static void a_text_ends_neither_its_quotes_nor_its_line(void **state) {
  (void)state;
  char text[96];
  strbuf name = {0};
  figure f = {0};
  strbuf_append(&name, "x\nEOD\n!id\r\t\"\\\x7F$y");
  figure_keep_name(&name, text, sizeof text);
  assert_string_equal(text, "x EOD !id  '' $y");
  figure_set_text(&f, "label", "it's\n!id\r\x01");
  assert_string_equal(strbuf_string(&f.variables), "label = 'it''s !id  '\n");
  figure_free(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(labels_keep_clear),
      cmocka_unit_test(labels_stand_in_the_order_of_their_lines),
      cmocka_unit_test(names_of_many_lines_do_not_overlap),
      cmocka_unit_test(series_of_one_colour_have_other_marks),
      cmocka_unit_test(a_title_begins_with_a_capital_but_not_a_setting),
      cmocka_unit_test(a_slow_speed_is_not_rounded_to_none),
      cmocka_unit_test(a_name_is_cut_between_characters),
      cmocka_unit_test(a_text_ends_neither_its_quotes_nor_its_line),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
