/* The contrastive loss on one tile of the cosine matrix: running log-sum-exp, then gradients.
 *
 * Bound: exp. Rows are split over threads for the row sums, columns for the column sums, so both
 * are added in one order whatever the thread count. */
#include "cpu/kernel.h"

enum { COLUMN_STRIP = 64 };

/* The logit scale, and whether its logarithm is inside its bounds, where it has a gradient. */
static float scale_of(const ops_contrastive *c, bool *is_inside) {
  float own = cpu_f32(c->scale_log)[0], least = (float)c->scale_log_least;
  float most = (float)c->scale_log_most;
  *is_inside = !(own < least || own > most);
  return expf(own < least ? least : own > most ? most : own);
}

err CPU_KERNEL(contrastive_statistics)(ops *o, const ops_contrastive *c) {
  (void)o;
  CPU_ASSERT(c->cosines.type == OPS_F32);
  const float *cosines = cpu_f32(c->cosines);
  bool is_inside;
  float scale = scale_of(c, &is_inside);
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < c->rows; i++) {
    const float *row = cosines + i * c->columns;
    float most = row[0], sum = 0;
#pragma omp simd reduction(max : most)
    for (int64_t j = 0; j < c->columns; j++) most = row[j] > most ? row[j] : most;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < c->columns; j++) sum += cpu_exp(scale * (row[j] - most));
    cpu_f32(c->row_lse)[i] = scale * most + logf(sum);
    cpu_f32(c->positive)[i] = scale * row[c->first_row + i];
  }
#pragma omp parallel for schedule(static)
  for (int64_t strip = 0; strip < c->columns; strip += COLUMN_STRIP) {
    int64_t end = strip + COLUMN_STRIP < c->columns ? strip + COLUMN_STRIP : c->columns;
    float *most = cpu_f32(c->column_max), *sum = cpu_f32(c->column_sum);
    for (int64_t i = 0; i < c->rows; i++) {
      const float *row = cosines + i * c->columns;
#pragma omp simd
      for (int64_t j = strip; j < end; j++) {
        float logit = scale * row[j], larger = logit > most[j] ? logit : most[j];
        sum[j] = sum[j] * cpu_exp(most[j] - larger) + cpu_exp(logit - larger);
        most[j] = larger;
      }
    }
  }
  return NULL;
}

err CPU_KERNEL(contrastive_gradient)(ops *o, const ops_contrastive *c) {
  float *cosines = cpu_f32(c->cosines), *totals;
  const float *row_lse = cpu_f32(c->row_lse), *column_lse = cpu_f32(c->column_lse);
  bool is_inside;
  float scale = scale_of(c, &is_inside), row_weight = (float)c->row_weight;
  float column_weight = (float)c->column_weight, both = row_weight + column_weight;
  err error = cpu_scratch(o, (size_t)c->rows, &totals);
  if (error) return error;
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < c->rows; i++) {
    float *row = cosines + i * c->columns, total = 0, own_lse = row_lse[i];
    float positive = row[c->first_row + i];
#pragma omp simd reduction(+ : total)
    for (int64_t j = 0; j < c->columns; j++) {
      float logit = scale * row[j];
      float gradient =
          row_weight * cpu_exp(logit - own_lse) + column_weight * cpu_exp(logit - column_lse[j]);
      total += gradient * logit;
      row[j] = gradient * scale;
    }
    row[c->first_row + i] -= both * scale;
    totals[i] = total - both * scale * positive;
  }
  double sum = 0;
  for (int64_t i = 0; i < c->rows; i++) sum += totals[i];
  if (is_inside) cpu_f32(c->dscale_log)[0] += (float)sum;
  return NULL;
}

err CPU_KERNEL(contrastive_finish)(ops *o, const ops_contrastive_end *c) {
  (void)o;
  double loss = 0;
  for (int64_t i = 0; i < c->count; i++) {
    float lse = cpu_f32(c->column_max)[i] + logf(cpu_f32(c->column_sum)[i]);
    cpu_f32(c->column_lse)[i] = lse;
    double positive = (double)cpu_f32(c->positive)[i];
    loss += c->row_weight * ((double)cpu_f32(c->row_lse)[i] - positive) +
            c->column_weight * ((double)lse - positive);
  }
  cpu_f32(c->loss)[0] = (float)loss;
  return NULL;
}
