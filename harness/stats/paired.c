#include "stats/paired.h"

#include <math.h>
#include <stdbool.h>

#include "stats/student.h"

static double mean_value(const paired_value *v, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++) sum += v[i].value;
  return count ? sum / (double)count : (double)NAN;
}

/* The range that the runs' own intervals leave open for the logarithm of their mean, downwards and
 * upwards; a run whose interval begins at zero, or is unbounded, leaves it unbounded. */
typedef struct {
  double down, up;
} reach;

static double square(double x) {
  return x * x;
}

static reach reach_of(const paired_value *v, size_t count) {
  double mean = mean_value(v, count), down = 0, up = 0;
  for (size_t i = 0; i < count; i++) {
    double weight = v[i].value / mean;
    if (!isnan(v[i].low)) down += square(weight * log(v[i].value / v[i].low));
    if (!isnan(v[i].high)) up += square(weight * log(v[i].high / v[i].value));
  }
  return (reach){sqrt(down) / (double)count, sqrt(up) / (double)count};
}

static bool has_own_interval(const paired_value *v, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (isnan(v[i].low) || isnan(v[i].high)) return false;
  return count > 0;
}

static paired_result around(double value, double half, reach own) {
  double down = fmax(half, own.down), up = fmax(half, own.up);
  return (paired_result){value, value * exp(-down), value * exp(up)};
}

paired_result paired_ratio(const paired_value *own, const paired_value *base, size_t count) {
  double a = mean_value(own, count), b = mean_value(base, count), sum = 0;
  if (!(a > 0) || !(b > 0)) return (paired_result){NAN, NAN, NAN};
  for (size_t i = 0; i < count; i++) sum += square(own[i].value / a - base[i].value / b);
  bool is_known = has_own_interval(own, count) && has_own_interval(base, count);
  if (count < 2 && !is_known) return (paired_result){a / b, NAN, NAN};
  double half = count < 2 ? 0
                          : student_quantile(0.05, count - 1) *
                                sqrt(sum / (double)(count - 1) / (double)count);
  reach x = reach_of(own, count), y = reach_of(base, count);
  return around(a / b, half, (reach){hypot(x.down, y.up), hypot(x.up, y.down)});
}

paired_result paired_mean(const paired_value *own, size_t count) {
  double mean = mean_value(own, count), sum = 0;
  if (!(mean > 0)) return (paired_result){mean, NAN, NAN};
  for (size_t i = 0; i < count; i++) sum += square(own[i].value / mean - 1);
  if (count < 2 && !has_own_interval(own, count)) return (paired_result){mean, NAN, NAN};
  double half = count < 2 ? 0
                          : student_quantile(0.05, count - 1) *
                                sqrt(sum / (double)(count - 1) / (double)count);
  return around(mean, half, reach_of(own, count));
}
