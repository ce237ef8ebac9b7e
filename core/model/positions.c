#include "model/positions.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static double cubic(double x) {
  const double a = -0.5;
  x = fabs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

void positions_weights(int64_t from, int64_t to, double *weights) {
  double scale = (double)from / (double)to, stretch = scale > 1 ? scale : 1;
  for (int64_t i = 0; i < to; i++) {
    double centre = scale * ((double)i + 0.5), sum = 0, *row = weights + i * from;
    for (int64_t j = 0; j < from; j++) sum += row[j] = cubic(((double)j + 0.5 - centre) / stretch);
    for (int64_t j = 0; j < from; j++) row[j] /= sum;
  }
}

/* The side of a square with `count` elements; 0 if it is not square. */
static int64_t side_of(int64_t count) {
  int64_t side = count > 0 ? (int64_t)(sqrt((double)count) + 0.5) : 0;
  return side * side == count ? side : 0;
}

err positions_resize_wide(const double *from, int64_t from_rows, bool has_class, int64_t width,
                          int64_t rows, double *to) {
  int64_t old = side_of(from_rows - has_class), new = side_of(rows - has_class);
  if (old < 1 || new < 1)
    return err_new(ERR_INPUT, "positions of %ld patches cannot be resized to %ld: not square grids",
                   (long)(from_rows - has_class), (long)(rows - has_class));
  double *weights = mem_zeroed((size_t)(new *old), sizeof *weights);
  if (!weights) return mem_error((size_t)(new *old) * sizeof *weights, "positions");
  positions_weights(old, new, weights);
  if (has_class) memcpy(to, from, (size_t)width * sizeof *to);
  from += has_class * width;
  to += has_class * width;
  for (int64_t y = 0; y < new; y++)
    for (int64_t x = 0; x < new; x++) {
      double *sums = to + (y * new + x) * width;
      memset(sums, 0, (size_t)width * sizeof *sums);
      for (int64_t v = 0; v < old; v++)
        for (int64_t u = 0; u < old; u++) {
          double share = weights[y * old + v] * weights[x * old + u];
          if (share == 0) continue;
          for (int64_t j = 0; j < width; j++) sums[j] += share * from[(v * old + u) * width + j];
        }
    }
  free(weights);
  return NULL;
}

err positions_resize(const float *from, int64_t from_rows, bool has_class, int64_t width,
                     int64_t rows, float *to) {
  int64_t given = from_rows * width, wanted = rows * width;
  double *wide = mem_zeroed((size_t)(given + wanted), sizeof *wide);
  if (!wide) return mem_error((size_t)(given + wanted) * sizeof *wide, "positions");
  for (int64_t i = 0; i < given; i++) wide[i] = (double)from[i];
  err error = positions_resize_wide(wide, from_rows, has_class, width, rows, wide + given);
  for (int64_t i = 0; i < wanted && !error; i++) to[i] = (float)wide[given + i];
  free(wide);
  return error;
}
