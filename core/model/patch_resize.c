#include "model/patch_resize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/positions.h"

enum { CHANNELS = 3 };

/* The side of each of three squares; 0 if the columns are not three squares. */
static int64_t side_of(int64_t columns) {
  int64_t side = (int64_t)(sqrt((double)columns / CHANNELS) + 0.5);
  return columns > 0 && side * side * CHANNELS == columns ? side : 0;
}

static void swap_rows(double *a, int64_t columns, int64_t i, int64_t j) {
  for (int64_t k = 0; k < columns; k++) {
    double kept = a[i * columns + k];
    a[i * columns + k] = a[j * columns + k];
    a[j * columns + k] = kept;
  }
}

/* b [n, m] becomes the solution of a x = b, by elimination with pivoting; overwrites a [n, n]. */
static void solve(int64_t n, double *a, int64_t m, double *b) {
  for (int64_t i = 0; i < n; i++) {
    int64_t pivot = i;
    for (int64_t j = i + 1; j < n; j++)
      if (fabs(a[j * n + i]) > fabs(a[pivot * n + i])) pivot = j;
    swap_rows(a, n, i, pivot);
    swap_rows(b, m, i, pivot);
    for (int64_t j = 0; j < n; j++) {
      double share = j == i ? 0 : a[j * n + i] / a[i * n + i];
      if (share == 0) continue;
      for (int64_t k = i; k < n; k++) a[j * n + k] -= share * a[i * n + k];
      for (int64_t k = 0; k < m; k++) b[j * m + k] -= share * b[i * m + k];
    }
  }
  for (int64_t i = 0; i < n; i++)
    for (int64_t k = 0; k < m; k++) b[i * m + k] /= a[i * n + i];
}

/* c [rows, columns] = the products of rows of a with rows of b over `inner`: a b^T. */
static void gram(const double *a, int64_t rows, int64_t row_step, int64_t inner, int64_t step,
                 double *c) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < rows; j++) {
      double sum = 0;
      for (int64_t k = 0; k < inner; k++)
        sum += a[i * row_step + k * step] * a[j * row_step + k * step];
      c[i * rows + j] = sum;
    }
}

/* inverse [to, from] = pinv(R^T) of the resize R [to, from]: (R R^T)^-1 R where it shrinks, R (R^T
 * R)^-1 where it grows. work: [longer, longer] and [from, to]. */
static void invert(int64_t from, int64_t to, double *inverse, double *square, double *turned) {
  positions_weights(from, to, inverse);
  if (to <= from) {
    gram(inverse, to, from, from, 1, square);
    solve(to, square, from, inverse);
    return;
  }
  gram(inverse, from, 1, to, from, square);
  for (int64_t i = 0; i < to; i++)
    for (int64_t j = 0; j < from; j++) turned[j * to + i] = inverse[i * from + j];
  solve(from, square, to, turned); /* (R^T R)^-1 R^T */
  for (int64_t i = 0; i < to; i++)
    for (int64_t j = 0; j < from; j++) inverse[i * from + j] = turned[j * to + i];
}

/* One channel: to = p from p^T. rows: [new, old]. */
static void resize_one(const double *p, int64_t old, int64_t new, const float *from, double *rows,
                       float *to) {
  for (int64_t y = 0; y < new; y++)
    for (int64_t u = 0; u < old; u++) {
      double sum = 0;
      for (int64_t v = 0; v < old; v++) sum += p[y * old + v] * (double)from[v * old + u];
      rows[y * old + u] = sum;
    }
  for (int64_t y = 0; y < new; y++)
    for (int64_t x = 0; x < new; x++) {
      double sum = 0;
      for (int64_t u = 0; u < old; u++) sum += p[x * old + u] * rows[y * old + u];
      to[y * new + x] = (float)sum;
    }
}

err patch_resize(const float *from, int64_t width, int64_t from_columns, int64_t columns,
                 float *to) {
  int64_t old = side_of(from_columns), new = side_of(columns), longer = old > new ? old : new;
  if (!old || !new)
    return err_new(ERR_INPUT,
                   "kernels of %ld numbers cannot be resized to %ld: not 3 squares of pixels",
                   (long)from_columns, (long)columns);
  double *inverse = mem_zeroed((size_t)(longer * longer), 4 * sizeof *inverse);
  if (!inverse) return mem_error((size_t)(longer * longer) * 4 * sizeof *inverse, "kernels");
  double *square = inverse + longer * longer, *turned = square + longer * longer;
  double *rows = turned + longer * longer;
  invert(old, new, inverse, square, turned);
  for (int64_t i = 0; i < width * CHANNELS; i++)
    resize_one(inverse, old, new, from + i * old * old, rows, to + i * new *new);
  free(inverse);
  return NULL;
}
