#include "stats/bounded.h"

#include <math.h>

#include "stats/student.h"
#include "stats/summary.h"

crossed_mean bounded_mean(const double *values, const double *halves, size_t seeds) {
  static const double z95 = 1.959964;
  crossed_mean m = {NAN, NAN, NAN, NAN, NAN, NAN, NAN};
  double own = stats_mean(halves, seeds), half = own;
  m.mean = stats_mean(values, seeds);
  m.items = pow(own / z95, 2);
  if (seeds > 1) {
    double error = stats_deviation(values, seeds) / sqrt((double)seeds);
    half = hypot(student_quantile(0.05, seeds - 1) * error, isnan(own) ? 0 : own);
    m.seeds = error * error;
    m.rest = 0;
    if (isnan(own)) m.items = 0;
  }
  m.error = half / z95;
  m.low = m.mean - half;
  m.high = m.mean + half;
  return m;
}
