/* Do 95 % intervals cover? Experiments are made up with the noise that was measured: 809 images of
 * which a run retrieves 1 to 7 %, hits of two runs at the same image correlated, the accuracy of
 * seeds scattered by 0 to 0.6 points (three seeds of experiments/precision.yaml: 0.2 to 1.3 with
 * the images' own noise). Coverage over 2,000 experiments must lie in 93 to 97 %.
 *
 *   INTERVALS_EXPERIMENTS=20000 build/tests/test_intervals      the slow version, by hand */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "stats/crossed.h"
#include "stats/iso.h"
#include "stats/summary.h"

enum { ITEMS = 809, POINTS = 8, MOST_SEEDS = 5, NORMALS = 65536 };
static float normal_table[NORMALS]; /* the normal's quantiles: a draw is one look-up */

static double normal_share(double x) {
  return 0.5 * erfc(-x / sqrt(2));
}

static double normal_quantile(double p) {
  double low = -8, high = 8;
  for (int i = 0; i < 50; i++) {
    double middle = (low + high) / 2;
    if (normal_share(middle) < p)
      low = middle;
    else
      high = middle;
  }
  return low;
}

static int make_normals(void **state) {
  (void)state;
  for (int i = 0; i < NORMALS; i++) normal_table[i] = (float)normal_quantile((i + 0.5) / NORMALS);
  return 0;
}

typedef struct {
  uint64_t state;
} stream;

static uint32_t next(stream *s) { /* splitmix64 */
  uint64_t z = s->state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  return (uint32_t)((z ^ z >> 27) * 0x94d049bb133111ebu >> 40);
}

static double draw(stream *s) {
  return (double)normal_table[next(s) % NORMALS];
}

static size_t experiments(void) {
  const char *given = getenv("INTERVALS_EXPERIMENTS");
  return given ? strtoul(given, NULL, 10) : 2000;
}

/* A run hits an image when skill at this point exceeds the image's difficulty and the run's own
 * luck with it, which stays much the same from one evaluation of the run to the next. */
typedef struct {
  double shared, lasting; /* shares of the variance: over runs; of the rest, over evaluations */
  double scatter, jitter; /* of the accuracy of a seed, relative: over its run; an evaluation */
} noise;
static const noise measured = {0.35, 0.7, 0.06, 0.03};

/* hits[seed][point][item] as bit strings. */
typedef struct {
  uint8_t bits[MOST_SEEDS][POINTS][(ITEMS + 7) / 8];
  double accuracy[MOST_SEEDS][POINTS];
} hit_table;

static void run_seed(stream *s, const noise *n, const float *difficulty, const double *expected,
                     size_t points, hit_table *t, size_t seed, double scatter) {
  double limits[POINTS];
  memset(t->bits[seed], 0, sizeof t->bits[seed]);
  for (size_t p = 0; p < points; p++)
    limits[p] = normal_quantile(fmax(expected[p] * (1 + scatter + n->jitter * draw(s)), 1e-4));
  for (size_t p = 0; p < points; p++) t->accuracy[seed][p] = 0;
  for (size_t i = 0; i < ITEMS; i++) {
    double own = sqrt((1 - n->shared) * n->lasting) * draw(s);
    double rest = sqrt((1 - n->shared) * (1 - n->lasting));
    for (size_t p = 0; p < points; p++) {
      double luck = sqrt(n->shared) * (double)difficulty[i] + own + rest * draw(s);
      if (luck >= limits[p]) continue;
      t->bits[seed][p][i / 8] |= (uint8_t)(1 << i % 8);
      t->accuracy[seed][p] += 1.0 / ITEMS;
    }
  }
}

static void difficulties(stream *s, float *difficulty) {
  for (size_t i = 0; i < ITEMS; i++) difficulty[i] = (float)draw(s);
}

static bool is_hit(const hit_table *t, size_t seed, size_t point, size_t item) {
  return t->bits[seed][point][item / 8] >> (item % 8) & 1;
}

static size_t strayed; /* how many coverages lie outside: all are printed before the test fails */

