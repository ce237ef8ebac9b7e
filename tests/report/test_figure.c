/* Labels of lines keep clear of lines, points and each other, or give way to a legend. */
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "report/figure.h"

enum { SERIES = 4, POINTS = 8 };

typedef struct {
  double left, right, bottom, top; /* shares of the canvas */
} box;

/* Where the script puts the labels, 201 and on; how many. A legend's stand beside the y axis' name.
 */
static size_t placed(const figure *f, box *boxes, bool *is_legend) {
  size_t count = 0;
  *is_legend = false;
  for (const char *at = strbuf_string(&f->ends); (at = strstr(at, "set label ")); at++) {
    double x, y;
    char text[64];
    int number;
    assert_int_equal(
        sscanf(at, "set label %d '%63[^']' noenhanced at screen %lf,%lf", &number, text, &x, &y),
        4);
    *is_legend = *is_legend || strstr(text, "■");
    boxes[count++] = (box){x, x + figure_text_share(f, text), y - 0.016, y + 0.016};
  }
  return count;
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
    bool is_legend;
    draw(&f, seed, points, ends);
    figure_place_ends(&f, "accuracy (%)", ends, SERIES);
    assert_int_equal(placed(&f, boxes, &is_legend), SERIES);
    legends += is_legend;
    for (int i = 0; i < SERIES && !is_legend; i++) {
      for (int j = 0; j < i; j++)
        assert_false(boxes[i].left < boxes[j].right && boxes[j].left < boxes[i].right &&
                     boxes[i].bottom < boxes[j].top && boxes[j].bottom < boxes[i].top);
      for (int s = 0; s < SERIES; s++)
        for (int k = 1; k < POINTS; k++)
          if (is_crossed(&f, &boxes[i], &points[s][k - 1], &points[s][k]))
            fail_msg("seed %d: a line runs through label %d", (int)seed, i);
    }
    figure_free(&f);
  }
  assert_in_range(legends, 0, 100); /* for most, places are found */
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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(labels_keep_clear),
      cmocka_unit_test(a_title_begins_with_a_capital_but_not_a_setting),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
