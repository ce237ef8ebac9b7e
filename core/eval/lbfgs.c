#include "eval/lbfgs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { MEMORY = 10, LINE_TRIES = 40 };
static const double sufficient_decrease = 1e-4, curvature = 0.9;

typedef struct {
  lbfgs_function function;
  void *context;
  int64_t count;
  double *x, *gradient, *direction; /* the point, and where the next one is sought */
  double *trial, *trial_gradient;
  double *steps,
      *changes;           /* [MEMORY, count]: of x and of the gradient, newest overwriting oldest */
  double inverse[MEMORY]; /* 1 / (step · change) */
  int kept, newest;
  double value;
} search;

static double dot(const double *a, const double *b, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; i++) sum += a[i] * b[i];
  return sum;
}

/* Value at x + length * direction; *slope along the direction. */
static double probe(search *s, double length, double *slope) {
  for (int64_t i = 0; i < s->count; i++) s->trial[i] = s->x[i] + length * s->direction[i];
  double value = s->function(s->context, s->trial, s->trial_gradient);
  *slope = dot(s->trial_gradient, s->direction, s->count);
  return value;
}

/* The minimiser of the cubic through two points with their slopes, kept a tenth away from both. */
static double between(double a, double fa, double da, double b, double fb, double db) {
  double d1 = da + db - 3 * (fa - fb) / (a - b), square = d1 * d1 - da * db;
  double low = a < b ? a : b, high = a < b ? b : a, margin = 0.1 * (high - low);
  double at = 0.5 * (a + b);
  if (square > 0) {
    double d2 = (b > a ? 1 : -1) * sqrt(square);
    at = b - (b - a) * (db + d2 - d1) / (db - da + 2 * d2);
  }
  return !(at > low + margin) ? low + margin : at < high - margin ? at : high - margin;
}

/* A length that satisfies the strong Wolfe conditions; leaves its point in trial. False: there is
 * none to be found, the point is as good as the arithmetic allows. */
static bool find_length(search *s, double first, double *value) {
  double slope0 = dot(s->gradient, s->direction, s->count), length = first;
  double low = 0, f_low = s->value, d_low = slope0; /* the best so far */
  double high = 0, f_high = 0, d_high = 0;          /* the other end, once there is one */
  for (int i = 0; i < LINE_TRIES; i++) {
    double slope, f = probe(s, length, &slope);
    if (!(f <= s->value + sufficient_decrease * length * slope0) || (low > 0 && f >= f_low)) {
      high = length, f_high = f, d_high = slope;
    } else if (fabs(slope) <= -curvature * slope0) {
      *value = f;
      return true;
    } else {
      if (slope * (length - low) >= 0) high = low, f_high = f_low, d_high = d_low;
      low = length, f_low = f, d_low = slope;
      if (high == 0 && slope < 0) {
        length *= 2;
        continue;
      }
    }
    if (!isfinite(f_high)) {
      length = 0.5 * (low + high);
    } else {
      length = between(low, f_low, d_low, high, f_high, d_high);
    }
  }
  return false;
}

/* direction = -H gradient by the two loops over what is remembered. */
static void choose_direction(search *s) {
  double share[MEMORY];
  for (int64_t i = 0; i < s->count; i++) s->direction[i] = -s->gradient[i];
  for (int k = 0; k < s->kept; k++) {
    int at = (s->newest - k + MEMORY) % MEMORY;
    const double *step = s->steps + at * s->count, *change = s->changes + at * s->count;
    share[at] = s->inverse[at] * dot(step, s->direction, s->count);
    for (int64_t i = 0; i < s->count; i++) s->direction[i] -= share[at] * change[i];
  }
  if (s->kept) {
    const double *change = s->changes + s->newest * s->count;
    double scale = 1 / (s->inverse[s->newest] * dot(change, change, s->count));
    for (int64_t i = 0; i < s->count; i++) s->direction[i] *= scale;
  }
  for (int k = s->kept - 1; k >= 0; k--) {
    int at = (s->newest - k + MEMORY) % MEMORY;
    const double *step = s->steps + at * s->count, *change = s->changes + at * s->count;
    double back = s->inverse[at] * dot(change, s->direction, s->count);
    for (int64_t i = 0; i < s->count; i++) s->direction[i] += (share[at] - back) * step[i];
  }
}

/* Moves to the trial point and remembers the way there. */
static void accept(search *s, double value) {
  int at = (s->newest + 1) % MEMORY;
  double *step = s->steps + at * s->count, *change = s->changes + at * s->count;
  for (int64_t i = 0; i < s->count; i++) {
    step[i] = s->trial[i] - s->x[i];
    change[i] = s->trial_gradient[i] - s->gradient[i];
  }
  double product = dot(step, change, s->count);
  if (product > 0) { /* the Wolfe conditions promise it, up to rounding */
    s->inverse[at] = 1 / product;
    s->newest = at;
    if (s->kept < MEMORY) s->kept++;
  }
  memcpy(s->x, s->trial, (size_t)s->count * sizeof *s->x);
  memcpy(s->gradient, s->trial_gradient, (size_t)s->count * sizeof *s->gradient);
  s->value = value;
}

static double largest(const double *x, int64_t count) {
  double most = 0;
  for (int64_t i = 0; i < count; i++) most = fmax(most, fabs(x[i]));
  return most;
}

err lbfgs_minimise(lbfgs_function function, void *context, int64_t count, double tolerance,
                   int most_iterations, double *x) {
  enum { VECTORS = 4 + 2 * MEMORY };
  double *block = mem_zeroed(VECTORS * (size_t)count, sizeof *block);
  if (!block) return mem_error(VECTORS * (size_t)count * sizeof *block, "L-BFGS");
  search s = {.function = function,
              .context = context,
              .count = count,
              .x = x,
              .gradient = block,
              .direction = block + count,
              .trial = block + 2 * count,
              .trial_gradient = block + 3 * count,
              .steps = block + 4 * count,
              .changes = block + (4 + MEMORY) * count};
  s.value = function(context, x, s.gradient);
  for (int i = 0; i < most_iterations && largest(s.gradient, count) > tolerance; i++) {
    choose_direction(&s);
    double first = s.kept ? 1 : 1 / fmax(1, sqrt(dot(s.gradient, s.gradient, count))), value;
    if (!find_length(&s, first, &value)) {
      if (!s.kept) break;
      s.kept = 0; /* what is remembered misled: once more along the gradient */
      continue;
    }
    accept(&s, value);
  }
  free(block);
  return NULL;
}