/* `slack`: how much further it may lie where the noise is not what was measured. */
static void expect_coverage(const char *what, size_t seeds, double covered, double count,
                            double slack) {
  double share = covered / count;
  printf("%s, %zu seed%s: %.1f %% of %.0f intervals cover\n", what, seeds, seeds == 1 ? "" : "s",
         100 * share, count);
  strayed += share < 0.93 - slack || share > 0.97 + slack;
}

/* Of intervals that may cover more often: their width is bounded too. */
static void expect_at_least(const char *what, size_t seeds, double covered, double count,
                            double width, double most) {
  double share = covered / count;
  printf("%s, %zu seed%s: %.1f %% of %.0f intervals cover, width a factor of %.2f\n", what, seeds,
         seeds == 1 ? "" : "s", 100 * share, count, exp(width));
  strayed += share < 0.93 || width > log(most);
}

/* ---- differences and single values ---- */

typedef struct {
  size_t seeds, classes;
  double accuracy, difference;
  noise n;
} difference_case;

/* With one seed the interval is about that run on other images: its scatter is part of the truth.
 */
static void cover_difference(const difference_case *c, const char *what, double slack) {
  static hit_table own, base;
  static double values[MOST_SEEDS * ITEMS], single[MOST_SEEDS * ITEMS];
  static uint16_t classes[ITEMS];
  static float difficulty[ITEMS];
  size_t covered = 0, single_covered = 0, count = experiments();
  for (size_t e = 0; e < count; e++) {
    stream s = {.state = e * 77 + c->seeds};
    double truth = c->difference, level = c->accuracy, lifted = level + truth;
    noise n = c->n;
    n.jitter = 0;
    if (c->seeds == 1) n.scatter = 0;
    difficulties(&s, difficulty);
    for (size_t i = 0; i < ITEMS; i++)
      classes[i] =
          (uint16_t)(i < c->classes ? (double)i : sqrt(next(&s) / 16777216.0) * (double)c->classes);
    for (size_t seed = 0; seed < c->seeds; seed++) {
      run_seed(&s, &n, difficulty, &lifted, 1, &own, seed, n.scatter * draw(&s));
      run_seed(&s, &n, difficulty, &level, 1, &base, seed, n.scatter * draw(&s));
      for (size_t i = 0; i < ITEMS; i++) {
        single[seed * ITEMS + i] = is_hit(&own, seed, 0, i);
        values[seed * ITEMS + i] = single[seed * ITEMS + i] - is_hit(&base, seed, 0, i);
      }
    }
    crossed_mean m;
    crossed_table t = {values, c->classes ? classes : NULL, c->seeds, ITEMS};
    assert_ok(crossed_difference(&t, &m));
    covered += m.low <= truth && truth <= m.high;
    t.values = single;
    assert_ok(crossed_share(&t, &m));
    single_covered += m.low <= level + truth && level + truth <= m.high;
  }
  char text[96];
  snprintf(text, sizeof text, "%s: difference", what);
  expect_coverage(text, c->seeds, (double)covered, (double)count, slack);
  snprintf(text, sizeof text, "%s: accuracy", what);
  expect_coverage(text, c->seeds, (double)single_covered, (double)count, slack);
}

static void intervals_of_accuracies_and_their_differences_cover(void **state) {
  (void)state;
  for (size_t seeds = 1; seeds <= 5; seeds += 2) {
    noise quiet = measured, loud = measured, high = measured;
    quiet.scatter = 0;
    high.scatter = 0.02; /* relative: it falls as accuracy rises */
    loud.scatter = 0.12;
    cover_difference(&(difference_case){seeds, 0, 0.067, 0.01, measured}, "7 %", 0);
    cover_difference(&(difference_case){seeds, 0, 0.067, 0, quiet}, "7 %, seeds alike", 0.01);
    cover_difference(&(difference_case){seeds, 0, 0.067, 0.005, loud}, "7 %, seeds scattered", 0);
    cover_difference(&(difference_case){seeds, 0, 0.02, 0.005, loud}, "2 %",
                     0.005); /* wide: few hits */
    cover_difference(&(difference_case){seeds, 0, 0.4, 0.02, high}, "40 %", 0);
    cover_difference(&(difference_case){seeds, 60, 0.15, 0.01, measured}, "per class", 0);
  }
  assert_int_equal(strayed, 0);
}

