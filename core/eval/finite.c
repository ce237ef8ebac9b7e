#include "eval/finite.h"

#include <math.h>

static bool is_finite_row(const float *row, int64_t width) {
  bool is_finite = true;
  for (int64_t i = 0; i < width; i++) is_finite = is_finite && isfinite(row[i]);
  return is_finite;
}

err finite_check(const char *name, const char *items, const float *rows, int64_t count,
                 int64_t width, const bool *is_bad) {
  int64_t encoded = 0, wrong = 0;
#pragma omp parallel for schedule(static) reduction(+ : encoded, wrong)
  for (int64_t i = 0; i < count; i++) {
    if (is_bad && is_bad[i]) continue;
    encoded++;
    wrong += !is_finite_row(rows + i * width, width);
  }
  if (!wrong) return NULL;
  return err_new(
      ERR_NUMERIC,
      "%s: the model's embeddings of %ld of %ld %s are not finite (NaN or infinity): its "
      "training diverged, or its file is damaged; an earlier checkpoint may be good",
      name, (long)wrong, (long)encoded, items);
}
