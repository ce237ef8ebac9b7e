#include "stats/student.h"

#include <math.h>

/* The finite sums of Abramowitz and Stegun 26.7.3 and 26.7.4, for P(|T| < t). Their rounding error
 * of 1e-16 bounds the smallest tail that can be computed. */
static double within(double t, size_t degrees) {
  const double pi = 3.14159265358979323846;
  double n = (double)degrees, angle = atan(t / sqrt(n)), cosine = cos(angle), sum, term;
  double square = cosine * cosine;
  if (degrees == 1) return 2 * angle / pi;
  sum = term = degrees % 2 ? cosine : 1;
  for (size_t k = degrees % 2 ? 3 : 2; k + 1 < degrees; k += 2)
    sum += term *= square * (double)(k - 1) / (double)k;
  return degrees % 2 ? 2 * (angle + sin(angle) * sum) / pi : sin(angle) * sum;
}

double student_tail(double t, size_t degrees) {
  if (degrees == 0 || isnan(t)) return NAN;
  if (isinf(t)) return 0;
  return fmax(0, 1 - within(fabs(t), degrees));
}

double student_quantile(double tail, size_t degrees) {
  double low = 0, high = 1;
  if (degrees == 0 || !(tail > 0 && tail < 1)) return NAN;
  while (student_tail(high, degrees) > tail && high < 1e12) high *= 2;
  for (int i = 0; i < 100; i++) {
    double middle = (low + high) / 2;
    if (student_tail(middle, degrees) > tail)
      low = middle;
    else
      high = middle;
  }
  return (low + high) / 2;
}