/* The two accuracies are of other images: what a run has in common with another on an image is not
 * in the difference. */
static void cover_unpaired(size_t seeds, noise n, const char *what) {
  static hit_table own, base;
  static double own_hits[MOST_SEEDS * ITEMS], base_hits[MOST_SEEDS * ITEMS];
  static float own_difficulty[ITEMS], base_difficulty[ITEMS];
  const double level = 0.067, truth = 0.01, lifted = level + truth;
  size_t covered = 0, count = experiments();
  n.jitter = 0;
  if (seeds == 1) n.scatter = 0;
  for (size_t e = 0; e < count; e++) {
    stream s = {.state = e * 91 + seeds};
    double differences[MOST_SEEDS];
    difficulties(&s, own_difficulty);
    difficulties(&s, base_difficulty);
    for (size_t seed = 0; seed < seeds; seed++) {
      run_seed(&s, &n, own_difficulty, &lifted, 1, &own, seed, n.scatter * draw(&s));
      run_seed(&s, &n, base_difficulty, &level, 1, &base, seed, n.scatter * draw(&s));
      differences[seed] = own.accuracy[seed][0] - base.accuracy[seed][0];
      for (size_t i = 0; i < ITEMS; i++) {
        own_hits[seed * ITEMS + i] = is_hit(&own, seed, 0, i);
        base_hits[seed * ITEMS + i] = is_hit(&base, seed, 0, i);
      }
    }
    crossed_mean m;
    const crossed_table mine = {own_hits, NULL, seeds, ITEMS},
                        theirs = {base_hits, NULL, seeds, ITEMS};
    assert_ok(crossed_unpaired(differences, &mine, &theirs, &m));
    covered += m.low <= truth && truth <= m.high;
  }
  expect_coverage(what, seeds, (double)covered, (double)count, 0.01);
}

static void intervals_of_differences_of_two_sets_cover(void **state) {
  (void)state;
  noise quiet = measured, loud = measured;
  quiet.scatter = 0;
  loud.scatter = 0.12;
  for (size_t seeds = 1; seeds <= 5; seeds += 2) {
    cover_unpaired(seeds, measured, "7 %, two sets: difference");
    cover_unpaired(seeds, quiet, "7 %, two sets, seeds alike: difference");
    cover_unpaired(seeds, loud, "7 %, two sets, seeds scattered: difference");
  }
  assert_int_equal(strayed, 0);
}

/* ---- the iso-accuracy speed-up ---- */

/* A curve that rises to its end, or to a share of it, and then by `later` of its level. */
typedef struct {
  double level, rises_until, later, step_seconds;
} course;

static void expected_curve(const course *c, double *curve, double *seconds) {
  for (size_t p = 0; p < POINTS; p++) {
    double end = (double)(p + 1) / POINTS, at = fmin(end / c->rises_until, 1);
    curve[p] = c->level * pow(at, 0.9) * (1.2 - 0.2 * at);
    if (end > c->rises_until) curve[p] *= 1 + c->later * (end - c->rises_until);
    seconds[p] = end * 1000 * c->step_seconds;
  }
}

typedef struct {
  size_t seeds;
  course own;
  noise n;
  double widest; /* the mean width of the intervals, as a factor */
} iso_case;

