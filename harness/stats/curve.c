#include "stats/curve.h"

#include <math.h>

bool curve_is_above(double a, double b) {
  static const double rounding = 1e-9; /* one hit more is above 1e-7 */
  return a - b > rounding * fabs(b);
}

double curve_best(const accuracy_curve *c) {
  double best = NAN;
  for (size_t i = 0; i < c->count; i++)
    if (!(c->points[i].accuracy <= best)) best = c->points[i].accuracy;
  return best;
}

double curve_time_to(const accuracy_curve *c, double accuracy) {
  curve_point last = {0, c->start};
  if (!curve_is_above(accuracy, c->start)) return 0;
  for (size_t i = 0; i < c->count; i++) {
    const curve_point next = c->points[i];
    if (!curve_is_above(accuracy, next.accuracy)) {
      const double rise = next.accuracy - last.accuracy; /* not above 0: equal but for rounding */
      const double share = rise > 0 ? fmin((accuracy - last.accuracy) / rise, 1) : 1;
      return last.seconds + share * (next.seconds - last.seconds);
    }
    last = next;
  }
  return NAN;
}

curve_iso curve_compare(const accuracy_curve *baseline, const accuracy_curve *c) {
  curve_iso iso = {NAN, NAN, NAN, NAN};
  double best = curve_best(c), baseline_best = curve_best(baseline);
  if (isnan(best) || isnan(baseline_best)) return iso;
  iso.accuracy = fmin(best, baseline_best);
  iso.baseline_seconds = curve_time_to(baseline, iso.accuracy);
  iso.seconds = curve_time_to(c, iso.accuracy);
  if (iso.seconds > 0 && iso.baseline_seconds > 0) iso.speedup = iso.baseline_seconds / iso.seconds;
  return iso;
}