static void cover_iso(const iso_case *c, const char *what) {
  static hit_table own, base;
  static float difficulty[ITEMS];
  double own_curve[POINTS], base_curve[POINTS], own_seconds[POINTS], base_seconds[POINTS];
  curve_point truth_points[2][POINTS];
  size_t covered = 0, bounded = 0, count = experiments() / 5; /* the slowest by far */
  expected_curve(&c->own, own_curve, own_seconds);
  expected_curve(&(course){0.067, 1, 0, 0.062}, base_curve, base_seconds);
  for (size_t p = 0; p < POINTS; p++) {
    truth_points[0][p] = (curve_point){base_seconds[p], base_curve[p]};
    truth_points[1][p] = (curve_point){own_seconds[p], own_curve[p]};
  }
  accuracy_curve true_base = {truth_points[0], POINTS, 0}, true_own = {truth_points[1], POINTS, 0};
  double truth = curve_compare(&true_base, &true_own).speedup, bias = 0, width = 0;
  for (size_t e = 0; e < count; e++) {
    stream s = {.state = e * 131 + c->seeds};
    noise n = c->n;
    if (c->seeds == 1) n.scatter = n.jitter = 0;
    const uint8_t *own_hits[MOST_SEEDS * POINTS], *base_hits[MOST_SEEDS * POINTS];
    curve_point means[2][POINTS] = {{{0}}};
    difficulties(&s, difficulty);
    for (size_t seed = 0; seed < c->seeds; seed++) {
      run_seed(&s, &n, difficulty, own_curve, POINTS, &own, seed, n.scatter * draw(&s));
      run_seed(&s, &n, difficulty, base_curve, POINTS, &base, seed, n.scatter * draw(&s));
      for (size_t p = 0; p < POINTS; p++) {
        own_hits[seed * POINTS + p] = own.bits[seed][p];
        base_hits[seed * POINTS + p] = base.bits[seed][p];
        means[0][p].seconds = base_seconds[p];
        means[1][p].seconds = own_seconds[p];
        means[0][p].accuracy += base.accuracy[seed][p] / (double)c->seeds;
        means[1][p].accuracy += own.accuracy[seed][p] / (double)c->seeds;
      }
    }
    accuracy_curve base_mean = {means[0], POINTS, 0}, own_mean = {means[1], POINTS, 0};
    double estimate = curve_compare(&base_mean, &own_mean).speedup, low, high;
    iso_rows b = {POINTS, c->seeds, base_seconds, base.accuracy[0], base_hits, NULL, ITEMS, 0};
    iso_rows o = {POINTS, c->seeds, own_seconds, own.accuracy[0], own_hits, NULL, ITEMS, 0};
    paired_result no_pace = {NAN, NAN, NAN};
    assert_ok(iso_interval(&b, &o, estimate, &no_pace, &low, &high));
    covered += low <= truth && truth <= high;
    bias += log(estimate / truth) / (double)count;
    if (low > 0 && isfinite(high)) {
      bounded++;
      width += log(high / low);
    }
  }
  printf("  bias of the estimate: %+.1f %%; %zu bounded\n", 100 * (exp(bias) - 1), bounded);
  expect_at_least(what, c->seeds, (double)covered, (double)count, width / (double)bounded,
                  c->widest);
}

static void intervals_of_the_iso_accuracy_speedup_cover(void **state) {
  (void)state;
  noise quiet = measured;
  quiet.scatter = quiet.jitter = 0;
  const course equal = {0.067, 1, 0, 0.028}, worse = {0.057, 1, 0, 0.028},
               better = {0.077, 1, 0, 0.028}, level = {0.045, 0.5, 0, 0.028},
               slow = {0.045, 0.5, 0.1, 0.028};
  for (size_t seeds = 1; seeds <= 5; seeds += 2) {
    cover_iso(&(iso_case){seeds, equal, measured, 3.3}, "speed-up at equal curves");
    cover_iso(&(iso_case){seeds, worse, measured, 3.3}, "speed-up of a worse curve");
    cover_iso(&(iso_case){seeds, level, measured, 6.8}, "speed-up of a curve that levels off");
    cover_iso(&(iso_case){seeds, slow, measured, 6.8}, "speed-up of one that almost levels off");
    if (seeds != 3) continue;
    cover_iso(&(iso_case){seeds, better, measured, 3.3}, "speed-up of a better curve");
    cover_iso(&(iso_case){seeds, equal, quiet, 3.3}, "speed-up, seeds alike");
  }
  assert_int_equal(strayed, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(intervals_of_accuracies_and_their_differences_cover),
      cmocka_unit_test(intervals_of_differences_of_two_sets_cover),
      cmocka_unit_test(intervals_of_the_iso_accuracy_speedup_cover),
  };
  return cmocka_run_group_tests(tests, make_normals, NULL);
}
